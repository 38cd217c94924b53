/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends of streams, and of a connection that multiplexes
 *
 * After a shutdown for writing the peer reads the end, writes here are `pipe`, and the other direction goes on. After one for reading, reads return the end, and
 * the peer's writes are `pipe` from some time on, once it has been told, with a hang-up for poll; the other direction goes on. A stream that is closed when all was read ends in
 * both ways. One that is closed with something unread resets the peer's end: that is `connreset`, once; then reads return the end, and writes are `pipe`. Other streams
 * of the connection are not touched.
 *
 * Of a stream with one direction the other one is `notcapable`, for reading, writing and shutting down alike.
 *
 * Closing a connection leaves its streams; the peer can make no others. With the last of them it is over: for the peer the connection is readable and writable with a
 * hang-up, and stream_create and stream_accept are `notconn`. Streams that had come before can still be accepted and read.
 */
#include "tests/conformance/quic.h"

static __wasi_errno_t receive_one(__wasi_fd_t fd, __wasi_size_t *ret) {
        __wasi_roflags_t flags;
        char byte;

        return receive_bytes(fd, &byte, 1, 0, ret, &flags);
}

static void expect_pipe(__wasi_fd_t fd) {
        __wasi_size_t n;

        CHECK_ERRNO(send_bytes(fd, "x", 1, &n), __WASI_ERRNO_PIPE);
}

static void half_close(const struct ends *connection) {
        struct ends ends = quic_streams_open(connection, WASI_NETWORKING_RIGHTS_STREAM);

        send_text(ends.ours, "last");
        CHECK_OK(__wasi_sock_shutdown(ends.ours, __WASI_SDFLAGS_WR));
        expect_pipe(ends.ours);
        CHECK(!poll_write(ends.ours, 0).hangup);
        expect_text(ends.theirs, "last");
        expect_end(ends.theirs);
        expect_end(ends.theirs);
        send_text(ends.theirs, "answer");
        expect_text(ends.ours, "answer");
        CHECK_OK(__wasi_sock_shutdown(ends.theirs, __WASI_SDFLAGS_WR));
        expect_end(ends.ours);
        ends_close(&ends);
}

static void stop(const struct ends *connection) {
        struct ends ends = quic_streams_open(connection, WASI_NETWORKING_RIGHTS_STREAM);

        CHECK_OK(__wasi_sock_shutdown(ends.theirs, __WASI_SDFLAGS_RD));
        expect_end(ends.theirs);
        quic_await_stop(ends.ours);
        CHECK(poll_write(ends.ours, 0).hangup);
        send_text(ends.theirs, "goes on");
        expect_text(ends.ours, "goes on");
        ends_close(&ends);
}

static void reset(const struct ends *connection, const struct ends *other) {
        struct ends ends = quic_streams_open(connection, WASI_NETWORKING_RIGHTS_STREAM);
        __wasi_size_t n = 1;

        ends_reset(&ends);
        CHECK(poll_read(ends.ours, 0).hangup && poll_write(ends.ours, 0).hangup);
        CHECK_ERRNO(receive_one(ends.ours, &n), __WASI_ERRNO_CONNRESET);
        expect_end(ends.ours);
        expect_pipe(ends.ours);
        close_fd(ends.ours);
        send_text(other->ours, "not touched");
        expect_text(other->theirs, "not touched");
}

static void close_one(const struct ends *connection) {
        struct ends ends = quic_streams_open(connection, WASI_NETWORKING_RIGHTS_STREAM);

        send_text(ends.theirs, "all of it");
        close_fd(ends.theirs);
        expect_text(ends.ours, "all of it");
        expect_end(ends.ours);
        quic_await_stop(ends.ours);
        close_fd(ends.ours);
}

static void one_direction(const struct ends *connection) {
        struct ends ends = quic_streams_open(connection, QUIC_RIGHTS_ONE_WAY);
        __wasi_size_t n;

        CHECK_ERRNO(receive_one(ends.ours, &n), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_sock_shutdown(ends.ours, __WASI_SDFLAGS_RD), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(send_bytes(ends.theirs, "x", 1, &n), __WASI_ERRNO_NOTCAPABLE);
        CHECK_ERRNO(__wasi_sock_shutdown(ends.theirs, __WASI_SDFLAGS_WR), __WASI_ERRNO_NOTCAPABLE);
        CHECK_OK(__wasi_sock_shutdown(ends.ours, __WASI_SDFLAGS_RD | __WASI_SDFLAGS_WR));
        expect_end(ends.theirs);
        ends_close(&ends);
}

static void expect_over(__wasi_fd_t connection) {
        __wasi_fd_t stream;

        CHECK(poll_read(connection, 0).hangup && poll_write(connection, 0).hangup);
        CHECK_ERRNO(__wasi_networking_stream_accept(connection, &stream), __WASI_ERRNO_NOTCONN);
        CHECK_ERRNO(quic_try_create(connection, WASI_NETWORKING_RIGHTS_STREAM, &stream), __WASI_ERRNO_NOTCONN);
        CHECK_ERRNO(quic_try_create(connection, QUIC_RIGHTS_ONE_WAY, &stream), __WASI_ERRNO_NOTCONN);
}

static void connection_end(const struct listener *listener) {
        struct ends connection = quic_ends_open(listener, __WASI_FILETYPE_SOCKET_STREAM);
        struct ends ends = quic_streams_open(&connection, WASI_NETWORKING_RIGHTS_STREAM);

        close_fd(connection.theirs);
        send_text(ends.ours, "goes on");
        expect_text(ends.theirs, "goes on");
        send_text(ends.theirs, "so does this");
        expect_text(ends.ours, "so does this");
        CHECK_OK(__wasi_sock_shutdown(ends.ours, __WASI_SDFLAGS_WR));
        expect_end(ends.theirs);
        close_fd(ends.theirs);
        expect_end(ends.ours);
        await_hangup(connection.ours);
        expect_over(connection.ours);
        ends_close(&(struct ends){ ends.ours, connection.ours });
}

/* While there are streams to accept, a poll for reading says so, and no more. */
static void await_notconn(__wasi_fd_t connection) {
        __wasi_errno_t error;
        __wasi_fd_t stream;

        do {
                (void)poll_write(connection, DEADLINE);
                error = quic_try_create(connection, QUIC_RIGHTS_ONE_WAY, &stream);
                if (!error)
                        close_fd(stream);
        } while (!error || error == __WASI_ERRNO_AGAIN);
        CHECK_ERRNO(error, __WASI_ERRNO_NOTCONN);
}

static void late_accept(const struct listener *listener) {
        struct ends connection = quic_ends_open(listener, __WASI_FILETYPE_SOCKET_STREAM);
        __wasi_fd_t theirs = quic_create(connection.theirs, QUIC_RIGHTS_ONE_WAY), ours;

        send_text(theirs, "before the end");
        await_readable(connection.ours);
        ends_close(&(struct ends){ theirs, connection.theirs });
        await_notconn(connection.ours);
        CHECK_OK(__wasi_networking_stream_accept(connection.ours, &ours));
        expect_text(ours, "before the end");
        expect_end(ours);
        expect_over(connection.ours);
        ends_close(&(struct ends){ ours, connection.ours });
}

int main(void) {
        struct listener listener = quic_listener_open(__WASI_FILETYPE_SOCKET_STREAM);
        struct ends connection = quic_ends_open(&listener, __WASI_FILETYPE_SOCKET_STREAM);
        struct ends other = quic_streams_open(&connection, WASI_NETWORKING_RIGHTS_STREAM);

        half_close(&connection);
        stop(&connection);
        reset(&connection, &other);
        close_one(&connection);
        one_direction(&connection);
        connection_end(&listener);
        late_accept(&listener);
        return 0;
}
