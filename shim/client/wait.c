/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/wait.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

int nb_wait_ppoll(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        struct timespec timeout = { 0 };
        int n;

        (void)data;
        if (timeout_ns > 0) {
                timeout.tv_sec = (time_t)(timeout_ns / NS_PER_S);
                timeout.tv_nsec = (long)(timeout_ns % NS_PER_S);
        }
        n = ppoll(fds, n_fds, timeout_ns < 0 ? NULL : &timeout, NULL);
        return n < 0 ? -errno : n;
}
