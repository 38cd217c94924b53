/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker ends, or is killed, and another one goes on: with each channel in each of its states, and with what its own sockets are asked meanwhile.
 *
 * Each test is done twice: with a broker that ends as it should, and with one that is killed.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

/* How it ends, by the number of a loop test. */
static bool is_killed(int i) {
        return i == 1;
}

START_TEST(a_session_goes_on) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        restart_one(&world, is_killed(_i));
        restart_expect_session_resumed(&world);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        (void)wire_close(&control);
        daemon_expect_log(&world.scene.daemon, "took back 1 sessions with 1 protocols and 0 bound controls");
        restart_end(&world);
}
END_TEST

static void send_open(struct restart_scene *world) {
        wire_send_open(world->scene.web, "127.0.0.1:0", WIRE_RIGHTS_BASE, WIRE_RIGHTS_INHERITING);
}

/* It lies in the channel, and its copy behind it: it is carried out once, when it is asked again behind Resumed. */
START_TEST(a_request_without_an_answer_is_repeated) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        restart_take_down(&world, is_killed(_i));
        send_open(&world);
        world.scene.web->serial--;
        send_open(&world);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        control = wire_open_control(world.scene.web, "127.0.0.1:0");
        wire_settle(world.scene.web);
        wire_expect_silence(world.scene.web);
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

/* Its broker is gone before it has read the copy: nobody carries that out again, and the next answer is that to the next request. */
START_TEST(a_copy_of_what_was_answered_is_passed_over) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct restart_scene world;
        struct wire controls[2];

        restart_start(&world, SCENE_LOOPBACK);
        restart_one(&world, is_killed(_i));
        restart_expect_session_resumed(&world);
        controls[0] = wire_open_control(world.scene.web, "127.0.0.1:0");
        restart_take_down(&world, is_killed(_i));
        world.scene.web->serial--;
        send_open(&world);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        ck_assert_uint_eq(wire_open(world.scene.web, "0.0.0.0:0", &controls[1], address), 0);
        ck_assert_str_eq(address, "0.0.0.0:0");
        wire_settle(world.scene.web);
        wire_expect_silence(world.scene.web);
        for (int i = 0; i < 2; ++i)
                (void)wire_close(&controls[i]);
        restart_end(&world);
}
END_TEST

/* Nobody reads meanwhile: there is one Resumed, and not one for each broker. It is not the last one's, who says so when it is asked. */
START_TEST(an_idle_channel_has_one_resumed) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        for (int i = 0; i < 3; ++i)
                restart_one(&world, is_killed(_i));
        restart_expect_session_resumed(&world);
        wire_expect_silence(world.scene.web);
        send_open(&world);
        restart_expect_resumed(world.scene.web);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

/* Who has something to ask need not have read Resumed before: it asks again when it has, and is told once. */
START_TEST(a_request_crosses_with_resumed) {
        struct restart_scene world;

        restart_start(&world, SCENE_LOOPBACK);
        restart_one(&world, is_killed(_i));
        send_open(&world);
        wire_wait_taken(world.scene.web);
        restart_expect_session_resumed(&world);
        wire_expect_silence(world.scene.web);
        wire_settle(world.scene.web);
        restart_end(&world);
}
END_TEST

START_TEST(a_listener_keeps_its_port_and_its_backlog) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], again[NB_ADDRESS_LENGTH_MAX + 1];
        struct restart_scene world;
        struct wire control;
        int peers[3], streams[3];

        restart_start(&world, SCENE_LOOPBACK);
        control = wire_open_control(world.scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        peers[0] = peer_connect(address);
        streams[0] = wire_receive_accepted(&control, 1);
        restart_take_down(&world, is_killed(_i));
        peers[1] = peer_connect(address);
        ck_assert_int_ge(peers[1], 0);
        restart_again(&world);
        peers[2] = peer_connect(address);
        restart_expect_session_resumed(&world);
        restart_expect_resumed(&control);
        /* Nobody is accepted before the session has said what it has. */
        wire_settle(world.scene.web);
        wire_expect_silence(&control);
        wire_send_listen(&control, 16, 16, 1);
        {
                NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

                ck_assert(wire_receive(&control, reply));
                ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_LISTENING);
                (void)snprintf(again, sizeof(again), "%s", reply->reply->listening->address);
        }
        ck_assert_str_eq(again, address);
        streams[1] = wire_receive_accepted(&control, 2);
        streams[2] = wire_receive_accepted(&control, 3);
        for (int i = 0; i < 3; ++i) {
                peer_exchange(streams[i], peers[i]);
                (void)nb_fd_close(streams[i]);
                peer_expect_end(peers[i]);
                (void)nb_fd_close(peers[i]);
        }
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

START_TEST(a_bound_control_keeps_its_port) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], again[NB_ADDRESS_LENGTH_MAX + 1];
        struct restart_scene world;
        struct wire control;
        int peer, stream;

        restart_start(&world, SCENE_LOOPBACK);
        ck_assert_uint_eq(wire_open(world.scene.web, "127.0.0.1:0", &control, address), 0);
        restart_one(&world, is_killed(_i));
        restart_expect_session_resumed(&world);
        restart_expect_resumed(&control);
        ck_assert_uint_eq(wire_listen(&control, 1, again), 0);
        ck_assert_str_eq(again, address);
        peer = peer_connect(address);
        stream = wire_receive_accepted(&control, 1);
        peer_exchange(stream, peer);
        (void)nb_fd_close(stream);
        peer_expect_end(peer);
        (void)nb_fd_close(peer);
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

/* Of a control that is bound to nothing nothing is kept: its holder opens another one. */
START_TEST(an_open_control_ends) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        restart_one(&world, is_killed(_i));
        wire_expect_end(&control);
        (void)wire_close(&control);
        restart_expect_session_resumed(&world);
        restart_end(&world);
}
END_TEST

/* Who connects while no broker is there waits. */
START_TEST(a_new_session_waits) {
        struct wire_session session;
        struct restart_scene world;
        struct wire wire;

        restart_start(&world, SCENE_LOOPBACK);
        restart_take_down(&world, is_killed(_i));
        wire = wire_connect(world.scene.daemon.socket_path);
        restart_again(&world);
        ck_assert_uint_eq(wire_hello(&wire, "acme", &session), 0);
        wire_session_close(&session);
        restart_expect_session_resumed(&world);
        restart_end(&world);
}
END_TEST

/* A protocol outlives its session's channel, also over a restart. */
START_TEST(a_protocol_without_its_session) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        (void)wire_close(&world.scene.session.channel);
        wire_settle(world.scene.web);
        restart_one(&world, is_killed(_i));
        restart_expect_resumed(world.scene.web);
        control = wire_open_control(world.scene.web, "0.0.0.0:0");
        (void)wire_close(&control);
        restart_one(&world, is_killed(_i));
        restart_expect_resumed(world.scene.web);
        wire_settle(world.scene.web);
        restart_end(&world);
}
END_TEST

static Suite *restart_suite(void) {
        Suite *suite = suite_create("restart");
        TCase *states = tcase_create("states");

        tcase_add_loop_test(states, a_session_goes_on, 0, 2);
        tcase_add_loop_test(states, a_request_without_an_answer_is_repeated, 0, 2);
        tcase_add_loop_test(states, a_copy_of_what_was_answered_is_passed_over, 0, 2);
        tcase_add_loop_test(states, an_idle_channel_has_one_resumed, 0, 2);
        tcase_add_loop_test(states, a_request_crosses_with_resumed, 0, 2);
        tcase_add_loop_test(states, a_listener_keeps_its_port_and_its_backlog, 0, 2);
        tcase_add_loop_test(states, a_bound_control_keeps_its_port, 0, 2);
        tcase_add_loop_test(states, an_open_control_ends, 0, 2);
        tcase_add_loop_test(states, a_new_session_waits, 0, 2);
        tcase_add_loop_test(states, a_protocol_without_its_session, 0, 2);
        suite_add_tcase(suite, states);
        return suite;
}

int main(void) {
        return run_suite(restart_suite());
}
