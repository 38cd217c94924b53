/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: another policy for what is open already, as a whole or not at all.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define SECOND_PROTOCOL "[Protocol db]\nFamily=ip\nDataPath=direct\nConnect=127.0.0.1:*\nListen=127.0.0.1:*\n"

START_TEST(a_new_grant_works_at_once) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, "Connect=127.0.0.1:1\n");
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), NB_WASI_EACCES);
        scene_write_policy(&scene, SCENE_LOOPBACK);
        daemon_reload(&scene.daemon);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

static const char *const bad_rules[] = {
        "Connect=127.0.0.1\n",
        "Conect=127.0.0.1:*\n",
        "[Protocol web]\nFamily=ip\nDataPath=direct\n",
};

START_TEST(a_bad_policy_changes_nothing) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        scene_write_policy(&scene, bad_rules[_i]);
        daemon_reload(&scene.daemon);
        daemon_expect_log(&scene.daemon, "acme.conf:");
        daemon_expect_log(&scene.daemon, "not reloaded");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        /* Not even what is right in it: a second tenant in a file that is read first. */
        daemon_write_policy_file(&scene.daemon, "aaa.conf", "[Tenant]\nName=aaa\nUser=%u\n", (unsigned)getuid());
        daemon_reload(&scene.daemon);
        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = wire_connect(scene.daemon.socket_path).fd }, "aaa",
                                     &(struct wire_session){ 0 }),
                          NB_WASI_EACCES);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* A policy that is right, and asks for what cannot be had. */
START_TEST(what_cannot_be_prepared_changes_nothing) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        daemon_write_policy(&scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\nSocket=%s/missing/acme.sock\n[Protocol web]\nFamily=ip\n"
                            "DataPath=direct\nConnect=127.0.0.1:1\n",
                            (unsigned)getuid(), scene.daemon.folder);
        daemon_reload(&scene.daemon);
        daemon_expect_log(&scene.daemon, "not reloaded");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(a_policy_that_is_gone_changes_nothing) {
        struct scene scene;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        daemon_remove_policy(&scene.daemon, "acme.conf");
        ck_assert_int_eq(rmdir(scene.daemon.policy_path), 0);
        daemon_reload(&scene.daemon);
        daemon_expect_log(&scene.daemon, "not reloaded");
        wire_settle(scene.web);
        scene_end(&scene);
}
END_TEST

/* What is being done and no longer granted ends; what was handed out is the session's. */
START_TEST(a_grant_is_taken_away) {
        struct peer peer = peer_listen("127.0.0.1", 8), full = peer_listen("127.0.0.1", 1);
        struct wire idle, listening, bound, connecting;
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        int fd, other_fd, fds[16], refused;
        struct scene scene;
        size_t n = peer_fill_backlog(&full, fds, 16);

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        idle = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&idle, peer.text, &fd), 0);
        other_fd = peer_accept(&peer);
        listening = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        bound = wire_open_control(scene.web, "127.0.0.1:0");
        connecting = wire_open_control(scene.web, "0.0.0.0:0");
        wire_send_connect(&connecting, full.text);
        wire_settle(scene.web);

        scene_write_policy(&scene, "Connect=127.0.0.1:1\n");
        daemon_reload(&scene.daemon);
        wire_expect_end(&listening);
        wire_expect_end(&bound);
        wire_expect_end(&connecting);
        ck_assert_int_eq(peer_connect(address), -1);
        peer_exchange(fd, other_fd);
        ck_assert_uint_eq(wire_connect_to(&idle, peer.text, &refused), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &bound, NULL), NB_WASI_EACCES);

        for (size_t i = 0; i < n; ++i)
                (void)nb_fd_close(fds[i]);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&idle);
        (void)wire_close(&listening);
        (void)wire_close(&bound);
        (void)wire_close(&connecting);
        peer_close(&full);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* A control that has used up its bound socket binds the next one to the same address, which needs the grant still. */
START_TEST(a_bind_address_is_taken_away) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        scene_write_policy(&scene, "Connect=127.0.0.1:*\n");
        daemon_reload(&scene.daemon);
        wire_expect_end(&control);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(what_is_still_granted_stays) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire listening;
        int peer_fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        listening = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        scene_write_policy(&scene, "Listen=127.0.0.0/8:*\nDeny=127.0.0.2/32:*\n");
        daemon_reload(&scene.daemon);
        /* Its peers are judged by the new policy. */
        peer_fd = peer_connect_from("127.0.0.2", address);
        peer_expect_end(peer_fd);
        (void)nb_fd_close(peer_fd);
        peer_fd = peer_connect(address);
        (void)nb_fd_close(wire_receive_accepted(&listening, 1));
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&listening);
        scene_end(&scene);
}
END_TEST

static void start_with_two(struct scene *scene, struct wire_session *other) {
        daemon_init(&scene->daemon);
        scene_write_policy(scene, SCENE_LOOPBACK SECOND_PROTOCOL);
        daemon_write_policy_file(&scene->daemon, "other.conf", "[Tenant]\nName=other\nUser=%u\n" SECOND_PROTOCOL,
                                 (unsigned)getuid());
        daemon_start(&scene->daemon, NULL);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        wire_session_open(scene->daemon.socket_path, "other", other);
        wire_settle(scene->web);
        scene->baseline = daemon_count_fds_at_rest(&scene->daemon);
}

START_TEST(a_tenant_is_removed) {
        struct wire_session other, again;
        struct scene scene;
        struct wire control;

        start_with_two(&scene, &other);
        control = wire_open_control(&other.protocols[0], "0.0.0.0:0");
        daemon_remove_policy(&scene.daemon, "other.conf");
        daemon_reload(&scene.daemon);
        wire_expect_end(&other.channel);
        wire_expect_end(&other.protocols[0]);
        wire_expect_end(&control);
        wire_session_close(&other);
        (void)wire_close(&control);
        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = wire_connect(scene.daemon.socket_path).fd }, "other",
                                     &again),
                          NB_WASI_EACCES);

        /* It can come back, with nothing of its past. */
        daemon_write_policy_file(&scene.daemon, "other.conf", "[Tenant]\nName=other\nUser=%u\n" SECOND_PROTOCOL,
                                 (unsigned)getuid());
        daemon_reload(&scene.daemon);
        wire_session_open(scene.daemon.socket_path, "other", &again);
        wire_settle(&again.protocols[0]);
        scene_expect_baseline(&scene);
        wire_session_close(&again);
        scene.baseline -= 2;
        scene_end(&scene);
}
END_TEST

START_TEST(a_user_is_removed) {
        struct wire_session other;
        struct scene scene;

        start_with_two(&scene, &other);
        daemon_write_policy_file(&scene.daemon, "other.conf", "[Tenant]\nName=other\nUser=%u\n" SECOND_PROTOCOL,
                                 (unsigned)getuid() + 1);
        daemon_reload(&scene.daemon);
        wire_expect_end(&other.channel);
        wire_expect_end(&other.protocols[0]);
        wire_session_close(&other);
        scene.baseline -= 2;
        scene_end(&scene);
}
END_TEST

START_TEST(a_protocol_is_removed) {
        struct wire_session other;
        struct scene scene;
        struct wire control;

        start_with_two(&scene, &other);
        ck_assert_uint_eq(scene.session.n_protocols, 2);
        control = wire_open_control(&scene.session.protocols[1], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        scene_write_policy(&scene, SCENE_LOOPBACK);
        daemon_reload(&scene.daemon);
        wire_expect_end(&scene.session.protocols[1]);
        wire_expect_end(&control);
        (void)wire_close(&control);
        /* The session and its other protocol go on. */
        wire_expect_silence(&scene.session.channel);
        scene.baseline -= 1;
        scene_expect_baseline(&scene);
        wire_session_close(&other);
        scene.baseline -= 2;
        scene_end(&scene);
}
END_TEST

/* A session whose channel was closed and whose last object a reload ends is gone as a whole. */
START_TEST(the_last_object_is_removed) {
        struct wire_session other;
        struct scene scene;

        start_with_two(&scene, &other);
        (void)wire_close(&other.channel);
        daemon_write_policy_file(&scene.daemon, "other.conf", "[Tenant]\nName=other\nUser=%u\n", (unsigned)getuid());
        daemon_reload(&scene.daemon);
        wire_expect_end(&other.protocols[0]);
        wire_session_close(&other);
        scene.baseline -= 2;
        scene_end(&scene);
}
END_TEST

START_TEST(many_reloads_leave_nothing) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire listening;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        listening = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        for (int i = 0; i < 100; ++i) {
                scene_write_policy(&scene, i % 2 ? SCENE_LOOPBACK : SCENE_LOOPBACK SECOND_PROTOCOL);
                daemon_reload(&scene.daemon);
        }
        wire_expect_silence(&listening);
        (void)wire_close(&listening);
        scene_end(&scene);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("reload");
        TCase *tcase = tcase_create("reload");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_new_grant_works_at_once);
        tcase_add_loop_test(tcase, a_bad_policy_changes_nothing, 0, sizeof(bad_rules) / sizeof(bad_rules[0]));
        tcase_add_test(tcase, what_cannot_be_prepared_changes_nothing);
        tcase_add_test(tcase, a_policy_that_is_gone_changes_nothing);
        tcase_add_test(tcase, a_grant_is_taken_away);
        tcase_add_test(tcase, a_bind_address_is_taken_away);
        tcase_add_test(tcase, what_is_still_granted_stays);
        tcase_add_test(tcase, a_tenant_is_removed);
        tcase_add_test(tcase, a_user_is_removed);
        tcase_add_test(tcase, a_protocol_is_removed);
        tcase_add_test(tcase, the_last_object_is_removed);
        tcase_add_test(tcase, many_reloads_leave_nothing);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
