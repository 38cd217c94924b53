/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/relay_world.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/unit/socket_pairs.h"

/* Turns after which a relay that was not told anything has nothing left to do. */
#define TURNS 20

struct relay_world *relay_world_new(uint32_t links_max) {
        struct relay_world *world = calloc(1, sizeof(*world));
        Nb__Relay__Setup setup = NB__RELAY__SETUP__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        int channel[2];

        ck_assert_ptr_nonnull(world);
        ck_assert_ptr_ne(signal(SIGPIPE, SIG_IGN), SIG_ERR);
        ck_assert_int_eq(nb_channel_pair(channel), 0);
        ck_assert_int_eq(relay_init(&world->relay, channel[0]), 0);
        world->channel = channel[1];

        setup.version = NB_RELAY_VERSION;
        setup.tenant = (char *)"test";
        setup.links_max = links_max;
        setup.log_level = NB_LOG_ERROR;
        order.body_case = NB__RELAY__ORDER__BODY_SETUP;
        order.setup = &setup;
        relay_world_order(world, &order, NULL, 0);
        ck_assert_uint_eq(relay_world_expect(world, NB__RELAY__REPORT__BODY_STARTED)->started->version,
                          NB_RELAY_VERSION);
        return world;
}

struct relay_world *relay_world_free(struct relay_world *world) {
        relay_deinit(&world->relay);
        ck_assert_int_eq(close(world->channel), 0);
        free(world);
        return NULL;
}

void relay_world_order(struct relay_world *world, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        ck_assert_int_eq(nb_relay_order_send(world->channel, order, fds, n_fds), 0);
}

const Nb__Relay__Report *relay_world_expect(struct relay_world *world, Nb__Relay__Report__BodyCase kind) {
        Nb__Relay__Report *report;
        int length;

        while ((length = nb_channel_receive_bytes(world->channel, world->frame)) == -EAGAIN)
                relay_turn(&world->relay, true);
        ck_assert_int_gt(length, 0);
        ck_assert_int_eq(nb_relay_report_decode(&world->arena, world->frame, (size_t)length, &report), 0);
        if (report->body_case == NB__RELAY__REPORT__BODY_ENDED && kind != report->body_case)
                ck_abort_msg("the link has ended: %d %s", report->ended->cause, report->ended->reason);
        ck_assert_int_eq(report->body_case, kind);
        return report;
}

void relay_world_expect_nothing(struct relay_world *world) {
        for (int i = 0; i < TURNS; ++i)
                relay_turn(&world->relay, false);
        ck_assert_int_eq(nb_channel_receive_bytes(world->channel, world->frame), -EAGAIN);
}

void relay_world_pair(int type, int *ret_relays, int *ret_guests) {
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_TIMESTAMP, &(int){ type == SOCK_SEQPACKET }, sizeof(int)),
                         0);
        ck_assert_int_eq(send(pair[1], "", 1, 0), 1);
        *ret_relays = pair[0];
        *ret_guests = pair[1];
}

struct relay_ends relay_world_begin(struct relay_world *world, uint64_t id, bool datagrams,
                                    const Nb__Relay__Begin *begin) {
        Nb__Relay__Begin copy = NB__RELAY__BEGIN__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct relay_ends ends;
        int peers[2], fds[2];

        if (datagrams)
                udp_pair(peers);
        else
                tcp_pair(peers);
        ck_assert_int_eq(fcntl(peers[1], F_SETFL, O_RDWR | O_NONBLOCK), 0);
        fds[0] = peers[1];
        ends.peer = peers[0];
        relay_world_pair(datagrams ? SOCK_SEQPACKET : SOCK_STREAM, &fds[1], &ends.guest);

        if (begin)
                copy = *begin;
        copy.link = id;
        if (copy.role == NB__RELAY__ROLE__ROLE_UNSPECIFIED)
                copy.role = NB__RELAY__ROLE__ROLE_CLIENT;
        copy.datagrams = datagrams;
        order.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        order.begin = &copy;
        relay_world_order(world, &order, fds, 2);
        nb_fds_close(fds, 2);
        return ends;
}

struct relay_ends relay_world_link(struct relay_world *world, uint64_t id, bool datagrams) {
        struct relay_ends ends = relay_world_begin(world, id, datagrams, NULL);
        const Nb__Relay__Report *report = relay_world_expect(world, NB__RELAY__REPORT__BODY_READY);

        ck_assert_uint_eq(report->ready->link, id);
        ck_assert_ptr_null(report->ready->security);
        ck_assert(!report->ready->stepped_out);
        return ends;
}

void relay_world_end(struct relay_world *world, uint64_t id) {
        Nb__Relay__End end = NB__RELAY__END__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        end.link = id;
        order.body_case = NB__RELAY__ORDER__BODY_END;
        order.end = &end;
        relay_world_order(world, &order, NULL, 0);
}

const Nb__Relay__Ended *relay_world_expect_end(struct relay_world *world, uint64_t id, Nb__Relay__Cause cause) {
        const Nb__Relay__Ended *ended = relay_world_expect(world, NB__RELAY__REPORT__BODY_ENDED)->ended;

        ck_assert_uint_eq(ended->link, id);
        if (ended->cause != cause)
                ck_abort_msg("ended by %d, not by %d: %s", ended->cause, cause, ended->reason);
        return ended;
}

void relay_world_send(struct relay_world *world, int fd, const void *bytes, size_t length) {
        size_t done = 0;

        while (done < length) {
                ssize_t n = send(fd, (const char *)bytes + done, length - done, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN)
                        ck_abort_msg("send: %s", strerror(errno));
                done += n > 0 ? (size_t)n : 0;
                relay_turn(&world->relay, false);
        }
}

ssize_t relay_world_read(struct relay_world *world, int fd, void *buffer, size_t size) {
        ssize_t n;

        while ((n = recv(fd, buffer, size, MSG_DONTWAIT)) < 0 && errno == EAGAIN) {
                struct pollfd ready = { .fd = fd, .events = POLLIN };

                relay_turn(&world->relay, false);
                (void)poll(&ready, 1, 1);
        }
        return n < 0 ? -errno : n;
}

void relay_world_receive(struct relay_world *world, int fd, const void *bytes, size_t length) {
        uint8_t buffer[65536];
        size_t done = 0;

        while (done < length) {
                size_t size = length - done < sizeof(buffer) ? length - done : sizeof(buffer);
                ssize_t n = relay_world_read(world, fd, buffer, size);

                if (n <= 0)
                        ck_abort_msg("%zu of %zu bytes, then %s", done, length, n < 0 ? strerror((int)-n) : "the end");
                ck_assert_mem_eq(buffer, (const uint8_t *)bytes + done, (size_t)n);
                done += (size_t)n;
        }
}
