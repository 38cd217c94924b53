/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preopened sockets
 *
 * A listener that the policy gives is a control that listens already, nonblocking unless the policy says otherwise: a program that knows
 * sock_accept, fd_read and fd_write serves on it without module networking. A connection is a stream that is connected already.
 *
 * They have the rights of what they are: the listener accepts, and makes no connection of its own.
 */
#include "tests/conformance/conformance.h"

static void serve(__wasi_fd_t door) {
        __wasi_fd_t ours, theirs;
        char buffer[16];
        __wasi_fdstat_t fdstat;
        __wasi_size_t n;

        CHECK_OK(__wasi_fd_fdstat_get(door, &fdstat));
        CHECK(fdstat.fs_filetype == __WASI_FILETYPE_SOCKET_STREAM);
        CHECK(fdstat.fs_flags == __WASI_FDFLAGS_NONBLOCK);
        CHECK_ERRNO(__wasi_sock_accept(door, 0, &theirs), __WASI_ERRNO_AGAIN);
        CHECK(!poll_read(door, 0).ready);

        ours = stream_open(local_address(door, (char[ADDRESS_MAX + 1]){ 0 }), __WASI_FILETYPE_SOCKET_STREAM, 0);
        await_readable(door);
        CHECK_OK(__wasi_sock_accept(door, 0, &theirs));
        CHECK(write(ours, "hello", 5) == 5);
        CHECK_OK(__wasi_fd_read(theirs, &(__wasi_iovec_t){ (uint8_t *)buffer, sizeof(buffer) }, 1, &n));
        CHECK(n == 5 && memcmp(buffer, "hello", 5) == 0);
        CHECK_OK(__wasi_fd_write(theirs, &(__wasi_ciovec_t){ (uint8_t *)buffer, 5 }, 1, &n));
        expect_text(ours, "hello");
        close_fd(theirs);
        expect_end(ours);
        CHECK_ERRNO(guest_connect(door, setting(PEER_UNIX), &ours), __WASI_ERRNO_NOTCAPABLE);
}

static void talk(__wasi_fd_t line) {
        __wasi_fdstat_t fdstat;
        __wasi_fd_t stream;

        CHECK_OK(__wasi_fd_fdstat_get(line, &fdstat));
        CHECK(fdstat.fs_filetype == __WASI_FILETYPE_SOCKET_STREAM);
        CHECK(fdstat.fs_flags == 0);
        send_text(line, "hello");
        CHECK(!poll_read(line, 0).ready);
        CHECK_ERRNO(__wasi_networking_stream_accept(line, &stream), __WASI_ERRNO_NOTSUP);
        CHECK_OK(__wasi_sock_shutdown(line, __WASI_SDFLAGS_WR));
        close_fd(line);
}

int main(void) {
        serve(preopened(PREOPENED_LISTENER));
        talk(preopened(PREOPENED_CONNECTION));
        return 0;
}
