/* SPDX-License-Identifier: Apache-2.0 */
/* bad_pointers ADDRESS: a pointer out of bounds is `fault`, and neither traps nor leaves a descriptor behind. */
#include <stdint.h>

#include "tests/guests/guest.h"

/* The last page of the address space is never memory: the guest has far less. */
#define BEYOND ((uintptr_t)0xffffff00u)

int main(int argc, char **argv) {
        const char *outside = (const char *)BEYOND;
        __wasi_fd_t *nowhere = (__wasi_fd_t *)BEYOND;
        __wasi_fd_t protocol = guest_protocol(), control, connection;

        CHECK(argc == 2);
        CHECK_ERRNO(__wasi_networking_open(protocol, outside, 9, __WASI_FILETYPE_SOCKET_STREAM,
                                           WASI_NETWORKING_RIGHTS_CLIENT, GUEST_RIGHTS_INHERITING, 0, &control),
                    __WASI_ERRNO_FAULT);
        CHECK_ERRNO(__wasi_networking_open(protocol, "0.0.0.0:0", UINT32_MAX, __WASI_FILETYPE_SOCKET_STREAM,
                                           WASI_NETWORKING_RIGHTS_CLIENT, GUEST_RIGHTS_INHERITING, 0, &control),
                    __WASI_ERRNO_FAULT);
        CHECK_ERRNO(__wasi_networking_open(protocol, "0.0.0.0:0", 9, __WASI_FILETYPE_SOCKET_STREAM,
                                           WASI_NETWORKING_RIGHTS_CLIENT, GUEST_RIGHTS_INHERITING, 0, nowhere),
                    __WASI_ERRNO_FAULT);

        control = guest_client(argv[1], 0);
        CHECK(control == protocol + 1); /* nothing was left by what failed */
        CHECK_ERRNO(__wasi_networking_connect(control, outside, 9, &connection), __WASI_ERRNO_FAULT);
        CHECK_ERRNO(__wasi_networking_connect(control, argv[1], strlen(argv[1]), nowhere), __WASI_ERRNO_FAULT);
        CHECK_OK(guest_connect(control, argv[1], &connection));
        CHECK(connection == protocol + 2);
        CHECK_ERRNO(__wasi_networking_stream_accept(connection, nowhere), __WASI_ERRNO_FAULT);
        return 0;
}
