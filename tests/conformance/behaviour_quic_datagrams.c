/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams of a connection that multiplexes
 *
 * A connection of the type socket_dgram carries datagrams (RFC 9221) and no streams: it has one channel, which either side gets by stream_create or stream_accept, whoever asks
 * first, and without waiting. The next call is `notsup`, also when the channel has been closed.
 *
 * What is written at once comes at once, or not at all; also what is empty. What is longer than the path carries is `msgsize`, and nothing is sent. The rest of a datagram
 * that is longer than the buffer is lost, which sock_recv says by a flag. When the connection ends, the channel
 * says `connreset` at once; what had come is read behind that, and then it is `connreset` again.
 */
#include "tests/conformance/quic.h"

#define TOO_LONG 60000

static struct ends channels_open(const struct listener *listener, struct ends *ret_connection) {
        *ret_connection = quic_ends_open(listener, __WASI_FILETYPE_SOCKET_DGRAM);
        return quic_channels_open(ret_connection);
}

static void one_channel(const struct listener *listener) {
        struct ends connection = quic_ends_open(listener, __WASI_FILETYPE_SOCKET_DGRAM);
        __wasi_fd_t ours, theirs, other;

        CHECK_OK(quic_try_create(connection.ours, WASI_NETWORKING_RIGHTS_STREAM, &ours));
        CHECK_OK(__wasi_networking_stream_accept(connection.theirs, &theirs));
        CHECK_ERRNO(quic_try_create(connection.ours, WASI_NETWORKING_RIGHTS_STREAM, &other), __WASI_ERRNO_NOTSUP);
        CHECK_ERRNO(__wasi_networking_stream_accept(connection.ours, &other), __WASI_ERRNO_NOTSUP);
        CHECK_ERRNO(quic_try_create(connection.theirs, WASI_NETWORKING_RIGHTS_STREAM, &other), __WASI_ERRNO_NOTSUP);
        send_text(ours, "hello");
        expect_text(theirs, "hello");
        close_fd(ours);
        CHECK_ERRNO(__wasi_networking_stream_accept(connection.ours, &other), __WASI_ERRNO_NOTSUP);
        close_fd(theirs);
        ends_close(&connection);
}

static void borders(const struct listener *listener) {
        static char too_long[TOO_LONG];
        struct ends connection, channels = channels_open(listener, &connection);
        __wasi_roflags_t flags = 0;
        __wasi_size_t n;
        char buffer[4];

        CHECK_ERRNO(send_bytes(channels.ours, too_long, TOO_LONG, &n), __WASI_ERRNO_MSGSIZE);
        CHECK_OK(send_bytes(channels.ours, "", 0, &n));
        send_text(channels.ours, "one");
        send_text(channels.ours, "two");
        send_text(channels.ours, "the rest of this");
        expect_end(channels.theirs); /* the empty one, which is no end */
        expect_text(channels.theirs, "one");
        expect_text(channels.theirs, "two");
        await_readable(channels.theirs);
        CHECK_OK(receive_bytes(channels.theirs, buffer, sizeof(buffer), 0, &n, &flags));
        CHECK(n == sizeof(buffer) && flags == __WASI_ROFLAGS_RECV_DATA_TRUNCATED);
        CHECK_ERRNO(receive_bytes(channels.theirs, buffer, sizeof(buffer), 0, &n, &flags), __WASI_ERRNO_AGAIN);
        ends_close(&channels);
        ends_close(&connection);
}

static void end(const struct listener *listener) {
        struct ends connection, channels = channels_open(listener, &connection);
        __wasi_roflags_t flags;
        __wasi_fd_t other;
        __wasi_size_t n;
        char byte;

        send_text(channels.theirs, "last");
        await_readable(channels.ours);
        ends_close(&(struct ends){ channels.theirs, connection.theirs });
        await_hangup(channels.ours);
        CHECK_ERRNO(receive_bytes(channels.ours, &byte, 1, 0, &n, &flags), __WASI_ERRNO_CONNRESET);
        expect_text(channels.ours, "last");
        CHECK_ERRNO(receive_bytes(channels.ours, &byte, 1, 0, &n, &flags), __WASI_ERRNO_CONNRESET);
        CHECK_ERRNO(__wasi_networking_stream_accept(connection.ours, &other), __WASI_ERRNO_NOTSUP);
        ends_close(&(struct ends){ channels.ours, connection.ours });
}

int main(void) {
        struct listener listener = quic_listener_open(__WASI_FILETYPE_SOCKET_DGRAM);

        one_channel(&listener);
        borders(&listener);
        end(&listener);
        return 0;
}
