/* SPDX-License-Identifier: Apache-2.0 */
/* rights ADDRESS (IPv4): what a descriptor was not given, it cannot do; and nothing derived from it gets it back. */
#include "tests/guests/guest.h"

/* A control without sock_connect does not connect; one without sock_listen does not listen. */
static void controls(const char *address) {
        __wasi_fd_t control, connection;

        CHECK_OK(guest_open("127.0.0.1:0", WASI_NETWORKING_RIGHTS_CONNECTION, 0, &control));
        CHECK_ERRNO(guest_connect(control, address, &connection), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_networking_listen(control, 1), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_networking_accept(control, &connection), __WASI_ERRNO_NOTCAPABLE);
        CHECK(close(control) == 0);
}

/* A stream without fd_write cannot be written, and it is no use to ask for more than the connection passes on. */
static void streams(const char *address) {
        __wasi_rights_t inheriting = GUEST_RIGHTS_INHERITING & ~__WASI_RIGHTS_FD_WRITE;
        __wasi_fd_t control, connection, stream;
        __wasi_size_t n;

        CHECK_OK(__wasi_networking_open(guest_protocol(), "127.0.0.1:0", strlen("127.0.0.1:0"),
                                        __WASI_FILETYPE_SOCKET_STREAM, WASI_NETWORKING_RIGHTS_CLIENT, inheriting, 0,
                                        &control));
        CHECK_OK(guest_connect(control, address, &connection));
        CHECK_ERRNO(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream),
                    __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(
                __wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM & inheriting, 0, 0, &stream));
        /* Not write(): wasi-libc makes EBADF of notcapable there. */
        CHECK_ERRNO(__wasi_fd_write(stream, &(__wasi_ciovec_t){ .buf = (const uint8_t *)"x", .buf_len = 1 }, 1, &n),
                    __WASI_ERRNO_NOTCAPABLE);
}

/* fd_fdstat_set_rights() shrinks, and never grows. */
static void shrinking(const char *address) {
        __wasi_fd_t control = guest_client(address, 0), connection;

        CHECK_ERRNO(__wasi_fd_fdstat_set_rights(control, WASI_NETWORKING_RIGHTS_CLIENT | __WASI_RIGHTS_SOCK_LISTEN, 0),
                    __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(__wasi_fd_fdstat_set_rights(control, WASI_NETWORKING_RIGHTS_CONNECTION, 0));
        CHECK_ERRNO(guest_connect(control, address, &connection), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_fdstat_set_rights(control, WASI_NETWORKING_RIGHTS_CLIENT, 0), __WASI_ERRNO_NOTCAPABLE);
}

int main(int argc, char **argv) {
        CHECK(argc == 2);
        controls(argv[1]);
        streams(argv[1]);
        shrinking(argv[1]);
        return 0;
}
