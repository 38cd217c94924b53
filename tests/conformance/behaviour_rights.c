/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights
 *
 * A descriptor does what its base rights say, anything else is `notcapable`; what is derived from it has no more than its inheriting
 * rights, in either set. Asking for more is `notcapable` as well, except that rights which mean nothing to the new kind are dropped
 * silently. fd_fdstat_set_rights only takes away, and what was derived before keeps what it has.
 *
 * The right to shut down is implied by fd_write. poll_fd_readwrite and sock_shutdown are never demanded (see "Rights in the proposal's
 * numbering"), and closing, renumbering, fd_fdstat_get and polling take no right at all.
 */
#include "tests/conformance/conformance.h"

#define ANY "0.0.0.0:0"
#define LOOPBACK "127.0.0.1:0"
#define SERVER_AND_CLIENT (WASI_NETWORKING_RIGHTS_SERVER | WASI_NETWORKING_RIGHTS_CLIENT)

static __wasi_errno_t open_with(const char *address, __wasi_rights_t base, __wasi_rights_t inheriting,
                                __wasi_fd_t *ret) {
        return __wasi_networking_open(protocol(PROTOCOL_IP), address, strlen(address), __WASI_FILETYPE_SOCKET_STREAM,
                                      base, inheriting, 0, ret);
}

static __wasi_fdstat_t rights_of(__wasi_fd_t fd) {
        __wasi_fdstat_t fdstat;

        CHECK_OK(__wasi_fd_fdstat_get(fd, &fdstat));
        return fdstat;
}

/* Each verb of a control takes its right. */
static void controls(void) {
        const char *address = setting(PEER_ECHO);
        __wasi_fd_t control, connection;

        CHECK_OK(open_with(ANY, SERVER_AND_CLIENT & ~__WASI_RIGHTS_SOCK_CONNECT, GUEST_RIGHTS_INHERITING, &control));
        CHECK_ERRNO(guest_connect(control, address, &connection), __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(open_with(ANY, SERVER_AND_CLIENT & ~__WASI_RIGHTS_SOCK_LISTEN, GUEST_RIGHTS_INHERITING, &control));
        CHECK_ERRNO(__wasi_networking_listen(control, 1), __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(
                open_with(LOOPBACK, SERVER_AND_CLIENT & ~__WASI_RIGHTS_SOCK_ACCEPT, GUEST_RIGHTS_INHERITING, &control));
        CHECK_OK(__wasi_networking_listen(control, 1));
        CHECK_ERRNO(__wasi_networking_accept(control, &connection), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_sock_accept(control, 0, &connection), __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(open_with(ANY, __WASI_RIGHTS_SOCK_CONNECT, GUEST_RIGHTS_INHERITING, &control));
        CHECK_ERRNO(__wasi_fd_fdstat_set_flags(control, 0), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_filestat_get(control, &(__wasi_filestat_t){ 0 }), __WASI_ERRNO_NOTCAPABLE);
}

static __wasi_fd_t connect_with(__wasi_rights_t inheriting) {
        __wasi_fd_t control, connection;

        CHECK_OK(open_with(ANY, WASI_NETWORKING_RIGHTS_CLIENT, inheriting, &control));
        CHECK_OK(guest_connect(control, setting(PEER_ECHO), &connection));
        CHECK((rights_of(connection).fs_rights_inheriting & ~inheriting) == 0);
        CHECK((rights_of(connection).fs_rights_base & ~inheriting) == 0);
        close_fd(control);
        return connection;
}

/* What the control does not pass on, no descendant has, whoever asks and however. */
static void passed_on(__wasi_rights_t missing) {
        __wasi_rights_t inheriting = GUEST_RIGHTS_INHERITING & ~missing;
        __wasi_fd_t connection = connect_with(inheriting), stream;

        CHECK_ERRNO(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream),
                    __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_networking_stream_create(connection, 0, missing, 0, &stream), __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(__wasi_networking_stream_accept(connection, &stream));
        CHECK((rights_of(stream).fs_rights_base & missing) == 0);
}

static void streams(void) {
        __wasi_fd_t connection = connect_with(GUEST_RIGHTS_INHERITING), stream;
        __wasi_roflags_t flags;
        __wasi_size_t n;
        char byte;

        CHECK_OK(__wasi_networking_stream_create(connection, 0, 0, 0, &stream));
        CHECK(rights_of(stream).fs_rights_base == 0);
        CHECK_ERRNO(send_bytes(stream, "x", 1, &n), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_write(stream, NULL, 0, &n), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(receive_bytes(stream, &byte, 1, 0, &n, &flags), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_read(stream, NULL, 0, &n), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_sock_shutdown(stream, __WASI_SDFLAGS_WR), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_fdstat_set_flags(stream, 0), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_filestat_get(stream, &(__wasi_filestat_t){ 0 }), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_networking_set_option(stream, __WASI_NETWORKING_OPTION_TCP_NODELAY, 1),
                    __WASI_ERRNO_NOTCAPABLE);
        CHECK(poll_write(stream, DEADLINE).ready);

        connection = connect_with(GUEST_RIGHTS_INHERITING);
        CHECK_OK(__wasi_networking_stream_create(connection, __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_PATH_OPEN, 0, 0,
                                                 &stream));
        CHECK(rights_of(stream).fs_rights_base == __WASI_RIGHTS_FD_WRITE);
        CHECK_OK(__wasi_sock_shutdown(stream, __WASI_SDFLAGS_WR));
}

static void shrinking(void) {
        __wasi_fd_t control, before, after;

        CHECK_OK(open_with(ANY, SERVER_AND_CLIENT, GUEST_RIGHTS_INHERITING, &control));
        CHECK_OK(guest_connect(control, setting(PEER_ECHO), &before));
        CHECK_ERRNO(__wasi_fd_fdstat_set_rights(control, SERVER_AND_CLIENT | __WASI_RIGHTS_FD_READ, 0),
                    __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_fdstat_set_rights(control, 0, GUEST_RIGHTS_INHERITING | __WASI_RIGHTS_PATH_OPEN),
                    __WASI_ERRNO_NOTCAPABLE);
        CHECK(rights_of(control).fs_rights_base == SERVER_AND_CLIENT);

        CHECK_OK(__wasi_fd_fdstat_set_rights(control, WASI_NETWORKING_RIGHTS_CLIENT, __WASI_RIGHTS_FD_READ));
        CHECK_OK(guest_connect(control, setting(PEER_ECHO), &after));
        CHECK(rights_of(after).fs_rights_inheriting == __WASI_RIGHTS_FD_READ);
        CHECK(rights_of(before).fs_rights_inheriting == GUEST_RIGHTS_INHERITING);
        CHECK_OK(__wasi_fd_fdstat_set_rights(control, 0, 0));
        CHECK_ERRNO(guest_connect(control, setting(PEER_ECHO), &after), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_fd_fdstat_set_rights(control, WASI_NETWORKING_RIGHTS_CLIENT, 0), __WASI_ERRNO_NOTCAPABLE);
}

/* A protocol whose right to make controls is gone makes none, and one that passes no reading on makes none that reads. */
static void protocols(void) {
        __wasi_fd_t given = protocol(PROTOCOL_GIVEN), control;
        __wasi_fdstat_t fdstat = rights_of(given);

        CHECK(fdstat.fs_rights_base & __WASI_RIGHTS_SOCK_BIND);
        CHECK_OK(__wasi_fd_fdstat_set_rights(given, fdstat.fs_rights_base,
                                             fdstat.fs_rights_inheriting & ~__WASI_RIGHTS_FD_READ));
        CHECK_ERRNO(open_control(given, "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, 0, &control),
                    __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(__wasi_networking_open(given, "0.0.0.0:0", 9, __WASI_FILETYPE_SOCKET_STREAM, SERVER_AND_CLIENT,
                                        GUEST_RIGHTS_INHERITING & ~__WASI_RIGHTS_FD_READ, 0, &control));
        CHECK_OK(__wasi_fd_fdstat_set_rights(given, 0, 0));
        CHECK_ERRNO(__wasi_networking_open(given, "0.0.0.0:0", 9, __WASI_FILETYPE_SOCKET_STREAM, 0, 0, 0, &control),
                    __WASI_ERRNO_NOTCAPABLE);
}

int main(void) {
        controls();
        passed_on(__WASI_RIGHTS_FD_WRITE);
        passed_on(__WASI_RIGHTS_FD_READ);
        passed_on(__WASI_RIGHTS_FD_FDSTAT_SET_FLAGS);
        streams();
        shrinking();
        protocols();
        return 0;
}
