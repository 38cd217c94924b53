/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting without waiting
 *
 * The first connect on a nonblocking control says `inprogress`; the same call, repeated, says `already` until the control is readable and
 * writable for poll, and then yields the result. Meanwhile a connect to another address says `already` too. After a result, good or bad,
 * the control can connect again. Closing it gives up what is under way.
 *
 * A control that is switched to blocking meanwhile waits for the result at the next call. A connect without an answer ends after the
 * policy's ConnectTimeout, 30 seconds if it says nothing, with `timedout`.
 *
 * A control that is bound to a port connects from that port. So it can connect to different peers, but to the same one again only when
 * the connection before is over; until then that is `addrnotavail`, as in POSIX.
 */
#include "tests/conformance/conformance.h"

static __wasi_errno_t connect_and_poll(__wasi_fd_t control, const char *address, __wasi_fd_t *ret) {
        CHECK_ERRNO(guest_connect(control, address, ret), __WASI_ERRNO_INPROGRESS);
        CHECK(poll_write(control, DEADLINE).ready);
        CHECK(poll_read(control, 0).ready);
        return guest_connect(control, address, ret);
}

static void echo(__wasi_fd_t connection) {
        __wasi_fd_t stream;

        CHECK_OK(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream));
        send_text(stream, "hello");
        expect_text(stream, "hello");
        close_fd(stream);
        close_fd(connection);
}

static void results(void) {
        __wasi_fd_t control = client_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK);
        __wasi_fd_t connection;

        CHECK_OK(connect_and_poll(control, setting(PEER_ECHO), &connection));
        echo(connection);
        CHECK_ERRNO(connect_and_poll(control, setting(PEER_REFUSED), &connection), __WASI_ERRNO_CONNREFUSED);
        CHECK_OK(connect_and_poll(control, setting(PEER_ECHO), &connection));
        echo(connection);
        close_fd(control);
}

static void no_result(void) {
        const char *nowhere = setting(PEER_BLACK_HOLE);
        __wasi_fd_t control = client_open(nowhere, __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK);
        __wasi_fd_t connection;

        CHECK_ERRNO(guest_connect(control, nowhere, &connection), __WASI_ERRNO_INPROGRESS);
        CHECK_ERRNO(guest_connect(control, nowhere, &connection), __WASI_ERRNO_ALREADY);
        CHECK_ERRNO(guest_connect(control, setting(PEER_ECHO), &connection), __WASI_ERRNO_ALREADY);
        CHECK(!poll_write(control, SECOND / 50).ready);
        CHECK(!poll_read(control, 0).ready);
        close_fd(control);
}

static void becomes_blocking(void) {
        __wasi_fd_t control = client_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK);
        __wasi_fd_t connection;

        CHECK_ERRNO(guest_connect(control, setting(PEER_ECHO), &connection), __WASI_ERRNO_INPROGRESS);
        CHECK_OK(__wasi_fd_fdstat_set_flags(control, 0));
        CHECK_OK(guest_connect(control, setting(PEER_ECHO), &connection));
        echo(connection);
        CHECK_ERRNO(guest_connect(control, setting(PEER_REFUSED), &connection), __WASI_ERRNO_CONNREFUSED);
        close_fd(control);
}

static void times_out(__wasi_fdflags_t flags) {
        __wasi_fd_t control, connection;

        CHECK_OK(open_control(protocol(PROTOCOL_HASTY), "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, flags, &control));
        if (flags)
                CHECK_ERRNO(connect_and_poll(control, setting(PEER_BLACK_HOLE), &connection), __WASI_ERRNO_TIMEDOUT);
        else
                CHECK_ERRNO(guest_connect(control, setting(PEER_BLACK_HOLE), &connection), __WASI_ERRNO_TIMEDOUT);
        close_fd(control);
}

static void from_a_port(void) {
        char address[ADDRESS_MAX + 1], other[ADDRESS_MAX + 1];
        __wasi_fd_t control, first, second;

        CHECK_OK(open_control(protocol(PROTOCOL_IP), "127.0.0.1:0", __WASI_FILETYPE_SOCKET_STREAM, 0, &control));
        CHECK_OK(guest_connect(control, setting(PEER_ECHO), &first));
        CHECK(strcmp(local_address(control, address), local_address(first, other)) == 0);
        CHECK_ERRNO(guest_connect(control, setting(PEER_ECHO), &second), __WASI_ERRNO_ADDRNOTAVAIL);
        CHECK_OK(guest_connect(control, setting(PEER_CROWD), &second));
        CHECK(strcmp(address, local_address(second, other)) == 0);
        echo(first);
        echo(second);
}

int main(void) {
        from_a_port();
        times_out(0);
        times_out(__WASI_FDFLAGS_NONBLOCK);
        results();
        no_result();
        becomes_blocking();
        return 0;
}
