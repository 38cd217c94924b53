/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that multiplex, for guests of the conformance suite: the guest connects to itself, and so has both ends of a connection and of each of its streams.
 *
 * Connections are nonblocking here, and so are their streams: one guest cannot wait for what it does itself. A peer hears of a stream when something
 * comes on it, so that whoever makes one says a word first.
 */
#ifndef NB_TESTS_CONFORMANCE_QUIC_H
#define NB_TESTS_CONFORMANCE_QUIC_H

#include "tests/conformance/conformance.h"

/* How many streams of a kind either side allows the other at once: MaxStreams= of PROTOCOL_QUIC. */
#define QUIC_MAX_STREAMS 4

/* Rights of a stream to write only. */
#define QUIC_RIGHTS_ONE_WAY (WASI_NETWORKING_RIGHTS_STREAM & ~__WASI_RIGHTS_FD_READ)

static inline void quic_set_nonblock(__wasi_fd_t fd) {
        CHECK_OK(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK));
}

static inline void await_writable(__wasi_fd_t fd) {
        CHECK(poll_write(fd, DEADLINE).ready);
}

static inline struct listener quic_listener_open(__wasi_filetype_t type) {
        struct listener listener;

        CHECK_OK(open_control(protocol(PROTOCOL_QUIC), "127.0.0.1:0", type, 0, &listener.control));
        CHECK_OK(__wasi_networking_listen(listener.control, 8));
        (void)local_address(listener.control, listener.address);
        return listener;
}

/** A connection to a listener of this guest. */
static inline __wasi_fd_t quic_connect(const struct listener *listener, __wasi_filetype_t type) {
        __wasi_fd_t control, connection;

        CHECK_OK(open_control(protocol(PROTOCOL_QUIC), "0.0.0.0:0", type, 0, &control));
        CHECK_OK(guest_connect(control, listener->address, &connection));
        close_fd(control);
        quic_set_nonblock(connection);
        return connection;
}

/** Both ends of a connection, on which either side may make streams. */
static inline struct ends quic_ends_open(const struct listener *listener, __wasi_filetype_t type) {
        struct ends ends = { .ours = quic_connect(listener, type) };

        CHECK_OK(__wasi_networking_accept(listener->control, &ends.theirs));
        quic_set_nonblock(ends.theirs);
        await_writable(ends.ours);
        await_writable(ends.theirs);
        return ends;
}

static inline __wasi_errno_t quic_try_create(__wasi_fd_t connection, __wasi_rights_t rights, __wasi_fd_t *ret) {
        return __wasi_networking_stream_create(connection, rights, 0, __WASI_FDFLAGS_NONBLOCK, ret);
}

/** Makes a stream, waiting for the peer to allow it. */
static inline __wasi_fd_t quic_create(__wasi_fd_t connection, __wasi_rights_t rights) {
        __wasi_errno_t error;
        __wasi_fd_t stream;

        while ((error = quic_try_create(connection, rights, &stream)) == __WASI_ERRNO_AGAIN)
                await_writable(connection);
        CHECK_OK(error);
        return stream;
}

/** Takes the peer's next stream, waiting for it. */
static inline __wasi_fd_t quic_accept(__wasi_fd_t connection) {
        __wasi_fd_t stream;

        await_readable(connection);
        CHECK_OK(__wasi_networking_stream_accept(connection, &stream));
        quic_set_nonblock(stream);
        return stream;
}

/** Makes streams until the peer allows no more. @param streams  gets them; NULL: nobody needs them */
static inline void quic_fill_into(__wasi_fd_t connection, __wasi_rights_t rights, __wasi_fd_t *streams) {
        __wasi_fd_t stream;

        for (unsigned i = 0; i < QUIC_MAX_STREAMS; ++i) {
                CHECK_OK(quic_try_create(connection, rights, &stream));
                if (streams)
                        streams[i] = stream;
        }
        CHECK_ERRNO(quic_try_create(connection, rights, &stream), __WASI_ERRNO_AGAIN);
}

static inline void quic_fill(__wasi_fd_t connection, __wasi_rights_t rights) {
        quic_fill_into(connection, rights, NULL);
}

/** Both ends of a stream, of which `connection->ours` makes one. */
static inline struct ends quic_streams_open(const struct ends *connection, __wasi_rights_t rights) {
        struct ends ends = { .ours = quic_create(connection->ours, rights) };

        send_text(ends.ours, "a word");
        ends.theirs = quic_accept(connection->theirs);
        expect_text(ends.theirs, "a word");
        return ends;
}

/** Both ends of the channel of datagrams. */
static inline struct ends quic_channels_open(const struct ends *connection) {
        return (struct ends){
                .ours = quic_create(connection->ours, WASI_NETWORKING_RIGHTS_STREAM),
                .theirs = quic_create(connection->theirs, WASI_NETWORKING_RIGHTS_STREAM),
        };
}

static inline void ends_close(const struct ends *ends) {
        close_fd(ends->ours);
        close_fd(ends->theirs);
}

/** Takes the first stream of a connection that has one. @return -1: there is none */
static inline __wasi_fd_t quic_try_sock_accept(__wasi_fd_t control) {
        __wasi_fd_t stream = -1;
        __wasi_errno_t error = __wasi_sock_accept(control, __WASI_FDFLAGS_NONBLOCK, &stream);

        CHECK(error == 0 || error == __WASI_ERRNO_AGAIN);
        return error ? -1 : stream;
}

/**
 * Waits until writing fails because the peer does not want more. Each word is written when the one before has had the time to be refused: a poll of the clock
 * lets the others have the processor, and ends no wait.
 */
static inline void quic_await_stop(__wasi_fd_t stream) {
        __wasi_timestamp_t start, now;
        __wasi_errno_t error;
        __wasi_size_t n;

        CHECK_OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &start));
        do {
                (void)poll_read(stream, SECOND / 1000);
                error = send_bytes(stream, "x", 1, &n);
                CHECK_OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now));
        } while ((!error || error == __WASI_ERRNO_AGAIN) && now - start < DEADLINE);
        CHECK_ERRNO(error, __WASI_ERRNO_PIPE);
}

#endif
