/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links that carry plain bytes: both ways, to each kind of end, with and without splice, and what they leave behind.
 */
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "relay/link.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/relay_world.h"
#include "tests/unit/socket_pairs.h"

/* More than all buffers on the way hold. */
#define LARGE ((size_t)24 * 1024 * 1024)

static void close_ends(struct relay_ends ends) {
        ck_assert_int_eq(close(ends.peer), 0);
        ck_assert_int_eq(close(ends.guest), 0);
}

static uint8_t *noise(size_t size) {
        uint8_t *bytes = malloc(size);
        uint32_t state = 1;

        ck_assert_ptr_nonnull(bytes);
        for (size_t i = 0; i < size; ++i) {
                state = state * 1664525 + 1013904223;
                bytes[i] = (uint8_t)(state >> 24);
        }
        return bytes;
}

START_TEST(bytes_both_ways) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 7, false);

        for (int i = 0; i < 100; ++i) {
                relay_world_send(world, ends.guest, "a request", 9);
                relay_world_receive(world, ends.peer, "a request", 9);
                relay_world_send(world, ends.peer, "an answer", 9);
                relay_world_receive(world, ends.guest, "an answer", 9);
        }
        relay_world_end(world, 7);
        ck_assert_uint_eq(relay_world_expect_end(world, 7, NB__RELAY__CAUSE__CAUSE_ENDED)->bytes_to_peer, 900);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* Its guest has its end already, and may have written and ended. */
START_TEST(nobody_waits_for_its_word) {
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends;
        char byte;

        begin.without_ready = true;
        ends = relay_world_begin(world, 7, false, &begin);
        ck_assert_int_eq(send(ends.guest, "a request", 9, 0), 9);
        ck_assert_int_eq(shutdown(ends.guest, SHUT_WR), 0);
        ck_assert_int_eq(send(ends.peer, "an answer", 9, 0), 9);
        relay_world_expect_nothing(world);
        relay_world_receive(world, ends.peer, "a request", 9);
        ck_assert_int_eq(relay_world_read(world, ends.peer, &byte, 1), 0);
        relay_world_receive(world, ends.guest, "an answer", 9);
        ck_assert_int_eq(shutdown(ends.peer, SHUT_WR), 0);
        ck_assert_uint_eq(relay_world_expect_end(world, 7, NB__RELAY__CAUSE__CAUSE_CLOSED)->bytes_to_peer, 9);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* One byte is never taken out of the pair; it must not be missed when it is the last of a long transfer. */
START_TEST(each_length_arrives_whole) {
        static const size_t lengths[] = { 1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 65535, 65536, 65537, 200000, 1 };
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        uint8_t *bytes = noise(200000);

        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); ++i) {
                relay_world_send(world, ends.guest, bytes, lengths[i]);
                relay_world_receive(world, ends.peer, bytes, lengths[i]);
                relay_world_send(world, ends.peer, bytes, lengths[i]);
                relay_world_receive(world, ends.guest, bytes, lengths[i]);
        }
        free(bytes);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

struct transfer {
        int from;
        int to;
        const uint8_t *bytes;
        size_t sent;
        size_t received;
};

static void transfer_some(struct transfer *transfer) {
        uint8_t buffer[65536];
        ssize_t n;

        n = send(transfer->from, transfer->bytes + transfer->sent, LARGE - transfer->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        transfer->sent += n > 0 ? (size_t)n : 0;
        n = recv(transfer->to, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (n <= 0)
                return;
        ck_assert_mem_eq(buffer, transfer->bytes + transfer->received, (size_t)n);
        transfer->received += (size_t)n;
}

START_TEST(long_transfers_both_ways_at_once) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        uint8_t *bytes = noise(LARGE);
        struct transfer there = { .from = ends.guest, .to = ends.peer, .bytes = bytes };
        struct transfer back = { .from = ends.peer, .to = ends.guest, .bytes = bytes };
        const Nb__Relay__Ended *ended;

        while (there.received < LARGE || back.received < LARGE) {
                transfer_some(&there);
                transfer_some(&back);
                relay_turn(&world->relay, false);
        }
        free(bytes);
        ck_assert_uint_gt(world->relay.pipes.n_pipes, 0);
        ck_assert_uint_eq(world->relay.pipes.n_idle, world->relay.pipes.n_pipes);
        close_ends(ends);
        ended = relay_world_expect(world, NB__RELAY__REPORT__BODY_ENDED)->ended;
        ck_assert_uint_eq(ended->bytes_to_peer, LARGE);
        ck_assert_uint_eq(ended->bytes_to_guest, LARGE);
        (void)relay_world_free(world);
}
END_TEST

/* Who does not read stops who writes, and nothing is lost. */
static size_t fill(struct relay_world *world, int fd, const uint8_t *bytes) {
        size_t sent = 0;
        int full = 0;

        while (full < 50) {
                ssize_t n = send(fd, bytes + sent, LARGE - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

                sent += n > 0 ? (size_t)n : 0;
                full = n > 0 ? 0 : full + 1;
                relay_turn(&world->relay, false);
        }
        return sent;
}

START_TEST(a_slow_side_stops_the_other) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false), other = relay_world_link(world, 2, false);
        uint8_t *bytes = noise(LARGE);
        int from = _i ? ends.peer : ends.guest, to = _i ? ends.guest : ends.peer;
        size_t sent = fill(world, from, bytes);

        ck_assert_uint_lt(sent, LARGE);
        /* Nobody else notices. */
        relay_world_send(world, other.guest, "ping", 4);
        relay_world_receive(world, other.peer, "ping", 4);
        relay_world_receive(world, to, bytes, sent);
        relay_world_send(world, from, "and on", 6);
        relay_world_receive(world, to, "and on", 6);
        free(bytes);
        close_ends(ends);
        close_ends(other);
        (void)relay_world_free(world);
}
END_TEST

START_TEST(each_side_can_end_its_half) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        int first = _i ? ends.peer : ends.guest, second = _i ? ends.guest : ends.peer;
        char byte;

        relay_world_send(world, first, "last words", 10);
        ck_assert_int_eq(shutdown(first, SHUT_WR), 0);
        relay_world_receive(world, second, "last words", 10);
        ck_assert_int_eq(relay_world_read(world, second, &byte, 1), 0);
        relay_world_expect_nothing(world);
        relay_world_send(world, second, "an answer", 9);
        ck_assert_int_eq(shutdown(second, SHUT_WR), 0);
        relay_world_receive(world, first, "an answer", 9);
        ck_assert_int_eq(relay_world_read(world, first, &byte, 1), 0);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_CLOSED);
        /* A clean end stays one. */
        ck_assert_int_eq(recv(ends.guest, &byte, 1, 0), 0);
        ck_assert_int_eq(recv(ends.peer, &byte, 1, 0), 0);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

static void reset(int fd) {
        struct linger at_once = { .l_onoff = 1 };

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
        ck_assert_int_eq(close(fd), 0);
}

START_TEST(a_reset_by_the_peer_reaches_the_guest_behind_the_data) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        char byte;

        relay_world_send(world, ends.guest, "x", 1);
        relay_world_send(world, ends.peer, "what was said", 13);
        relay_world_expect_nothing(world);
        reset(ends.peer);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_RESET);
        relay_world_receive(world, ends.guest, "what was said", 13);
        ck_assert_int_eq(relay_world_read(world, ends.guest, &byte, 1), -ECONNRESET);
        ck_assert_int_eq(close(ends.guest), 0);
        (void)relay_world_free(world);
}
END_TEST

/* What the relay could not yet give to the guest when the reset came, the guest gets all the same. */
START_TEST(a_reset_waits_for_a_slow_guest) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        uint8_t *bytes = noise(LARGE);
        size_t received = 0;
        ssize_t n;

        (void)fill(world, ends.peer, bytes);
        reset(ends.peer);
        if (_i) {
                /* The relay learns of it by its own write. */
                relay_world_send(world, ends.guest, "too late", 8);
        }
        relay_world_expect_nothing(world);
        ck_assert(nb_list_is_empty(&world->relay.queue));
        while ((n = relay_world_read(world, ends.guest, bytes, 65536)) > 0)
                received += (size_t)n;
        ck_assert_int_eq(n, -ECONNRESET);
        ck_assert_uint_gt(received, 65536);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_RESET);
        free(bytes);
        ck_assert_int_eq(close(ends.guest), 0);
        (void)relay_world_free(world);
}
END_TEST

START_TEST(the_end_of_the_relay_resets_the_guest) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        char byte;

        if (_i) {
                relay_world_send(world, ends.guest, "to the peer", 11);
                relay_world_receive(world, ends.peer, "to the peer", 11);
        }
        relay_world_send(world, ends.peer, "before", 6);
        relay_world_expect_nothing(world);
        (void)relay_world_free(world);
        ck_assert_int_eq(recv(ends.guest, (char[6]){ 0 }, 6, 0), 6);
        ck_assert_int_eq(recv(ends.guest, &byte, 1, 0), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        close_ends(ends);
}
END_TEST

START_TEST(an_order_to_end_resets_both) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        char byte;

        relay_world_end(world, 1);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_ENDED);
        ck_assert_int_eq(relay_world_read(world, ends.guest, &byte, 1), -ECONNRESET);
        ck_assert_int_eq(relay_world_read(world, ends.peer, &byte, 1), -ECONNRESET);
        /* It can cross with the end of the link. */
        relay_world_end(world, 1);
        relay_world_expect_nothing(world);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

START_TEST(what_a_guest_leaves_behind_is_sent) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        uint8_t *bytes = noise(LARGE);
        size_t sent = fill(world, ends.guest, bytes);
        char byte;

        ck_assert_int_eq(close(ends.guest), 0);
        relay_world_receive(world, ends.peer, bytes, sent);
        ck_assert_int_eq(relay_world_read(world, ends.peer, &byte, 1), 0);
        ck_assert_uint_eq(relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_GUEST_GONE)->bytes_to_peer, sent);
        free(bytes);
        ck_assert_int_eq(close(ends.peer), 0);
        (void)relay_world_free(world);
}
END_TEST

/* It has shut down both directions and not closed: it reads the end that it asked for, and its peer has all that it wrote. */
START_TEST(a_guest_that_has_shut_all_down_is_not_reset) {
        bool datagrams = _i;
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, datagrams);
        char bytes[16];

        relay_world_send(world, ends.guest, "first", 5);
        relay_world_receive(world, ends.peer, "first", 5);
        if (datagrams)
                ck_assert_int_eq(send(ends.guest, "", 0, 0), 0);
        relay_world_send(world, ends.guest, "last words", 10);
        ck_assert_int_eq(shutdown(ends.guest, SHUT_RDWR), 0);
        if (datagrams)
                ck_assert_int_eq(relay_world_read(world, ends.peer, bytes, sizeof(bytes)), 0);
        relay_world_receive(world, ends.peer, "last words", 10);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(recv(ends.guest, bytes, sizeof(bytes), 0), 0);
        ck_assert_int_eq(send(ends.guest, "x", 1, MSG_NOSIGNAL), -1);
        ck_assert_int_eq(errno, EPIPE);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* Nor where its peer has ended before, of which the guest, which did not read any more, was not told. */
START_TEST(a_guest_that_has_shut_all_down_after_its_peer_is_not_reset) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        char bytes[16];

        ck_assert_int_eq(shutdown(ends.guest, SHUT_RD), 0);
        relay_world_send(world, ends.peer, "too late", 8);
        ck_assert_int_eq(shutdown(ends.peer, SHUT_WR), 0);
        relay_world_expect_nothing(world);
        relay_world_send(world, ends.guest, "last words", 10);
        ck_assert_int_eq(shutdown(ends.guest, SHUT_WR), 0);
        relay_world_receive(world, ends.peer, "last words", 10);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_CLOSED);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(recv(ends.guest, bytes, sizeof(bytes), 0), 0);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* As the kernel does it to the peer of a socket that is closed with something unread. */
START_TEST(a_guest_that_did_not_read_resets_its_peer) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        char byte;

        relay_world_send(world, ends.peer, "unread", 6);
        relay_world_expect_nothing(world);
        ck_assert_int_eq(close(ends.guest), 0);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        ck_assert_int_eq(relay_world_read(world, ends.peer, &byte, 1), -ECONNRESET);
        ck_assert_int_eq(close(ends.peer), 0);
        (void)relay_world_free(world);
}
END_TEST

START_TEST(messages_keep_their_borders) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, true);
        char buffer[16];

        for (int i = 0; i < 100; ++i) {
                relay_world_send(world, ends.guest, "one", 3);
                relay_world_send(world, ends.guest, "other", 5);
                ck_assert_int_eq(send(ends.guest, "", 0, 0), 0);
                ck_assert_int_eq(relay_world_read(world, ends.peer, buffer, sizeof(buffer)), 3);
                ck_assert_int_eq(relay_world_read(world, ends.peer, buffer, sizeof(buffer)), 5);
                ck_assert_int_eq(relay_world_read(world, ends.peer, buffer, sizeof(buffer)), 0);
                relay_world_send(world, ends.peer, "back", 4);
                ck_assert_int_eq(relay_world_read(world, ends.guest, buffer, sizeof(buffer)), 4);
        }
        ck_assert_int_eq(close(ends.guest), 0);
        (void)relay_world_expect_end(world, 1, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        ck_assert_int_eq(close(ends.peer), 0);
        (void)relay_world_free(world);
}
END_TEST

START_TEST(messages_of_all_sizes) {
        static const size_t lengths[] = { 65507, 1, 5000, 65508, 4096, 70000, 2 };
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, true);
        uint8_t *bytes = noise(70000), buffer[65536];

        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); ++i) {
                ck_assert_int_eq(send(ends.guest, bytes, lengths[i], MSG_DONTWAIT), (ssize_t)lengths[i]);
                if (lengths[i] <= 65507)
                        ck_assert_int_eq(relay_world_read(world, ends.peer, buffer, sizeof(buffer)),
                                         (ssize_t)lengths[i]);
                relay_world_expect_nothing(world);
        }
        free(bytes);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

static bool is_writable(int fd) {
        struct pollfd pollfd = { .fd = fd, .events = POLLOUT };

        return poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLOUT);
}

/* Each write is charged to the guest's end as hundreds of bytes, for as long as a byte of it is in the queue. */
START_TEST(many_small_writes_do_not_end_writing) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        uint8_t buffer[4096];

        for (int round = 0; round < 3; ++round) {
                size_t n_written = 0, n_read = 0;

                while (is_writable(ends.guest) && send(ends.guest, "x", 1, MSG_DONTWAIT) == 1)
                        ++n_written;
                ck_assert_uint_gt(n_written, 16);
                while (n_read < n_written)
                        n_read += (size_t)relay_world_read(world, ends.peer, buffer, sizeof(buffer));
                relay_world_expect_nothing(world);
                ck_assert(is_writable(ends.guest));
        }
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

START_TEST(messages_that_were_forwarded_do_not_end_writing) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, true);
        uint8_t *bytes = noise(4096), buffer[4096];

        for (int i = 0; i < 40; ++i) {
                ck_assert_int_eq(send(ends.guest, bytes, 4000, MSG_DONTWAIT), 4000);
                ck_assert_int_eq(relay_world_read(world, ends.peer, buffer, sizeof(buffer)), 4000);
                ck_assert(is_writable(ends.guest));
        }
        free(bytes);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* A guest that does not read loses messages; the peer's others come when it reads again. */
START_TEST(a_full_guest_loses_messages) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, true);
        char buffer[1024] = { 0 };
        int n = 0;

        for (int i = 0; i < 2000; ++i)
                relay_world_send(world, ends.peer, buffer, sizeof(buffer));
        relay_world_expect_nothing(world);
        while (recv(ends.guest, buffer, sizeof(buffer), MSG_DONTWAIT) == sizeof(buffer))
                n++;
        ck_assert_int_gt(n, 0);
        ck_assert_int_lt(n, 2000);
        relay_world_send(world, ends.peer, "again", 5);
        ck_assert_int_eq(relay_world_read(world, ends.guest, buffer, sizeof(buffer)), 5);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

START_TEST(nothing_is_left_behind) {
        struct relay_world *world = relay_world_free(relay_world_new(1)); /* libuv keeps a pipe for the process */
        struct relay_ends ends[100];
        int before = count_fds();

        world = relay_world_new(100);
        for (uint64_t i = 0; i < 100; ++i)
                ends[i] = relay_world_link(world, i + 1, i % 2 == 1);
        for (uint64_t i = 0; i < 50; ++i) {
                close_ends(ends[i]);
                ck_assert_int_eq(relay_world_expect(world, NB__RELAY__REPORT__BODY_ENDED)->body_case,
                                 NB__RELAY__REPORT__BODY_ENDED);
        }
        ck_assert_uint_eq(world->relay.n_links, 50);
        for (uint64_t i = 50; i < 100; ++i)
                close_ends(ends[i]);
        (void)relay_world_free(world);
        ck_assert_int_eq(count_fds(), before);
}
END_TEST

/* Ten thousand idle connections are 10 MB. (A sanitizer's allocator counts nothing.) */
START_TEST(an_idle_link_is_small) {
        enum { LINKS = 64 };
        struct relay_world *world = relay_world_new(LINKS);
        struct relay_ends ends[LINKS];
        size_t before;

        ends[0] = relay_world_link(world, 1, false);
        before = mallinfo2().uordblks;
        for (uint64_t i = 1; i < LINKS; ++i) {
                ends[i] = relay_world_link(world, i + 1, false);
                relay_world_send(world, ends[i].guest, "ping", 4);
                relay_world_receive(world, ends[i].peer, "ping", 4);
        }
        ck_assert_uint_lt((mallinfo2().uordblks - before) / (LINKS - 1), 1024);
        for (uint64_t i = 0; i < LINKS; ++i)
                close_ends(ends[i]);
        (void)relay_world_free(world);
}
END_TEST

/* One that has always more to do lets the others have their turns. */
START_TEST(a_busy_link_delays_no_other) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends busy = relay_world_link(world, 1, false), quiet = relay_world_link(world, 2, false);
        uint8_t *bytes = noise(LARGE);
        char buffer[4];

        for (int i = 0; i < 100; ++i) {
                struct transfer transfer = { .from = busy.peer, .to = busy.guest, .bytes = bytes };

                ck_assert_int_eq(send(quiet.guest, "ping", 4, 0), 4);
                (void)send(transfer.from, bytes, LARGE, MSG_DONTWAIT | MSG_NOSIGNAL);
                for (int turn = 0; turn < 3; ++turn) {
                        relay_turn(&world->relay, false);
                        while (recv(transfer.to, bytes, 65536, MSG_DONTWAIT) > 0)
                                ;
                }
                ck_assert_int_eq(recv(quiet.peer, buffer, sizeof(buffer), MSG_DONTWAIT), 4);
        }
        free(bytes);
        close_ends(busy);
        close_ends(quiet);
        (void)relay_world_free(world);
}
END_TEST

/* A guest that has its end already may have written what is lost now, and its peer is not told a good end. */
START_TEST(no_more_links_than_allowed) {
        struct relay_world *world = relay_world_new(1);
        struct relay_ends one = relay_world_link(world, 1, false), two;
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        char byte;

        begin.without_ready = _i == 1;
        two = relay_world_begin(world, 2, false, &begin);
        (void)relay_world_expect_end(world, 2, NB__RELAY__CAUSE__CAUSE_NO_MEMORY);
        ck_assert_int_eq(relay_world_read(world, two.peer, &byte, 1), _i == 1 ? -ECONNRESET : 0);
        ck_assert_int_eq(relay_world_read(world, two.guest, &byte, 1), -ECONNRESET);
        relay_world_send(world, one.guest, "ping", 4);
        relay_world_receive(world, one.peer, "ping", 4);
        close_ends(one);
        close_ends(two);
        (void)relay_world_free(world);
}
END_TEST

static const Nb__Relay__Cause causes_of_ours[] = {
        NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
        NB__RELAY__CAUSE__CAUSE_TIMED_OUT,
};

/* What a guest has left, or would still write, is not delivered: unless it has ended, its peer is not told that it has. */
START_TEST(what_fails_here_is_no_good_end_of_the_guests) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        bool has_ended = _i % 2 == 1;
        char byte;

        relay_world_send(world, ends.guest, "x", 1);
        relay_world_receive(world, ends.peer, "x", 1);
        if (has_ended) {
                ck_assert_int_eq(shutdown(ends.guest, SHUT_WR), 0);
                ck_assert_int_eq(relay_world_read(world, ends.peer, &byte, 1), 0);
        }
        link_end(link_table_find(&world->relay.table, 1), causes_of_ours[_i / 2], "");
        (void)relay_world_expect_end(world, 1, causes_of_ours[_i / 2]);
        ck_assert_int_eq(relay_world_read(world, ends.peer, &byte, 1), has_ended ? 0 : -ECONNRESET);
        ck_assert_int_eq(relay_world_read(world, ends.guest, &byte, 1), -ECONNRESET);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* The broker may be busy while all links of a tenant end. */
START_TEST(reports_wait_for_a_broker_that_is_busy) {
        enum { LINKS = 400 };
        struct relay_world *world = relay_world_new(LINKS);
        struct relay_ends ends[LINKS];

        for (uint64_t i = 0; i < LINKS; ++i)
                ends[i] = relay_world_link(world, i + 1, false);
        for (uint64_t i = 0; i < LINKS; ++i)
                close_ends(ends[i]);
        while (world->relay.n_links > 0)
                relay_turn(&world->relay, false);
        ck_assert_uint_gt(world->relay.outbox.size, 0);
        for (uint64_t i = 0; i < LINKS; ++i)
                (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_ENDED);
        ck_assert_uint_eq(world->relay.outbox.size, 0);
        (void)relay_world_free(world);
}
END_TEST

/* What the kernel tells of the peer once, it may tell before anybody reads for the guest. */
START_TEST(an_end_that_came_with_the_handshake_is_an_end) {
        static const char all[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nlast words";
        struct relay_world *world = relay_world_new(4);
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        Nb__Relay__Judgement judgement = NB__RELAY__JUDGEMENT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct relay_ends ends;
        char byte;

        begin.role = NB__RELAY__ROLE__ROLE_SERVER;
        begin.expects_header = true;
        ends = relay_world_begin(world, 1, false, &begin);
        ck_assert_int_eq(send(ends.peer, all, sizeof(all) - 1, 0), sizeof(all) - 1);
        ck_assert_int_eq(shutdown(ends.peer, SHUT_WR), 0);
        (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_ANNOUNCED);
        relay_world_expect_nothing(world);
        judgement.link = 1;
        judgement.allowed = true;
        order.body_case = NB__RELAY__ORDER__BODY_JUDGEMENT;
        order.judgement = &judgement;
        relay_world_order(world, &order, NULL, 0);
        (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_READY);
        relay_world_receive(world, ends.guest, "last words", 10);
        ck_assert_int_eq(relay_world_read(world, ends.guest, &byte, 1), 0);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* A read ends in front of an urgent byte, though there is more behind it. The byte itself is not for streams. */
START_TEST(urgent_bytes_hold_up_nothing) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = relay_world_link(world, 1, false);
        uint8_t *bytes = noise(200000);
        size_t before = _i ? 100000 : 3;

        relay_world_expect_nothing(world);
        /* The relay has no turn in between. */
        ck_assert_int_eq(send(ends.peer, bytes, before, 0), (ssize_t)before);
        ck_assert_int_eq(send(ends.peer, "!", 1, MSG_OOB), 1);
        ck_assert_int_eq(send(ends.peer, bytes + before, before, 0), (ssize_t)before);
        loopback_settle();
        relay_world_receive(world, ends.guest, bytes, 2 * before);
        free(bytes);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

/* As relay_world_link(), with a peer on a Unix socket. */
static struct relay_ends link_to_unix_peer(struct relay_world *world) {
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct relay_ends ends;
        int pair[2], fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        ends.peer = pair[0];
        fds[0] = pair[1];
        relay_world_pair(SOCK_STREAM, &fds[1], &ends.guest);
        begin.link = 1;
        begin.role = NB__RELAY__ROLE__ROLE_CLIENT;
        order.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        order.begin = &begin;
        relay_world_order(world, &order, fds, 2);
        nb_fds_close(fds, 2);
        (void)relay_world_expect(world, NB__RELAY__REPORT__BODY_READY);
        relay_world_expect_nothing(world);
        return ends;
}

static void send_with_descriptor(int fd, char *bytes, size_t length, int sent_fd) {
        _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = { 0 };
        struct iovec part = { .iov_base = bytes, .iov_len = length };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        struct cmsghdr *c;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &sent_fd, sizeof(int));
        ck_assert_int_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)length);
}

/* Where the kernel cannot be told to refuse them (before Linux 6.16), a read ends behind each. */
START_TEST(descriptors_of_a_peer_hold_up_nothing) {
        struct relay_world *world = relay_world_new(4);
        struct relay_ends ends = link_to_unix_peer(world);
        int before = count_fds();

        send_with_descriptor(ends.peer, (char[]){ "abc" }, 3, ends.peer);
        ck_assert_int_eq(send(ends.peer, "def", 3, MSG_NOSIGNAL), 3);
        relay_world_receive(world, ends.guest, "abcdef", 6);
        ck_assert_int_eq(count_fds(), before);
        close_ends(ends);
        (void)relay_world_free(world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("relay_link");
        TCase *links = tcase_create("links");

        tcase_add_test(links, bytes_both_ways);
        tcase_add_test(links, nobody_waits_for_its_word);
        tcase_add_test(links, each_length_arrives_whole);
        tcase_add_test(links, long_transfers_both_ways_at_once);
        tcase_add_loop_test(links, a_slow_side_stops_the_other, 0, 2);
        tcase_add_loop_test(links, each_side_can_end_its_half, 0, 2);
        tcase_add_test(links, a_reset_by_the_peer_reaches_the_guest_behind_the_data);
        tcase_add_loop_test(links, a_reset_waits_for_a_slow_guest, 0, 2);
        tcase_add_loop_test(links, the_end_of_the_relay_resets_the_guest, 0, 2);
        tcase_add_test(links, an_end_that_came_with_the_handshake_is_an_end);
        tcase_add_loop_test(links, urgent_bytes_hold_up_nothing, 0, 2);
        tcase_add_test(links, descriptors_of_a_peer_hold_up_nothing);
        tcase_add_test(links, an_order_to_end_resets_both);
        tcase_add_test(links, what_a_guest_leaves_behind_is_sent);
        tcase_add_loop_test(links, a_guest_that_has_shut_all_down_is_not_reset, 0, 2);
        tcase_add_test(links, a_guest_that_has_shut_all_down_after_its_peer_is_not_reset);
        tcase_add_test(links, a_guest_that_did_not_read_resets_its_peer);
        tcase_add_test(links, nothing_is_left_behind);
        tcase_add_test(links, an_idle_link_is_small);
        tcase_add_test(links, a_busy_link_delays_no_other);
        tcase_add_loop_test(links, no_more_links_than_allowed, 0, 2);
        tcase_add_loop_test(links, what_fails_here_is_no_good_end_of_the_guests, 0, 4);
        tcase_add_test(links, reports_wait_for_a_broker_that_is_busy);
        suite_add_tcase(suite, links);

        TCase *messages = tcase_create("messages");

        tcase_add_test(messages, messages_keep_their_borders);
        tcase_add_test(messages, messages_of_all_sizes);
        tcase_add_test(messages, many_small_writes_do_not_end_writing);
        tcase_add_test(messages, messages_that_were_forwarded_do_not_end_writing);
        tcase_add_test(messages, a_full_guest_loses_messages);
        suite_add_tcase(suite, messages);
        return run_suite(suite);
}
