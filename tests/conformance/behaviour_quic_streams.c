/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of a connection that multiplexes
 *
 * Either side makes streams, of one direction or of both, as many as the peer allows at once: MaxStreams= of its policy, for each of the two kinds. The next one is `again` on
 * a nonblocking connection, and waits on a blocking one, until an earlier one is over on both sides. A connection is writable for poll when a stream can be made, of
 * the kind that was `again` last or else of both directions, and readable when one of the peer's can be accepted; `nbytes` is 1 then, or more.
 *
 * A stream that is created without the right fd_read has one direction, and the peer's end of it lacks fd_write. One without fd_write would have none:
 * `inval`. What a stream carries is its own, in whatever order streams are read. The peer hears of a stream when something has been written to it, or it has been shut down.
 *
 * sock_accept takes the first stream of the next connection that has one, and the peer cannot make another there. A connection without a stream does not make a nonblocking
 * control wait for it, and accept can still take it.
 */
#include "tests/conformance/quic.h"

static __wasi_rights_t rights_of(__wasi_fd_t fd) {
        __wasi_fdstat_t fdstat;

        CHECK_OK(__wasi_fd_fdstat_get(fd, &fdstat));
        return fdstat.fs_rights_base;
}

static void from_either_side(const struct ends *connection) {
        struct ends turned = { .ours = connection->theirs, .theirs = connection->ours };
        struct ends a = quic_streams_open(connection, WASI_NETWORKING_RIGHTS_STREAM);
        struct ends b = quic_streams_open(&turned, WASI_NETWORKING_RIGHTS_STREAM);
        struct ends c = quic_streams_open(connection, WASI_NETWORKING_RIGHTS_STREAM);

        send_text(c.ours, "third");
        send_text(b.theirs, "second");
        send_text(a.ours, "first");
        expect_text(a.theirs, "first");
        expect_text(b.ours, "second");
        expect_text(c.theirs, "third");
        send_text(b.ours, "answer");
        expect_text(b.theirs, "answer");
        CHECK(!poll_read(a.ours, 0).ready && !poll_read(c.ours, 0).ready);
        ends_close(&a);
        ends_close(&b);
        ends_close(&c);
}

static void one_direction(const struct ends *connection) {
        struct ends ends = quic_streams_open(connection, QUIC_RIGHTS_ONE_WAY);
        __wasi_fd_t stream;

        CHECK(!(rights_of(ends.ours) & __WASI_RIGHTS_FD_READ) && rights_of(ends.ours) & __WASI_RIGHTS_FD_WRITE);
        CHECK(!(rights_of(ends.theirs) & __WASI_RIGHTS_FD_WRITE) && rights_of(ends.theirs) & __WASI_RIGHTS_FD_READ);
        send_text(ends.ours, "one way");
        close_fd(ends.ours);
        expect_text(ends.theirs, "one way");
        expect_end(ends.theirs);
        close_fd(ends.theirs);
        CHECK_ERRNO(quic_try_create(connection->ours, WASI_NETWORKING_RIGHTS_STREAM & ~__WASI_RIGHTS_FD_WRITE, &stream),
                    __WASI_ERRNO_INVAL);
}

/* A stream that is shut down without a word is heard of, too. */
static void accepting(const struct ends *connection) {
        __wasi_fd_t made[3], stream;

        CHECK(!poll_read(connection->theirs, 0).ready);
        CHECK_ERRNO(__wasi_networking_stream_accept(connection->theirs, &stream), __WASI_ERRNO_AGAIN);
        for (int i = 0; i < 3; ++i) {
                made[i] = quic_create(connection->ours, WASI_NETWORKING_RIGHTS_STREAM);
                CHECK_OK(__wasi_sock_shutdown(made[i], __WASI_SDFLAGS_WR));
        }
        for (int i = 0; i < 3; ++i) {
                CHECK(poll_read(connection->theirs, DEADLINE).nbytes > 0);
                stream = quic_accept(connection->theirs);
                expect_end(stream);
                close_fd(stream);
                close_fd(made[i]);
        }
        CHECK(!poll_read(connection->theirs, 0).ready);
}

static void at_the_limit(const struct listener *listener, __wasi_rights_t rights, __wasi_rights_t other) {
        struct ends connection = quic_ends_open(listener, __WASI_FILETYPE_SOCKET_STREAM);
        __wasi_fd_t streams[QUIC_MAX_STREAMS], stream, of_other_kind, theirs;

        quic_fill_into(connection.ours, rights, streams);
        CHECK(!poll_write(connection.ours, 0).ready);
        CHECK_OK(quic_try_create(connection.ours, other, &of_other_kind));

        send_text(streams[0], "last word");
        theirs = quic_accept(connection.theirs);
        expect_text(theirs, "last word");
        CHECK_ERRNO(quic_try_create(connection.ours, rights, &stream), __WASI_ERRNO_AGAIN);
        close_fd(streams[0]);
        expect_end(theirs);
        close_fd(theirs);
        await_writable(connection.ours);
        CHECK_OK(quic_try_create(connection.ours, rights, &stream));
        close_fd(stream);
        close_fd(of_other_kind);
        for (unsigned i = 1; i < QUIC_MAX_STREAMS; ++i)
                close_fd(streams[i]);
        ends_close(&connection);
}

/* Another stream ends while the connection waits. */
static void blocking(const struct listener *listener) {
        struct ends connection = quic_ends_open(listener, __WASI_FILETYPE_SOCKET_STREAM);
        struct ends ends = quic_streams_open(&connection, WASI_NETWORKING_RIGHTS_STREAM);
        __wasi_fd_t stream;

        CHECK_OK(__wasi_fd_fdstat_set_flags(connection.ours, 0));
        CHECK_OK(__wasi_fd_fdstat_set_flags(connection.theirs, 0));
        for (unsigned i = 1; i < QUIC_MAX_STREAMS; ++i)
                CHECK_OK(quic_try_create(connection.ours, WASI_NETWORKING_RIGHTS_STREAM, &stream));
        ends_close(&ends);
        CHECK_OK(quic_try_create(connection.ours, WASI_NETWORKING_RIGHTS_STREAM, &stream));
        send_text(stream, "waited for");
        CHECK_OK(__wasi_networking_stream_accept(connection.theirs, &ends.theirs));
        expect_text(ends.theirs, "waited for");
}

/* Two connections, of which the second has a stream first. */
static void accept_and_stream_accept(const struct listener *listener) {
        __wasi_fd_t without = quic_connect(listener, __WASI_FILETYPE_SOCKET_STREAM);
        __wasi_fd_t with = quic_connect(listener, __WASI_FILETYPE_SOCKET_STREAM);
        __wasi_fd_t ours, theirs, connection;

        quic_set_nonblock(listener->control);
        ours = quic_create(with, WASI_NETWORKING_RIGHTS_STREAM);
        send_text(ours, "hello");
        while ((theirs = quic_try_sock_accept(listener->control)) < 0)
                await_readable(listener->control);
        expect_text(theirs, "hello");
        send_text(theirs, "answer");
        expect_text(ours, "answer");
        CHECK(quic_try_sock_accept(listener->control) < 0);
        CHECK_OK(__wasi_networking_accept(listener->control, &connection));
        ours = quic_create(without, WASI_NETWORKING_RIGHTS_STREAM);
        send_text(ours, "late");
        quic_set_nonblock(connection);
        expect_text(quic_accept(connection), "late");
}

int main(void) {
        struct listener listener = quic_listener_open(__WASI_FILETYPE_SOCKET_STREAM);
        struct ends connection = quic_ends_open(&listener, __WASI_FILETYPE_SOCKET_STREAM);

        from_either_side(&connection);
        one_direction(&connection);
        accepting(&connection);
        at_the_limit(&listener, WASI_NETWORKING_RIGHTS_STREAM, QUIC_RIGHTS_ONE_WAY);
        at_the_limit(&listener, QUIC_RIGHTS_ONE_WAY, WASI_NETWORKING_RIGHTS_STREAM);
        blocking(&listener);
        accept_and_stream_accept(&listener);
        return 0;
}
