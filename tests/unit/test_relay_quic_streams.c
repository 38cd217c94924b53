/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of QUIC between two relays: bytes, ends, credit, and the channel to a guest's host.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "relay/quic/budget.h"
#include "relay/quic/connection.h"
#include "relay/quic/library.h"
#include "relay/quic/quic.h"
#include "relay/quic/socket.h"
#include "relay/quic/stopped.h"
#include "relay/quic/stream.h"
#include "tests/support/runner.h"
#include "tests/unit/quic_world.h"

static struct certificates certificates;
static struct quic_world world;
static struct quic_ends ends;
static bool is_lossy;       /* the way between the relays: nothing arrives */
static bool has_no_buffers; /* the kernel, for what guests are sent */

int sendmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags) {
        return is_lossy ? (int)n : (int)syscall(SYS_sendmmsg, fd, headers, n, flags);
}

static bool is_stream(int fd) {
        socklen_t size = sizeof(int);
        int type;

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
        if (!has_no_buffers || !is_stream(fd))
                return syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
        errno = ENOBUFS;
        return -1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
        if (!has_no_buffers || !is_stream(fd))
                return syscall(SYS_sendmsg, fd, message, flags);
        errno = ENOBUFS;
        return -1;
}

static void make_certificates(void) {
        quic_world_make_certificates(&certificates);
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

static void start(void) {
        quic_world_init(&world, &certificates, NULL);
        quic_world_connect(&world, &ends);
}

static void stop(void) {
        quic_ends_close(&ends);
        quic_world_deinit(&world);
}

/* ---- bytes ---- */

START_TEST(either_side_makes_streams) {
        uint64_t ids[4], accepted;
        int mine[4], theirs[4];

        mine[0] = quic_host_create(&world, &ends.client, false, &ids[0]);
        quic_world_send(&world, mine[0], "there", 5);
        theirs[0] = quic_host_accept(&world, &ends.server, 1, &accepted);
        ck_assert_uint_eq(accepted, ids[0]);
        quic_world_receive(&world, theirs[0], "there", 5);
        quic_world_send(&world, theirs[0], "and back", 8);
        quic_world_receive(&world, mine[0], "and back", 8);

        mine[1] = quic_host_create(&world, &ends.server, false, &ids[1]);
        quic_world_send(&world, mine[1], "from the server", 15);
        theirs[1] = quic_host_accept(&world, &ends.client, 1, &accepted);
        ck_assert_uint_eq(accepted, ids[1]);
        quic_world_receive(&world, theirs[1], "from the server", 15);
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(close(mine[i]), 0);
                ck_assert_int_eq(close(theirs[i]), 0);
        }
}
END_TEST

/* A stream with both its guests' ends. */
struct both {
        int ours;   /* the client's */
        int theirs; /* the server's */
};

static struct both make_stream(bool unidirectional, uint64_t number) {
        struct both both;

        both.ours = quic_host_create(&world, &ends.client, unidirectional, NULL);
        /* A stream is there for the peer when something of it has come. */
        quic_world_send(&world, both.ours, "x", 1);
        both.theirs = quic_host_accept(&world, &ends.server, number, NULL);
        quic_world_receive(&world, both.theirs, "x", 1);
        return both;
}

static void close_both(struct both *both) {
        ck_assert_int_eq(close(both->ours), 0);
        ck_assert_int_eq(close(both->theirs), 0);
}

static void expect_end(int fd, ssize_t end) {
        uint8_t byte;

        ck_assert_int_eq(quic_world_read(&world, fd, &byte, 1), end);
}

/* Writes until that fails. */
static void expect_write_error(int fd, int error) {
        for (;;) {
                ssize_t n = send(fd, "more", 4, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN) {
                        ck_assert_int_eq(errno, error);
                        return;
                }
                quic_world_turn(&world);
        }
}

static struct quic *quic_of(const struct relay_world *relay) {
        return relay->relay.quic;
}

/* Until nothing but the connection itself is left. */
static void expect_no_streams(struct relay_world *relay) {
        const struct quic *quic = quic_of(relay);
        const struct quic_connection *connection =
                nb_container_of(quic->connections.next, struct quic_connection, in_quic);

        while (connection->streams.n > 0)
                quic_world_turn(&world);
        ck_assert_uint_eq(quic->bytes_buffered, 0);
        ck_assert_uint_eq(connection->streams.bytes_buffered, 0);
        ck_assert_uint_eq(connection->streams.n_pairs, 0);
}

static uint8_t *pattern(size_t length, unsigned seed) {
        uint8_t *bytes = malloc(length);

        ck_assert_ptr_nonnull(bytes);
        for (size_t i = 0; i < length; ++i)
                bytes[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 11);
        return bytes;
}

/* Moves bytes both ways at once. */
static void exchange(struct both *streams, size_t n, const uint8_t *bytes, size_t length) {
        size_t *sent = calloc(n * 2, sizeof(*sent)), *got = calloc(n * 2, sizeof(*got)), n_done = 0;
        uint8_t *buffer = malloc(65536);

        ck_assert(sent && got && buffer);
        while (n_done < n * 2) {
                for (size_t i = 0; i < n * 2; ++i) {
                        int fd = i % 2 == 0 ? streams[i / 2].ours : streams[i / 2].theirs;
                        ssize_t r = send(fd, bytes + sent[i], length - sent[i], MSG_DONTWAIT | MSG_NOSIGNAL);

                        ck_assert(r >= 0 || errno == EAGAIN);
                        sent[i] += r > 0 ? (size_t)r : 0;
                        r = recv(fd, buffer, 65536, MSG_DONTWAIT);
                        ck_assert(r > 0 || (r < 0 && errno == EAGAIN));
                        if (r <= 0)
                                continue;
                        ck_assert_mem_eq(buffer, bytes + got[i], (size_t)r);
                        got[i] += (size_t)r;
                        n_done += got[i] == length;
                }
                quic_world_turn(&world);
        }
        free(sent);
        free(got);
        free(buffer);
}

START_TEST(much_passes_both_ways_at_once) {
        size_t length = 8 * 1024 * 1024;
        uint8_t *bytes = pattern(length, 1);
        struct both both = make_stream(false, 1);

        exchange(&both, 1, bytes, length);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
        free(bytes);
}
END_TEST

START_TEST(a_hundred_streams_at_once) {
        size_t length = 256 * 1024;
        uint8_t *bytes = pattern(length, 2);
        struct both streams[100];

        for (unsigned i = 0; i < 100; ++i) {
                /* Credit follows what was accepted. */
                streams[i] = make_stream(false, i + 1);
                quic_host_credit(&ends.server, i + 1 + NB_STREAM_WINDOW);
        }
        exchange(streams, 100, bytes, length);
        for (unsigned i = 0; i < 100; ++i)
                close_both(&streams[i]);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
        free(bytes);
}
END_TEST

/* ---- ends ---- */

START_TEST(each_direction_ends_for_itself) {
        struct both both = make_stream(false, 1);

        quic_world_send(&world, both.ours, "question", 8);
        ck_assert_int_eq(shutdown(both.ours, SHUT_WR), 0);
        quic_world_receive(&world, both.theirs, "question", 8);
        expect_end(both.theirs, 0);
        quic_world_send(&world, both.theirs, "answer", 6);
        quic_world_receive(&world, both.ours, "answer", 6);
        ck_assert_int_eq(shutdown(both.theirs, SHUT_WR), 0);
        expect_end(both.ours, 0);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(a_close_is_an_end_and_stops_the_other) {
        struct both both = make_stream(false, 1);

        quic_world_send(&world, both.ours, "last", 4);
        ck_assert_int_eq(close(both.ours), 0);
        quic_world_receive(&world, both.theirs, "last", 4);
        expect_end(both.theirs, 0);
        expect_write_error(both.theirs, EPIPE);
        ck_assert_int_eq(close(both.theirs), 0);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(a_close_with_unread_bytes_resets) {
        struct both both = make_stream(false, 1);
        uint8_t byte;

        quic_world_send(&world, both.theirs, "unread", 6);
        /* It is there, and is not taken. */
        while (recv(both.ours, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
                quic_world_turn(&world);
        ck_assert_int_eq(close(both.ours), 0);
        expect_end(both.theirs, -ECONNRESET);
        ck_assert_int_eq(close(both.theirs), 0);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(a_reset_comes_behind_what_came_before) {
        struct both both = make_stream(false, 1);
        uint8_t byte;

        quic_world_send(&world, both.theirs, "unread", 6);
        quic_world_send(&world, both.ours, "before", 6);
        while (recv(both.theirs, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 ||
               recv(both.ours, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
                quic_world_turn(&world);
        ck_assert_int_eq(close(both.ours), 0);
        quic_world_receive(&world, both.theirs, "before", 6);
        expect_end(both.theirs, -ECONNRESET);
        ck_assert_int_eq(close(both.theirs), 0);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(who_stops_reading_goes_on_writing) {
        struct both both = make_stream(false, 1);

        ck_assert_int_eq(shutdown(both.ours, SHUT_RD), 0);
        expect_write_error(both.theirs, EPIPE);
        quic_world_send(&world, both.ours, "still", 5);
        quic_world_receive(&world, both.theirs, "still", 5);
        ck_assert_int_eq(shutdown(both.ours, SHUT_WR), 0);
        expect_end(both.theirs, 0);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

enum before_the_shutdown {
        NOTHING,
        BYTES_COME,
        THE_PEER_STOPS,
        N_BEFORE_THE_SHUTDOWN,
};

/* Also what it has not read of what came before that. */
START_TEST(who_has_shut_all_down_reads_the_end) {
        struct both both = make_stream(false, 1);
        ssize_t n = 1;
        uint8_t byte;

        if (_i == BYTES_COME)
                quic_world_send(&world, both.theirs, "too late", 8);
        quic_world_send(&world, both.ours, "last", 4);
        quic_world_receive(&world, both.theirs, "last", 4);
        if (_i == THE_PEER_STOPS) {
                ck_assert_int_eq(shutdown(both.theirs, SHUT_RD), 0);
                expect_write_error(both.ours, EPIPE);
        }
        ck_assert_int_eq(shutdown(both.ours, SHUT_RDWR), 0);
        expect_end(both.theirs, 0);
        expect_write_error(both.theirs, EPIPE);
        ck_assert_int_eq(close(both.theirs), 0);
        expect_no_streams(world.client);
        for (unsigned i = 0; i <= strlen("too late") && n > 0; ++i)
                n = recv(both.ours, &byte, 1, MSG_DONTWAIT);
        ck_assert_int_eq(n, 0);
        expect_end(both.ours, 0);
        ck_assert_int_eq(close(both.ours), 0);
        expect_no_streams(world.server);
}
END_TEST

static struct quic_connection *connection_of(const struct relay_world *relay) {
        return nb_container_of(quic_of(relay)->connections.next, struct quic_connection, in_quic);
}

static size_t count_blocked(const struct quic_streams *streams) {
        size_t n = 0;

        nb_list_foreach_safe(element, &streams->all) n +=
                nb_container_of(element, struct quic_stream, in_all)->is_blocked;
        return n;
}

/* To be written where it does not matter what. */
static const uint8_t zeros[65536];

/* Writes until nothing more is taken, and as many of the client's streams as that are at their windows. */
static void fill(const struct both *streams, size_t n) {
        unsigned idle = 0;

        while (idle < 50 || count_blocked(&connection_of(world.client)->streams) < n) {
                idle++;
                for (size_t i = 0; i < n; ++i) {
                        if (send(streams[i].ours, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
                                idle = 0;
                }
                quic_world_turn(&world);
        }
}

/* The relay hears of it when it writes to the pair again, which has been full. */
static void stop_reading(int fd) {
        uint8_t buffer[4096];
        ssize_t n;

        ck_assert_int_eq(shutdown(fd, SHUT_RD), 0);
        while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
                ;
        ck_assert_int_eq(n, 0);
}

/* The library says so at the next write, and there is none: the stream is at its window. */
START_TEST(who_waits_for_credit_hears_that_nobody_reads) {
        struct both both = make_stream(false, 1);

        fill(&both, 1);
        stop_reading(both.theirs);
        expect_write_error(both.ours, EPIPE);
        quic_world_send(&world, both.theirs, "still", 5);
        quic_world_receive(&world, both.ours, "still", 5);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

/* A peer may keep the credit of the connection, too. */
START_TEST(who_waits_for_the_connections_credit_hears_it_too) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        struct quic_connection *peer;
        struct both both;

        stop();
        quic.streams_max = 4;
        quic.stream_window = 1024 * 1024;
        quic.connection_window = 65536;
        quic.idle_timeout_ms = 30000;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
        peer = connection_of(world.server);
        both = make_stream(false, 1);
        /* What comes is credited when its guest has taken it. */
        world.server->relay.memory_max = 4;
        for (unsigned idle = 0; idle < 50; ++idle) {
                if (send(both.ours, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
                        idle = 0;
                quic_world_turn(&world);
        }
        ck_assert_int_eq(ngtcp2_conn_get_max_data_left(connection_of(world.client)->conn), 0);
        ck_assert_uint_eq(count_blocked(&connection_of(world.client)->streams), 0);
        /* Our relay would end the other direction, too, when this one is reset. */
        ck_assert_int_eq(ngtcp2_conn_set_stream_user_data(peer->conn, 0, NULL), 0);
        ck_assert_int_eq(ngtcp2_conn_shutdown_stream_read(peer->conn, 0, 0, 0), 0);
        quic_connection_run_later(peer);
        expect_write_error(both.ours, EPIPE);
        ck_assert_int_eq(ngtcp2_conn_get_max_data_left(connection_of(world.client)->conn), 0);
        close_both(&both);
}
END_TEST

START_TEST(one_way_of_ours) {
        struct both both = make_stream(true, 1);

        expect_end(both.ours, 0);
        quic_world_send(&world, both.ours, "one way", 7);
        ck_assert_int_eq(shutdown(both.ours, SHUT_WR), 0);
        quic_world_receive(&world, both.theirs, "one way", 7);
        expect_end(both.theirs, 0);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(one_way_that_nobody_reads) {
        struct both both = make_stream(true, 1);

        ck_assert_int_eq(close(both.theirs), 0);
        expect_write_error(both.ours, EPIPE);
        ck_assert_int_eq(close(both.ours), 0);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(an_end_without_a_byte) {
        uint64_t id, accepted;
        int ours = quic_host_create(&world, &ends.client, true, &id), theirs;

        ck_assert_int_eq(close(ours), 0);
        theirs = quic_host_accept(&world, &ends.server, 1, &accepted);
        ck_assert_uint_eq(accepted, id);
        expect_end(theirs, 0);
        ck_assert_int_eq(close(theirs), 0);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(revoked_streams_are_cut) {
        struct both both = make_stream(false, 1);
        struct nb_channel_fds fds;
        const Nb__Reply *reply;

        quic_world_send(&world, both.theirs, "before", 6);
        quic_world_receive(&world, both.ours, "before", 6);
        relay_world_end(world.client, ends.link);
        expect_end(both.ours, -ECONNRESET);
        expect_end(both.theirs, -ECONNRESET);
        reply = quic_host_expect(&world, &ends.client, NB__REPLY__BODY_CONNECTION_CLOSED, &fds);
        ck_assert_uint_eq(reply->connection_closed->error, NB_WASI_ECONNRESET);
        reply = quic_host_expect(&world, &ends.server, NB__REPLY__BODY_CONNECTION_CLOSED, &fds);
        ck_assert_uint_eq(reply->connection_closed->error, 0);
        ck_assert_int_eq(nb_channel_receive_bytes(ends.server.fd, ends.server.frame), 0);
        close_both(&both);
}
END_TEST

START_TEST(a_relay_that_dies_cuts_its_streams) {
        struct both both = make_stream(false, 1);
        struct nb_channel_fds fds;

        relay_world_free(world.server);
        ck_assert_int_eq(recv(both.theirs, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        while (nb_channel_receive(ends.server.fd, ends.server.frame, &fds) > 0)
                ;
        ck_assert_int_eq(nb_channel_receive(ends.server.fd, ends.server.frame, &fds), 0);
        close_both(&both);
        world.server = relay_world_new(1);
}
END_TEST

START_TEST(an_end_right_behind_bytes) {
        struct both both = make_stream(false, 1);

        ck_assert_int_eq(send(both.ours, "all", 3, 0), 3);
        ck_assert_int_eq(shutdown(both.ours, SHUT_WR), 0);
        quic_world_receive(&world, both.theirs, "all", 3);
        expect_end(both.theirs, 0);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

/* The peer has everything acknowledged, and closes, before the guest has read it. */
START_TEST(what_came_whole_outlives_the_connection) {
        size_t length = 400 * 1024;
        uint8_t *bytes = pattern(length, 5);
        struct both both = make_stream(false, 1);
        uint32_t n_before = world.server->relay.n_descriptors;

        quic_world_send(&world, both.ours, bytes, length);
        ck_assert_int_eq(close(both.ours), 0);
        ends.client.fd = nb_fd_close(ends.client.fd);
        quic_world_expect_end(&world, world.client, ends.link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        quic_world_expect_end(&world, world.server, ends.link, NB__RELAY__CAUSE__CAUSE_CLOSED);
        ck_assert_uint_gt(quic_of(world.server)->bytes_buffered, 0);
        quic_world_receive(&world, both.theirs, bytes, length);
        expect_end(both.theirs, 0);
        ck_assert_uint_eq(quic_of(world.server)->bytes_buffered, 0);
        ck_assert_uint_lt(world.server->relay.n_descriptors, n_before);
        ck_assert_int_eq(close(both.theirs), 0);
        free(bytes);
}
END_TEST

/* The same, but the guest has written what nobody has acknowledged. */
START_TEST(a_stream_that_lost_something_does_not_end_well) {
        struct both both = make_stream(false, 1);
        uint8_t byte;

        quic_world_send(&world, both.ours, "whole", 5);
        ck_assert_int_eq(shutdown(both.ours, SHUT_WR), 0);
        while (recv(both.theirs, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
                quic_world_turn(&world);
        relay_world_end(world.client, ends.link);
        ck_assert_int_eq(send(both.theirs, "lost", 4, 0), 4);
        quic_world_expect_end(&world, world.server, ends.link, NB__RELAY__CAUSE__CAUSE_CLOSED);
        quic_world_receive(&world, both.theirs, "whole", 5);
        expect_end(both.theirs, -ECONNRESET);
        close_both(&both);
}
END_TEST

/* What the kernel has no memory for does not get to the guest, so neither does a clean end. */
START_TEST(a_stream_that_lacks_bytes_does_not_end_well) {
        struct both both = make_stream(false, 1);

        has_no_buffers = true;
        ck_assert_int_eq((int)syscall(SYS_sendto, both.ours, "gone", 4, 0, NULL, 0), 4);
        ck_assert_int_eq(shutdown(both.ours, SHUT_WR), 0);
        expect_end(both.theirs, -ECONNRESET);
        has_no_buffers = false;
        expect_end(both.ours, -ECONNRESET);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

/* The same of what outlives its connection. */
START_TEST(what_came_whole_and_lacks_bytes_does_not_end_well) {
        size_t length = 400 * 1024;
        uint8_t *bytes = pattern(length, 6);
        struct both both = make_stream(false, 1);
        ssize_t n;

        quic_world_send(&world, both.ours, bytes, length);
        ck_assert_int_eq(close(both.ours), 0);
        ends.client.fd = nb_fd_close(ends.client.fd);
        quic_world_expect_end(&world, world.client, ends.link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        has_no_buffers = _i == 0;
        quic_world_expect_end(&world, world.server, ends.link, NB__RELAY__CAUSE__CAUSE_CLOSED);
        has_no_buffers = true;
        do
                n = quic_world_read(&world, both.theirs, bytes, length);
        while (n > 0);
        has_no_buffers = false;
        ck_assert_int_eq(n, -ECONNRESET);
        ck_assert_uint_eq(quic_of(world.server)->bytes_buffered, 0);
        ck_assert_int_eq(close(both.theirs), 0);
        free(bytes);
}
END_TEST

/* ---- how many ---- */

START_TEST(a_stream_that_is_gone_makes_room_for_another) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        struct both streams[4];

        stop();
        quic.streams_max = 4;
        quic.stream_window = 65536;
        quic.connection_window = 65536;
        quic.idle_timeout_ms = 30000;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
        for (unsigned i = 0; i < 4; ++i)
                streams[i] = make_stream(false, i + 1);
        ck_assert_uint_eq(ends.client.allowed[0], 4);
        close_both(&streams[0]);
        quic_host_wait_for_room(&world, &ends.client, false, 4);
        ck_assert_uint_eq(ends.client.allowed[0], 5);
        streams[0] = make_stream(false, 5);
        for (unsigned i = 0; i < 4; ++i)
                close_both(&streams[i]);
        expect_no_streams(world.client);
}
END_TEST

START_TEST(streams_wait_for_credit) {
        int ours[NB_STREAM_WINDOW + 4], theirs[NB_STREAM_WINDOW + 4];
        struct nb_channel_fds fds;
        unsigned n = NB_STREAM_WINDOW + 4;

        for (unsigned i = 0; i < n; ++i) {
                ours[i] = quic_host_create(&world, &ends.client, false, NULL);
                quic_world_send(&world, ours[i], "waits", 5);
        }
        for (unsigned i = 0; i < NB_STREAM_WINDOW; ++i)
                theirs[i] = quic_host_accept(&world, &ends.server, i + 1, NULL);
        for (unsigned i = 0; i < 20; ++i)
                quic_world_turn(&world);
        ck_assert_int_eq(nb_channel_receive(ends.server.fd, ends.server.frame, &fds), -EAGAIN);
        quic_host_credit(&ends.server, n);
        for (unsigned i = NB_STREAM_WINDOW; i < n; ++i)
                theirs[i] = quic_host_accept(&world, &ends.server, i + 1, NULL);
        for (unsigned i = 0; i < n; ++i) {
                quic_world_receive(&world, theirs[i], "waits", 5);
                ck_assert_int_eq(close(ours[i]), 0);
                ck_assert_int_eq(close(theirs[i]), 0);
        }
        expect_no_streams(world.server);
}
END_TEST

START_TEST(without_descriptors_a_stream_is_refused_and_no_connection) {
        struct both both = make_stream(false, 1);
        uint32_t most = world.server->relay.descriptors_max;
        int ours;

        world.server->relay.descriptors_max = world.server->relay.n_descriptors;
        ours = quic_host_create(&world, &ends.client, false, NULL);
        quic_world_send(&world, ours, "nowhere", 7);
        expect_end(ours, -ECONNRESET);
        ck_assert_int_eq(close(ours), 0);
        world.server->relay.descriptors_max = most;
        quic_world_send(&world, both.ours, "on", 2);
        quic_world_receive(&world, both.theirs, "on", 2);
        close_both(&both);
        both = make_stream(false, 2);
        close_both(&both);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
}
END_TEST

START_TEST(stalled_guests_stop_their_streams_and_no_others) {
        size_t length = 1024 * 1024;
        uint8_t *bytes = pattern(length, 3);
        struct both streams[20];
        size_t sent[20] = { 0 };
        unsigned n_turns = 0;

        for (unsigned i = 0; i < 20; ++i) {
                streams[i] = make_stream(false, i + 1);
                quic_host_credit(&ends.server, i + 1 + NB_STREAM_WINDOW);
        }
        /* All write until no more is taken. */
        for (unsigned idle = 0; idle < 50; ++idle) {
                for (unsigned i = 0; i < 20; ++i) {
                        ssize_t n = send(streams[i].ours, bytes + sent[i], length - sent[i], MSG_DONTWAIT);

                        sent[i] += n > 0 ? (size_t)n : 0;
                        if (n > 0)
                                idle = 0;
                }
                quic_world_turn(&world);
        }
        ck_assert_uint_le(quic_of(world.server)->bytes_buffered, 20 * (256 * 1024 + 65536));
        /* Ten read; the others never do. */
        for (unsigned i = 0; i < 10; ++i) {
                size_t n = sent[i];

                quic_world_receive(&world, streams[i].theirs, bytes, n);
                quic_world_send(&world, streams[i].ours, bytes + n, length - n);
                quic_world_receive(&world, streams[i].theirs, bytes + n, length - n);
        }
        /* And nobody is busy with them. */
        while (n_turns < 1000 && (!nb_list_is_empty(&world.server->relay.queue) ||
                                  watch_set_collect(&world.server->relay.watches, WATCH_BATCH) > 0)) {
                (void)watch_set_dispatch(&world.server->relay.watches);
                quic_world_turn(&world);
                n_turns++;
        }
        ck_assert_uint_lt(n_turns, 1000);
        for (unsigned i = 0; i < 20; ++i)
                close_both(&streams[i]);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
        free(bytes);
}
END_TEST

/* Beyond the relay's budget a connection is credited as its guest takes, and nothing is lost. */
START_TEST(a_spent_budget_slows_and_loses_nothing) {
        size_t length = 1024 * 1024;
        uint8_t *bytes = pattern(length, 6);
        struct both streams[4];
        size_t sent[4] = { 0 };

        world.server->relay.memory_max = 4 * 128 * 1024;
        for (unsigned i = 0; i < 4; ++i)
                streams[i] = make_stream(false, i + 1);
        for (unsigned idle = 0; idle < 50; ++idle) {
                for (unsigned i = 0; i < 4; ++i) {
                        ssize_t n = send(streams[i].ours, bytes + sent[i], length - sent[i], MSG_DONTWAIT);

                        sent[i] += n > 0 ? (size_t)n : 0;
                        if (n > 0)
                                idle = 0;
                }
                quic_world_turn(&world);
        }
        ck_assert(quic_budget_is_spent(quic_of(world.server)));
        /* What the peer may send ahead is what the connection's window says, and no more. */
        ck_assert_uint_le(quic_of(world.server)->bytes_buffered, 128 * 1024 + 1024 * 1024 + 4 * 65536);
        for (unsigned i = 0; i < 4; ++i) {
                quic_world_receive(&world, streams[i].theirs, bytes, sent[i]);
                quic_world_send(&world, streams[i].ours, bytes + sent[i], length - sent[i]);
                quic_world_receive(&world, streams[i].theirs, bytes + sent[i], length - sent[i]);
        }
        ck_assert(!quic_budget_is_spent(quic_of(world.server)));
        exchange(streams, 4, bytes, length);
        for (unsigned i = 0; i < 4; ++i)
                close_both(&streams[i]);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
        free(bytes);
}
END_TEST

/* Of each stream the first byte is lost, and the second comes: the library holds a piece of some KiB for it. */
START_TEST(what_comes_behind_gaps_is_of_the_budget) {
        struct quic *quic = quic_of(world.server);
        size_t most = 0;
        bool was_spent = false;
        int ours[50], theirs;

        world.server->relay.memory_max = 4 * 128 * 1024;
        for (unsigned i = 0; i < 50; ++i) {
                ours[i] = quic_host_create(&world, &ends.client, false, NULL);
                quic_host_credit(&ends.server, i + 1 + NB_STREAM_WINDOW);
        }
        ck_assert_uint_eq(quic->bytes_in_library, 0);
        is_lossy = true;
        for (unsigned i = 0; i < 50; ++i)
                ck_assert_int_eq(send(ours[i], "x", 1, MSG_DONTWAIT), 1);
        for (unsigned i = 0; i < 5; ++i)
                quic_world_turn(&world);
        is_lossy = false;
        for (unsigned i = 0; i < 50; ++i)
                ck_assert_int_eq(send(ours[i], "y", 1, MSG_DONTWAIT), 1);
        for (unsigned i = 0; i < 50; ++i) {
                theirs = quic_host_accept(&world, &ends.server, i + 1, NULL);
                most = quic->bytes_in_library > most ? quic->bytes_in_library : most;
                was_spent = was_spent || quic_budget_is_spent(quic);
                quic_world_receive(&world, theirs, "xy", 2);
                ck_assert_int_eq(close(theirs), 0);
                ck_assert_int_eq(close(ours[i]), 0);
        }
        ck_assert_uint_gt(most, 50 * 4096);
        ck_assert(was_spent);
        expect_no_streams(world.server);
        ck_assert(!quic_budget_is_spent(quic));
}
END_TEST

/* As the library would for a peer that leaves nothing but gaps. */
START_TEST(who_has_more_held_than_anything_justifies_is_ended) {
        struct quic *quic = quic_of(world.server);
        struct quic_connection *connection = nb_container_of(quic->connections.next, struct quic_connection, in_quic);
        struct both both = make_stream(false, 1);
        const ngtcp2_mem *mem = &connection->memory.mem;
        void *first = mem->malloc(1024 * 1024, mem->user_data), *second;

        /* So much may be. */
        quic_world_send(&world, both.ours, "x", 1);
        quic_world_receive(&world, both.theirs, "x", 1);
        ck_assert_uint_gt(quic->bytes_in_library, 1024 * 1024 - QUIC_MEMORY_IDLE);
        first = mem->realloc(first, 2 * 1024 * 1024, mem->user_data);
        ck_assert_uint_gt(quic->bytes_in_library, 2 * 1024 * 1024 - QUIC_MEMORY_IDLE);
        mem->free(first, mem->user_data);
        ck_assert_uint_eq(quic->bytes_in_library, 0);
        mem->free(NULL, mem->user_data);

        second = mem->calloc(16, 1024 * 1024, mem->user_data);
        quic_world_send(&world, both.ours, "x", 1);
        ck_assert_str_eq(
                quic_world_expect_end(&world, world.server, ends.link, NB__RELAY__CAUSE__CAUSE_QUIC_PROTOCOL)->reason,
                "the peer leaves more gaps in its streams than its windows justify");
        free(second);
        close_both(&both);
}
END_TEST

static void raise_descriptors(void) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Every direction of a thousand streams at once, and nothing is left of them. */
START_TEST(a_thousand_streams_leave_nothing_behind) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        struct both streams[1000];
        uint32_t client, server;

        stop();
        raise_descriptors();
        quic.streams_max = 1000;
        quic.stream_window = 65536;
        quic.connection_window = 65536;
        quic.idle_timeout_ms = 30000;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
        client = world.client->relay.n_descriptors;
        server = world.server->relay.n_descriptors;
        for (unsigned i = 0; i < 1000; ++i) {
                streams[i] = make_stream(i % 3 == 0, i + 1);
                quic_host_credit(&ends.server, i + 1 + NB_STREAM_WINDOW);
        }
        ck_assert_uint_eq(world.client->relay.n_descriptors, client + 1000);
        ck_assert_uint_eq(world.server->relay.n_descriptors, server + 1000);
        for (unsigned i = 0; i < 1000; ++i)
                close_both(&streams[i]);
        expect_no_streams(world.client);
        expect_no_streams(world.server);
        ck_assert_uint_eq(world.client->relay.n_descriptors, client);
        ck_assert_uint_eq(world.server->relay.n_descriptors, server);
}
END_TEST

/* More than one run asks of; and when all was asked there is nothing to be done before another packet comes. */
START_TEST(one_of_many_that_wait_hears_that_nobody_reads) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        const struct quic_connection *connection;
        struct both streams[200];

        stop();
        raise_descriptors();
        quic.streams_max = 200;
        quic.stream_window = 4096;
        quic.connection_window = 1024 * 1024;
        quic.idle_timeout_ms = 30000;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
        connection = connection_of(world.client);
        for (unsigned i = 0; i < 200; ++i) {
                streams[i] = make_stream(false, i + 1);
                quic_host_credit(&ends.server, i + 1 + NB_STREAM_WINDOW);
        }
        fill(streams, 200);
        stop_reading(streams[150].theirs);
        expect_write_error(streams[150].ours, EPIPE);
        while (connection->stopped.n_left > 0 || quic_stopped_next(connection) != UINT64_MAX ||
               !nb_list_is_empty(&world.client->relay.queue))
                quic_world_turn(&world);
        for (unsigned i = 0; i < 200; ++i) {
                if (i == 150)
                        continue;
                ck_assert_int_eq(send(streams[i].ours, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
                ck_assert_int_eq(errno, EAGAIN);
        }
        for (unsigned i = 0; i < 200; ++i)
                close_both(&streams[i]);
}
END_TEST

/* ---- the channel ---- */

START_TEST(who_breaks_the_rules_of_the_channel_loses_the_connection) {
        quic_host_wait_for_room(&world, &ends.client, false, 0);
        ck_assert_int_eq(send(ends.client.fd, "nonsense", 8, 0), 8);
        quic_world_expect_end(&world, world.client, ends.link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
}
END_TEST

START_TEST(more_streams_than_the_totals_are_a_violation) {
        Nb__StreamCreate create = NB__STREAM_CREATE__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        /* Before Streams has come. */
        ends.client.serial = 41;
        request.body_case = NB__REQUEST__BODY_STREAM_CREATE;
        request.stream_create = &create;
        request.serial = 0;
        ck_assert_int_eq(nb_request_send(ends.client.fd, &request, NULL, 0), 0);
        quic_world_expect_end(&world, world.client, ends.link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
}
END_TEST

START_TEST(what_was_written_is_delivered_when_the_guest_is_gone) {
        size_t length = 100 * 1024;
        uint8_t *bytes = pattern(length, 4);
        struct both both = make_stream(false, 1);

        quic_world_send(&world, both.ours, bytes, length);
        ck_assert_int_eq(close(both.ours), 0);
        ends.client.fd = nb_fd_close(ends.client.fd);
        quic_world_receive(&world, both.theirs, bytes, length);
        expect_end(both.theirs, 0);
        quic_world_expect_end(&world, world.client, ends.link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        quic_world_expect_end(&world, world.server, ends.link, NB__RELAY__CAUSE__CAUSE_CLOSED);
        ck_assert_int_eq(close(both.theirs), 0);
        free(bytes);
}
END_TEST

START_TEST(streams_live_on_without_the_channel) {
        struct both both = make_stream(false, 1);

        ends.client.fd = nb_fd_close(ends.client.fd);
        for (int i = 0; i < 10; ++i)
                quic_world_turn(&world);
        quic_world_send(&world, both.ours, "still", 5);
        quic_world_receive(&world, both.theirs, "still", 5);
        close_both(&both);
        quic_world_expect_end(&world, world.client, ends.link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
}
END_TEST

START_TEST(streams_for_a_guest_without_a_channel_are_refused) {
        struct both both = make_stream(false, 1);
        int ours;

        ends.server.fd = nb_fd_close(ends.server.fd);
        ours = quic_host_create(&world, &ends.client, false, NULL);
        quic_world_send(&world, ours, "nobody", 6);
        expect_end(ours, -ECONNRESET);
        ck_assert_int_eq(close(ours), 0);
        close_both(&both);
}
END_TEST

START_TEST(descriptors_that_nobody_receives_stay_counted) {
        struct nb_channel_fds fds;
        int ours[4];

        for (int i = 0; i < 4; ++i) {
                ours[i] = quic_host_create(&world, &ends.client, false, NULL);
                quic_world_send(&world, ours[i], "x", 1);
        }
        while (quic_of(world.server)->n_in_flight < 4)
                quic_world_turn(&world);
        relay_world_end(world.server, ends.link);
        quic_world_expect_end(&world, world.server, ends.link, NB__RELAY__CAUSE__CAUSE_ENDED);
        ck_assert_uint_eq(quic_of(world.server)->n_in_flight, 4);
        for (int i = 0; i < 4; ++i)
                ck_assert_int_eq(close(quic_host_accept(&world, &ends.server, (uint64_t)i + 1, NULL)), 0);
        (void)quic_host_expect(&world, &ends.server, NB__REPLY__BODY_CONNECTION_CLOSED, &fds);
        while (quic_of(world.server)->n_in_flight > 0)
                quic_world_turn(&world);
        ck_assert(nb_list_is_empty(&quic_of(world.server)->unread));
        for (int i = 0; i < 4; ++i)
                ck_assert_int_eq(close(ours[i]), 0);
}
END_TEST

START_TEST(as_many_descriptors_are_under_way_as_the_broker_allows) {
        int ours[6], theirs[6];

        world.server->relay.in_flight_max = 2;
        for (int i = 0; i < 6; ++i) {
                ours[i] = quic_host_create(&world, &ends.client, false, NULL);
                quic_world_send(&world, ours[i], "x", 1);
        }
        for (int i = 0; i < 20; ++i)
                quic_world_turn(&world);
        ck_assert_uint_eq(quic_of(world.server)->n_in_flight, 2);
        /* Who receives gets the others, too. */
        for (int i = 0; i < 6; ++i) {
                theirs[i] = quic_host_accept(&world, &ends.server, (uint64_t)i + 1, NULL);
                ck_assert_uint_le(quic_of(world.server)->n_in_flight, 2);
        }
        for (int i = 0; i < 6; ++i) {
                ck_assert_int_eq(close(ours[i]), 0);
                ck_assert_int_eq(close(theirs[i]), 0);
        }
}
END_TEST

static void ask_for_stream(struct quic_host *host) {
        Nb__StreamCreate create = NB__STREAM_CREATE__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        quic_host_wait_for_room(&world, host, false, 0);
        request.body_case = NB__REQUEST__BODY_STREAM_CREATE;
        request.stream_create = &create;
        quic_host_ask(host, &request);
}

/* Another one of the tenant's receives nothing, so there is no room for an answer. */
START_TEST(who_is_gone_while_it_waits_for_room_is_noticed) {
        struct quic_ends other;

        world.client->relay.in_flight_max = 1;
        quic_world_connect(&world, &other);
        ask_for_stream(&other.client);
        while (quic_of(world.client)->n_in_flight == 0)
                quic_world_turn(&world);
        ask_for_stream(&ends.client);
        for (int i = 0; i < 20; ++i)
                quic_world_turn(&world);
        ends.client.fd = nb_fd_close(ends.client.fd);
        quic_world_expect_end(&world, world.client, ends.link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        ck_assert_uint_eq(quic_of(world.client)->n_in_flight, 1);
        quic_ends_close(&other);
}
END_TEST

/* The host reads its channel only when it wants another stream: the total that lies unread is not taken for a descriptor. */
START_TEST(totals_come_behind_descriptors_that_were_received) {
        Nb__StreamCreate create = NB__STREAM_CREATE__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        struct both both = make_stream(false, 1);
        uint64_t allowed = ends.client.allowed[0];
        struct nb_channel_fds fds;

        request.body_case = NB__REQUEST__BODY_STREAM_CREATE;
        request.stream_create = &create;
        quic_host_ask(&ends.client, &request);
        while (quic_of(world.client)->n_in_flight == 0)
                quic_world_turn(&world);
        close_both(&both);
        for (int i = 0; i < 20; ++i)
                quic_world_turn(&world);
        ck_assert_uint_eq(quic_of(world.client)->n_in_flight, 1);
        (void)quic_host_expect(&world, &ends.client, NB__REPLY__BODY_STREAM_CREATED, &fds);
        ck_assert_uint_eq(fds.n, 1);
        ck_assert_uint_eq(ends.client.allowed[0], allowed);
        while (quic_of(world.client)->n_in_flight > 0)
                quic_world_turn(&world);
        quic_host_wait_for_room(&world, &ends.client, false, allowed);
        ck_assert_int_eq(close(fds.fds[0]), 0);
}
END_TEST

/* ---- datagrams ---- */

static void start_datagrams(void) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;

        quic.streams_max = 100;
        quic.stream_window = 65536;
        quic.connection_window = 65536;
        quic.idle_timeout_ms = 30000;
        quic.datagrams = true;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
}

START_TEST(datagrams_pass_both_ways_with_their_borders) {
        uint8_t bytes[1024] = { 1 }, got[2048];
        int ours = quic_host_create(&world, &ends.client, false, NULL);
        int theirs;

        ck_assert_int_eq(send(ours, "one", 3, 0), 3);
        ck_assert_int_eq(send(ours, "", 0, 0), 0);
        ck_assert_int_eq(send(ours, bytes, sizeof(bytes), 0), sizeof(bytes));
        /* They wait for whoever asks for the channel. */
        for (int i = 0; i < 20; ++i)
                quic_world_turn(&world);
        theirs = quic_host_create(&world, &ends.server, false, NULL);
        ck_assert_int_eq(quic_world_read(&world, theirs, got, sizeof(got)), 3);
        ck_assert_mem_eq(got, "one", 3);
        ck_assert_int_eq(quic_world_read(&world, theirs, got, sizeof(got)), 0);
        ck_assert_int_eq(quic_world_read(&world, theirs, got, sizeof(got)), sizeof(bytes));
        ck_assert_mem_eq(got, bytes, sizeof(bytes));
        ck_assert_int_eq(send(theirs, "two", 3, 0), 3);
        ck_assert_int_eq(quic_world_read(&world, ours, got, sizeof(got)), 3);
        ck_assert_mem_eq(got, "two", 3);
        ck_assert_uint_eq(ends.client.allowed[0], 1);
        ck_assert_uint_eq(ends.client.allowed[1], 0);
        ck_assert_int_eq(close(ours), 0);
        ck_assert_int_eq(close(theirs), 0);
}
END_TEST

static uint64_t n_dropped(const struct relay_world *relay) {
        return nb_container_of(quic_of(relay)->connections.next, struct quic_connection, in_quic)
                ->streams.n_datagrams_dropped;
}

START_TEST(datagrams_that_do_not_fit_or_are_not_read_are_dropped) {
        uint8_t bytes[4096] = { 0 };
        int ours = quic_host_create(&world, &ends.client, false, NULL);
        int theirs = quic_host_create(&world, &ends.server, false, NULL);

        ck_assert_int_eq(send(ours, bytes, sizeof(bytes), 0), sizeof(bytes));
        while (n_dropped(world.client) == 0)
                quic_world_turn(&world);
        ck_assert_uint_eq(n_dropped(world.client), 1);
        while (n_dropped(world.server) == 0) {
                (void)send(ours, bytes, 1000, MSG_DONTWAIT);
                quic_world_turn(&world);
        }
        ck_assert_int_eq(close(ours), 0);
        ck_assert_int_eq(close(theirs), 0);
}
END_TEST

/* What waited for the congestion window when the connection moved to a path of which nothing is known yet. */
START_TEST(datagrams_that_fit_the_path_no_more_are_dropped) {
        struct quic_connection *connection =
                nb_container_of(quic_of(world.client)->connections.next, struct quic_connection, in_quic);
        struct quic_path path = { .local = *quic_socket_local(connection->socket),
                                  .remote = *quic_socket_remote(connection->socket) };
        ngtcp2_path for_library = quic_path_for_library(&path);
        uint8_t bytes[1300] = { 0 };
        int ours = quic_host_create(&world, &ends.client, false, NULL);

        while (ngtcp2_conn_get_path_max_tx_udp_payload_size(connection->conn) < QUIC_PACKET_MAX)
                quic_world_turn(&world);
        /* The server has no turn, so nothing is acknowledged, and at last some wait. */
        for (int i = 0; i < 1000; ++i) {
                (void)send(ours, bytes, sizeof(bytes), MSG_DONTWAIT);
                relay_turn(&world.client->relay, false);
        }
        ck_assert(!quic_streams_are_drained(connection));
        ck_assert_uint_eq(n_dropped(world.client), 0);
        path.local.in.sin_port ^= 1;
        ck_assert_int_eq(ngtcp2_conn_initiate_immediate_migration(connection->conn, &for_library, quic_library_now()),
                         0);
        quic_connection_run_later(connection);
        relay_turn(&world.client->relay, false);
        ck_assert_uint_gt(n_dropped(world.client), 0);
        ck_assert_int_eq(close(ours), 0);
}
END_TEST

static TCase *test_case(const char *name, void (*set_up)(void)) {
        TCase *test_case = tcase_create(name);

        tcase_add_unchecked_fixture(test_case, make_certificates, remove_certificates);
        tcase_add_checked_fixture(test_case, set_up, stop);
        return test_case;
}

int main(void) {
        Suite *suite = suite_create("relay_quic_streams");
        TCase *streams = test_case("streams", start), *datagrams = test_case("datagrams", start_datagrams);

        tcase_add_test(streams, either_side_makes_streams);
        tcase_add_test(streams, much_passes_both_ways_at_once);
        tcase_add_test(streams, a_hundred_streams_at_once);
        tcase_add_test(streams, each_direction_ends_for_itself);
        tcase_add_test(streams, a_close_is_an_end_and_stops_the_other);
        tcase_add_test(streams, a_close_with_unread_bytes_resets);
        tcase_add_test(streams, a_reset_comes_behind_what_came_before);
        tcase_add_test(streams, who_stops_reading_goes_on_writing);
        tcase_add_loop_test(streams, who_has_shut_all_down_reads_the_end, 0, N_BEFORE_THE_SHUTDOWN);
        tcase_add_test(streams, who_waits_for_credit_hears_that_nobody_reads);
        tcase_add_test(streams, who_waits_for_the_connections_credit_hears_it_too);
        tcase_add_test(streams, one_of_many_that_wait_hears_that_nobody_reads);
        tcase_add_test(streams, one_way_of_ours);
        tcase_add_test(streams, one_way_that_nobody_reads);
        tcase_add_test(streams, an_end_without_a_byte);
        tcase_add_test(streams, an_end_right_behind_bytes);
        tcase_add_test(streams, what_came_whole_outlives_the_connection);
        tcase_add_test(streams, a_stream_that_lost_something_does_not_end_well);
        tcase_add_test(streams, a_stream_that_lacks_bytes_does_not_end_well);
        tcase_add_loop_test(streams, what_came_whole_and_lacks_bytes_does_not_end_well, 0, 2);
        tcase_add_test(streams, revoked_streams_are_cut);
        tcase_add_test(streams, a_relay_that_dies_cuts_its_streams);
        tcase_add_test(streams, a_stream_that_is_gone_makes_room_for_another);
        tcase_add_test(streams, streams_wait_for_credit);
        tcase_add_test(streams, without_descriptors_a_stream_is_refused_and_no_connection);
        tcase_add_test(streams, stalled_guests_stop_their_streams_and_no_others);
        tcase_add_test(streams, a_spent_budget_slows_and_loses_nothing);
        tcase_add_test(streams, what_comes_behind_gaps_is_of_the_budget);
        tcase_add_test(streams, who_has_more_held_than_anything_justifies_is_ended);
        tcase_add_test(streams, a_thousand_streams_leave_nothing_behind);
        tcase_add_test(streams, who_breaks_the_rules_of_the_channel_loses_the_connection);
        tcase_add_test(streams, more_streams_than_the_totals_are_a_violation);
        tcase_add_test(streams, what_was_written_is_delivered_when_the_guest_is_gone);
        tcase_add_test(streams, streams_live_on_without_the_channel);
        tcase_add_test(streams, streams_for_a_guest_without_a_channel_are_refused);
        tcase_add_test(streams, descriptors_that_nobody_receives_stay_counted);
        tcase_add_test(streams, as_many_descriptors_are_under_way_as_the_broker_allows);
        tcase_add_test(streams, who_is_gone_while_it_waits_for_room_is_noticed);
        tcase_add_test(streams, totals_come_behind_descriptors_that_were_received);
        tcase_add_test(datagrams, datagrams_pass_both_ways_with_their_borders);
        tcase_add_test(datagrams, datagrams_that_do_not_fit_or_are_not_read_are_dropped);
        tcase_add_test(datagrams, datagrams_that_fit_the_path_no_more_are_dropped);
        suite_add_tcase(suite, streams);
        suite_add_tcase(suite, datagrams);
        return run_suite(suite);
}
