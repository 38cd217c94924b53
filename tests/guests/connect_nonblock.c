/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect_nonblock ADDRESS: a connect that does not wait: inprogress first, then a poll, then the result of the same call. It
 * prints what WASI calls the result, and ends with its number.
 */
#include <poll.h>

#include "tests/guests/guest.h"

int main(int argc, char **argv) {
        __wasi_fd_t control, connection;
        struct pollfd pollfd;
        __wasi_errno_t error;

        CHECK(argc == 2);
        control = guest_client(argv[1], __WASI_FDFLAGS_NONBLOCK);
        CHECK_ERRNO(guest_connect(control, argv[1], &connection), __WASI_ERRNO_INPROGRESS);

        pollfd = (struct pollfd){ .fd = control, .events = POLLOUT };
        CHECK(poll(&pollfd, 1, 30000) == 1);
        error = guest_connect(control, argv[1], &connection);
        puts(wasi_networking_errno_name(error));
        return error;
}
