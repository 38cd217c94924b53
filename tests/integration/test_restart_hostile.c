/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session's process that was taken over, around a restart: it is judged as ever, and gains nothing by it. Another session notices nothing.
 */
#include <check.h>

#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

/* A scene with a second session, which misbehaves, and its listener. */
struct hostile_world {
        struct restart_scene restart;
        struct wire_session session;
        struct wire *web;
        struct wire listener;
        char address[NB_ADDRESS_LENGTH_MAX + 1];
};

static void start_with(struct hostile_world *world, const struct daemon_options *options) {
        restart_prepare(&world->restart);
        if (options) {
                world->restart.options = *options;
                world->restart.options.arguments = world->restart.arguments;
        }
        restart_begin(&world->restart, SCENE_LOOPBACK);
        wire_session_open(world->restart.scene.daemon.socket_path, "acme", &world->session);
        world->web = &world->session.protocols[0];
        world->listener = wire_open_control(world->web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&world->listener, 64, world->address), 0);
}

static void start(struct hostile_world *world) {
        start_with(world, NULL);
}

/* The other session's channels are as they were. */
static void end(struct hostile_world *world) {
        restart_expect_session_resumed(&world->restart);
        restart_expect_served(world->restart.scene.web);
        (void)wire_close(&world->listener);
        wire_session_close(&world->session);
        restart_end(&world->restart);
}

static void expect_dropped(struct hostile_world *world) {
        wire_expect_end(&world->session.channel);
        wire_expect_end(world->web);
        wire_expect_end(&world->listener);
        daemon_expect_audit(&world->restart.scene.daemon, "\"verb\":\"protocol-error\"", "\"verdict\":\"dropped\"");
}

static void send_listen(struct hostile_world *world, uint64_t serial, uint64_t credit, uint64_t received) {
        world->listener.serial = serial - 1;
        wire_send_listen(&world->listener, 16, credit, received);
}

/* Sends whatever its number is, also where the broker has closed the channel. */
static int try_open(struct wire *protocol) {
        Nb__Request request = NB__REQUEST__INIT;
        Nb__Open open = NB__OPEN__INIT;

        open.address = (char *)"0.0.0.0:0";
        open.type = NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        open.rights_base = WIRE_RIGHTS_BASE;
        open.rights_inheriting = WIRE_RIGHTS_INHERITING;
        request.body_case = NB__REQUEST__BODY_OPEN;
        request.open = &open;
        request.serial = ++protocol->serial;
        return nb_request_send(protocol->fd, &request, NULL, 0);
}

/* At most so many answers are ever unread, over any number of restarts. */
#define ANSWERS_MAX 3

START_TEST(abuse_8_answers_are_not_read) {
        struct hostile_world world;
        unsigned n = 0;

        start(&world);
        for (int i = 0; i < 4; ++i) {
                while (try_open(world.web) == 0 && harness_poll(world.session.channel.fd, POLLIN, 0) == 0) {
                        wire_wait_taken(world.web);
                        ck_assert_uint_le(++n, ANSWERS_MAX + 2);
                        if (n % 2 == 0)
                                break;
                }
                restart_one(&world.restart, _i == 1);
        }
        wire_expect_end(&world.session.channel);
        daemon_expect_audit(&world.restart.scene.daemon, "a request before the last answer was read");
        end(&world);
}
END_TEST

/* One request a broker, none of which is too many for it: no broker behind the first leaves an answer, for it hears nobody who has not read Resumed. */
START_TEST(abuse_8_an_answer_a_broker_is_not_read) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct hostile_world world;

        start(&world);
        for (int i = 0; i < 4; ++i) {
                ck_assert_int_eq(try_open(world.web), 0);
                wire_wait_taken(world.web);
                ck_assert_int_ne(harness_poll(world.web->fd, POLLIN, HARNESS_DEADLINE_MS), 0);
                restart_one(&world.restart, _i == 1);
        }
        ck_assert(wire_receive(world.web, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_OPENED);
        nb_channel_fds_close(&reply->fds);
        wire_expect_silence(world.web);
        restart_expect_served(world.web);
        end(&world);
}
END_TEST

/* What an earlier broker may have been asked is passed over, until this one is asked something; what was never good is not good now. */
START_TEST(serials) {
        struct hostile_world world;
        uint64_t told;

        start(&world);
        restart_one(&world.restart, true);
        restart_expect_resumed(&world.listener);
        told = world.listener.serial;
        switch (_i) {
        case 0:
                send_listen(&world, 0, 64, 0);
                break;
        case 1:
                send_listen(&world, told, 64, 0);
                send_listen(&world, told + 100, 64, 0);
                send_listen(&world, told + 99, 64, 0);
                break;
        case 2:
                send_listen(&world, told + 1, 64, 0);
                send_listen(&world, told, 64, 0);
                break;
        default:
                send_listen(&world, UINT64_MAX, 64, 0);
                send_listen(&world, 1, 64, 0);
                break;
        }
        expect_dropped(&world);
        end(&world);
}
END_TEST

/* What it says to have received is its own affair; it gets no more than a window of unread connections by it. */
START_TEST(absurd_numbers) {
        static const uint64_t received[] = { 0, 1000, UINT64_MAX - 1, UINT64_MAX };
        struct hostile_world world;
        struct wire control;
        int peers[2];

        start(&world);
        for (int i = 0; i < 2; ++i)
                peers[i] = peer_connect(world.address);
        wire_settle(world.web);
        restart_one(&world.restart, true);
        for (uint64_t i = 1; i <= 2; ++i)
                (void)nb_fd_close(wire_receive_accepted(&world.listener, i));
        restart_expect_resumed(&world.listener);
        send_listen(&world, world.listener.serial + 1, UINT64_MAX, received[_i]);
        wire_send_credit(&world.listener, UINT64_MAX);
        wire_send_credit(&world.listener, 0);
        restart_expect_resumed(&world.session.channel);
        restart_expect_resumed(world.web);
        /* It is still there, and so is its session. */
        control = wire_open_control(world.web, "0.0.0.0:0");
        (void)wire_close(&control);
        for (int i = 0; i < 2; ++i)
                (void)nb_fd_close(peers[i]);
        end(&world);
}
END_TEST

/* Some more than a window, and less than a window and a backlog. */
#define ROUNDS 4
#define PEERS_A_ROUND 13

/* Nothing is read, also no Resumed: its number is guessed. And everything is said to have been: over any number of restarts no more than a window is under way. */
START_TEST(abuse_8_connections_are_not_read) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        int peers[ROUNDS * PEERS_A_ROUND];
        struct hostile_world world;
        unsigned n_accepted = 0;

        start(&world);
        for (uint64_t round = 0; round < ROUNDS; ++round) {
                for (uint64_t i = 0; i < PEERS_A_ROUND; ++i)
                        peers[round * PEERS_A_ROUND + i] = peer_connect(world.address);
                wire_settle(world.restart.scene.web);
                restart_one(&world.restart, true);
                restart_expect_session_resumed(&world.restart);
                send_listen(&world, UINT64_MAX - ROUNDS + round, UINT64_MAX, round * 64);
                wire_wait_taken(&world.listener);
        }
        restart_one(&world.restart, false);
        while (harness_poll(world.listener.fd, POLLIN, 0)) {
                ck_assert(wire_receive(&world.listener, reply));
                n_accepted += reply->reply->body_case == NB__REPLY__BODY_ACCEPTED;
                nb_channel_fds_close(&reply->fds);
        }
        ck_assert_uint_ge(n_accepted, PEERS_A_ROUND);
        ck_assert_uint_le(n_accepted, NB_CREDIT_WINDOW_MAX);
        for (int i = 0; i < ROUNDS * PEERS_A_ROUND; ++i)
                (void)nb_fd_close(peers[i]);
        end(&world);
}
END_TEST

/* Before Listen has come again credit says nothing, and the control still listens. */
START_TEST(credit_and_connect_before_listen) {
        struct hostile_world world;
        int fd, peer;

        start(&world);
        restart_one(&world.restart, _i == 1);
        restart_expect_resumed(&world.listener);
        wire_send_credit(&world.listener, 64);
        ck_assert_uint_eq(wire_connect_to(&world.listener, world.address, &fd), NB_WASI_EINVAL);
        peer = peer_connect(world.address);
        restart_expect_resumed(world.web);
        wire_settle(world.web);
        ck_assert_uint_eq(wire_listen(&world.listener, 1, NULL), 0);
        fd = wire_receive_accepted(&world.listener, 1);
        peer_exchange(fd, peer);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer);
        end(&world);
}
END_TEST

/* A listener that nobody looks at for long: its queue has an end, and what it missed is told when it looks. */
START_TEST(resumed_has_an_end) {
        struct hostile_world world;
        unsigned n = 0;
        int fd, peer;

        start(&world);
        peer = peer_connect(world.address);
        wire_settle(world.web);
        for (int i = 0; i < 24; ++i)
                restart_one(&world.restart, i % 2 == 1);
        fd = wire_receive_accepted(&world.listener, 1);
        while (harness_poll(world.listener.fd, POLLIN, 0)) {
                restart_expect_resumed(&world.listener);
                n++;
        }
        ck_assert_uint_ge(n, 1);
        ck_assert_uint_le(n, 16);
        send_listen(&world, world.listener.serial + 1, 64, 1);
        restart_expect_resumed(&world.listener);
        send_listen(&world, world.listener.serial + 1, 64, 1);
        (void)nb_fd_close(peer);
        (void)nb_fd_close(fd);
        peer = peer_connect(world.address);
        {
                NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

                ck_assert(wire_receive(&world.listener, reply));
                ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_LISTENING);
        }
        fd = wire_receive_accepted(&world.listener, 2);
        (void)nb_fd_close(peer);
        (void)nb_fd_close(fd);
        end(&world);
}
END_TEST

/* What lies in a channel when nobody is there is read by the next broker, strictly. */
START_TEST(abuse_31_malformed_in_the_outage) {
        struct hostile_world world;
        const struct wire *channels[] = { &world.session.channel, NULL, &world.listener };

        start(&world);
        channels[1] = world.web;
        restart_kill(&world.restart);
        ck_assert_int_eq(wire_send_bytes(channels[_i], "\xff\xff", 2, NULL, 0), 0);
        restart_again(&world.restart);
        expect_dropped(&world);
        end(&world);
}
END_TEST

START_TEST(abuse_5_descriptors_in_the_outage) {
        int fds[] = { STDERR_FILENO, STDERR_FILENO };
        struct hostile_world world;
        int r;

        start(&world);
        restart_kill(&world.restart);
        r = wire_send_bytes(world.web, "x", 1, fds, 2);
        restart_again(&world.restart);
        /* The kernel refuses them, or the broker does. */
        if (r == 0)
                expect_dropped(&world);
        end(&world);
}
END_TEST

/* A flood of requests in the outage is for nobody. */
START_TEST(a_flood_in_the_outage) {
        struct hostile_world world;
        struct wire control;
        int n = 0;

        start(&world);
        restart_kill(&world.restart);
        while (n < 100 && try_open(world.web) == 0)
                n++;
        ck_assert_int_gt(n, 1);
        restart_again(&world.restart);
        restart_expect_resumed(world.web);
        control = wire_open_control(world.web, "0.0.0.0:0");
        wire_expect_silence(world.web);
        (void)wire_close(&control);
        end(&world);
}
END_TEST

/* ---- a peer that was accepted and cannot be handed out ---- */

/* A user that no other test runs its broker as. */
#define LONELY_USER "games"

#define AIR_FDS 64
#define AIR_MESSAGES 4

static void send_many(void *data) {
        const struct wire *wire = data;
        int fds[AIR_FDS];

        for (int i = 0; i < AIR_FDS; ++i)
                fds[i] = STDERR_FILENO;
        for (int i = 0; i < AIR_MESSAGES; ++i)
                ck_assert_int_eq(wire_send_bytes(wire, "x", 1, fds, AIR_FDS), 0);
}

/* The kernel lets the broker's user have no more descriptors in flight; so the peer waits, and with the keeper it does so too when there is room. */
START_TEST(an_accepted_peer_that_waits_is_handed_out) {
        const struct daemon_options options = { .max_fds = 128, .user = LONELY_USER };
        const struct passwd *user = getpwnam(LONELY_USER);
        struct hostile_world world;
        struct wire air;
        int pair[2], peer, fd;
        unsigned n;

        ck_assert_ptr_nonnull(user);
        start_with(&world, &options);
        n = daemon_count_fds(&world.restart.scene.daemon);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        air.fd = pair[0];
        harness_run_as(user->pw_uid, send_many, &air);
        peer = peer_connect(world.address);
        daemon_wait_fds(&world.restart.scene.daemon, n + 1);
        ck_assert_int_eq(kill(world.restart.scene.daemon.pid, SIGTERM), 0);
        daemon_expect_log(&world.restart.scene.daemon, "ending at signal");
        (void)nb_fd_close(pair[0]);
        (void)nb_fd_close(pair[1]);
        daemon_expect_end(&world.restart.scene.daemon);
        restart_again(&world.restart);
        restart_expect_resumed(&world.listener);
        send_listen(&world, world.listener.serial + 1, 1, 0);
        {
                NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

                ck_assert(wire_receive(&world.listener, reply));
                ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_LISTENING);
        }
        fd = wire_receive_accepted(&world.listener, 1);
        peer_exchange(fd, peer);
        (void)nb_fd_close(fd);
        peer_expect_end(peer);
        (void)nb_fd_close(peer);
        end(&world);
}
END_TEST

static Suite *restart_hostile_suite(void) {
        Suite *suite = suite_create("restart_hostile");
        TCase *requests = tcase_create("requests"), *peers = tcase_create("peers");

        tcase_add_loop_test(requests, abuse_8_answers_are_not_read, 0, 2);
        tcase_add_loop_test(requests, abuse_8_an_answer_a_broker_is_not_read, 0, 2);
        tcase_add_loop_test(requests, serials, 0, 4);
        tcase_add_loop_test(requests, absurd_numbers, 0, 4);
        tcase_add_test(requests, abuse_8_connections_are_not_read);
        tcase_add_loop_test(requests, credit_and_connect_before_listen, 0, 2);
        tcase_add_test(requests, resumed_has_an_end);
        tcase_add_loop_test(requests, abuse_31_malformed_in_the_outage, 0, 3);
        tcase_add_test(requests, abuse_5_descriptors_in_the_outage);
        tcase_add_test(requests, a_flood_in_the_outage);
        suite_add_tcase(suite, requests);
        tcase_add_test(peers, an_accepted_peer_that_waits_is_handed_out);
        suite_add_tcase(suite, peers);
        return suite;
}

int main(void) {
        return run_suite(restart_hostile_suite());
}
