/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_TESTS_UNIT_FDS_H
#define NB_TESTS_UNIT_FDS_H

#include <fcntl.h>
#include <sys/resource.h>

/** How many descriptors this process holds, up to its limit. */
static inline int count_fds(void) {
        struct rlimit limit;
        int n = 0;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -1;
        for (int fd = 0; fd < (int)limit.rlim_cur && fd < 4096; ++fd)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

#endif
