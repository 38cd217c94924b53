/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting
 *
 * A listening control is readable for poll whenever an accept will not wait, and peers come in the order in which they came. A blocking
 * accept waits; a nonblocking one says `again`. Whoever has not been accepted when the control is closed is cut off; who has, stays
 * connected.
 *
 * The flags of sock_accept are those of the stream that it makes: 0 or nonblock. Other flags of WASI are `notsup`, what is none is
 * `inval`. accept and stream_accept have no flags: their stream is blocking whatever the control is.
 */
#include "tests/conformance/conformance.h"

static void in_order(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        __wasi_fd_t ours[3], theirs;

        for (int i = 0; i < 3; ++i) {
                ours[i] = stream_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0);
                send_text(ours[i], i == 0 ? "first" : i == 1 ? "second" : "third");
        }
        for (int i = 0; i < 3; ++i) {
                await_readable(listener.control);
                CHECK_OK(__wasi_sock_accept(listener.control, 0, &theirs));
                expect_text(theirs, i == 0 ? "first" : i == 1 ? "second" : "third");
                close_fd(theirs);
                close_fd(ours[i]);
        }
        CHECK(!poll_read(listener.control, 0).ready);
        CHECK_OK(__wasi_fd_fdstat_set_flags(listener.control, __WASI_FDFLAGS_NONBLOCK));
        CHECK_ERRNO(__wasi_sock_accept(listener.control, 0, &theirs), __WASI_ERRNO_AGAIN);
        close_fd(listener.control);
}

/* The connect is under way when the accept begins to wait. */
static void waits(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        __wasi_fd_t control = client_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK);
        __wasi_fd_t connection;

        CHECK_ERRNO(guest_connect(control, listener.address, &connection), __WASI_ERRNO_INPROGRESS);
        CHECK_OK(__wasi_networking_accept(listener.control, &connection));
        close_fd(connection);
        close_fd(control);
        close_fd(listener.control);
}

static void closed_meanwhile(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        struct ends ends = ends_open(&listener, 0);
        __wasi_fd_t waiting = stream_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0);

        close_fd(listener.control);
        await_hangup(waiting);
        send_text(ends.ours, "hello");
        expect_text(ends.theirs, "hello");
        close_fd(waiting);
        close_fd(ends.ours);
        close_fd(ends.theirs);
}

static __wasi_fdflags_t flags_of(__wasi_fd_t fd) {
        __wasi_fdstat_t fdstat;

        CHECK_OK(__wasi_fd_fdstat_get(fd, &fdstat));
        return fdstat.fs_flags;
}

static void flags(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        __wasi_fd_t stream, connection;

        CHECK_ERRNO(__wasi_sock_accept(listener.control, __WASI_FDFLAGS_APPEND, &stream), __WASI_ERRNO_NOTSUP);
        CHECK_ERRNO(__wasi_sock_accept(listener.control, 0x20, &stream), __WASI_ERRNO_INVAL);
        for (int i = 0; i < 3; ++i)
                (void)stream_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0);
        CHECK_OK(__wasi_sock_accept(listener.control, 0, &stream));
        CHECK(flags_of(stream) == 0);
        CHECK_OK(__wasi_sock_accept(listener.control, __WASI_FDFLAGS_NONBLOCK, &stream));
        CHECK(flags_of(stream) == __WASI_FDFLAGS_NONBLOCK);
        CHECK_OK(__wasi_fd_fdstat_set_flags(listener.control, __WASI_FDFLAGS_NONBLOCK));
        await_readable(listener.control);
        CHECK_OK(__wasi_networking_accept(listener.control, &connection));
        CHECK_OK(__wasi_networking_stream_accept(connection, &stream));
        CHECK(flags_of(stream) == 0);
}

int main(void) {
        in_order();
        waits();
        closed_meanwhile();
        flags();
        return 0;
}
