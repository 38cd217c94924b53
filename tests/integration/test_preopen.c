/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preopened sockets: what a Welcome brings, and what each of them may do.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define RULES_MAX 2048
#define SMALL_FDS 128

#define DIRECT "DataPath=direct\n"

/* A port that was free a moment ago, on a loopback address of this process alone, so that it stays free. */
static void find_free(char text[static NB_ADDRESS_TEXT_MAX]) {
        unsigned pid = (unsigned)getpid();
        char ip[NB_ADDRESS_TEXT_MAX];
        struct peer peer;

        (void)snprintf(ip, sizeof(ip), "127.%u.%u.%u", 1 + (pid >> 16) % 254, (pid >> 8) & 0xff, pid & 0xff);
        peer = peer_listen(ip, 1);
        (void)memcpy(text, peer.text, sizeof(peer.text));
        peer_close(&peer);
}

/* A session with one preopened socket. @param section  printf's, with one text */
static void start_with(struct scene *scene, const char *section, const char *text) {
        char rules[RULES_MAX];

        ck_assert_int_lt(snprintf(rules, sizeof(rules), SCENE_LOOPBACK "[Preopen it]\n" DIRECT "%s=%s\n", section,
                                  text),
                         RULES_MAX);
        scene_start(scene, NULL, rules);
        ck_assert_uint_eq(scene->session.n_preopens, 1);
}

/* The scene's baseline has the controls of its session; whoever closes one says so. */
static void close_preopen(struct scene *scene, size_t i) {
        (void)wire_close(&scene->session.preopens[i].control);
        scene->baseline--;
}

/* ---- what is in the Welcome ---- */

START_TEST(the_welcome) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        char rules[RULES_MAX];
        const struct wire_preopen *it;
        struct scene scene;

        (void)snprintf(rules, sizeof(rules),
                       SCENE_LOOPBACK "[Preopen http]\n" DIRECT "Listen=[::1]:8080\n"
                                      "[Preopen db]\n" DIRECT "Connect=%s\nNonblock=yes\n"
                                      "[Protocol second]\nFamily=ip\n" DIRECT "Connect=127.0.0.1:*\n"
                                      "[Preopen log]\n" DIRECT "Connect=127.0.0.1:514\nSocketTypes=dgram\n"
                                      "[Preopen app]\n" DIRECT "Listen=/run/app.sock\nNonblock=no\n"
                                      "[Preopen bus]\n" DIRECT "Connect=@bus\n",
                       peer.text);
        scene_start(&scene, NULL, rules);
        ck_assert_uint_eq(scene.session.n_protocols, 2);
        ck_assert_uint_eq(scene.session.n_preopens, 5);
        /* One descriptor each in the broker, and nothing is bound. */
        ck_assert_uint_eq(daemon_count_fds(&scene.daemon), scene.baseline);

        it = scene.session.preopens;
        ck_assert_str_eq(it[0].name, "http");
        ck_assert_str_eq(it[0].address, "[::1]:8080");
        ck_assert_int_eq(it[0].kind, NB__PREOPEN_KIND__PREOPEN_KIND_LISTENER);
        ck_assert_int_eq(it[0].type, NB__SOCKET_TYPE__SOCKET_TYPE_STREAM);
        ck_assert(it[0].nonblock);
        ck_assert_uint_eq(it[0].rights_base, NB_RIGHTS_CONNECTION | NB_RIGHT_SOCK_ACCEPT | NB_RIGHT_SOCK_LISTEN);
        ck_assert_uint_eq(it[0].rights_inheriting, NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM);
        ck_assert_str_eq(it[1].name, "db");
        ck_assert_str_eq(it[1].address, peer.text);
        ck_assert_int_eq(it[1].kind, NB__PREOPEN_KIND__PREOPEN_KIND_CONNECTION);
        ck_assert(it[1].nonblock);
        ck_assert_uint_eq(it[1].rights_base, NB_RIGHTS_CONNECTION | NB_RIGHT_SOCK_CONNECT);
        ck_assert_uint_eq(it[1].rights_inheriting, NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM);
        ck_assert_str_eq(it[2].name, "log");
        ck_assert_int_eq(it[2].type, NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM);
        ck_assert(!it[2].nonblock);
        ck_assert_str_eq(it[3].name, "app");
        ck_assert_str_eq(it[3].address, "/run/app.sock");
        ck_assert(!it[3].nonblock);
        ck_assert_str_eq(it[4].address, "@bus");
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* As many as travel in one message, with the longest names and addresses. */
START_TEST(as_many_as_there_can_be) {
        static const char name[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi";
        NB_CLEANUP_FREE char *rules = calloc(64, 256);
        size_t used = 0;
        struct scene scene;

        ck_assert_ptr_nonnull(rules);
        used += (size_t)snprintf(rules, (size_t)64 * 256, SCENE_LOOPBACK);
        for (int i = 1; i < 64; ++i)
                used += (size_t)snprintf(rules + used, (size_t)64 * 256 - used,
                                         "[Preopen %.50s%02d]\n" DIRECT
                                         "Listen=/run/%s/abcdefghijklmnopqrstuvwxyzabcdefg/%02d\n",
                                         name, i, name, i);
        scene_start(&scene, NULL, rules);
        ck_assert_uint_eq(scene.session.n_protocols, 1);
        ck_assert_uint_eq(scene.session.n_preopens, 63);
        ck_assert_str_eq(scene.session.preopens[62].name + 50, "63");
        scene_end(&scene);
}
END_TEST

/* ---- listeners ---- */

START_TEST(a_listener_is_bound_when_it_listens) {
        char address[NB_ADDRESS_TEXT_MAX], listening[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire_session second;
        struct wire *control;
        struct scene scene;
        int fd, peer_fd;

        find_free(address);
        start_with(&scene, "Listen", address);
        control = &scene.session.preopens[0].control;
        ck_assert_int_eq(peer_connect(address), -1);
        ck_assert_uint_eq(wire_listen(control, 4, listening), 0);
        ck_assert_str_eq(listening, address);
        peer_fd = peer_connect(address);
        ck_assert_int_ge(peer_fd, 0);
        fd = wire_receive_accepted(control, 1);
        peer_exchange(fd, peer_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);

        /* Each session has one of its own, and the port goes to who listens first. */
        wire_session_open(scene.daemon.socket_path, "acme", &second);
        ck_assert_uint_eq(wire_listen(&second.preopens[0].control, 4, NULL), NB_WASI_EADDRINUSE);
        close_preopen(&scene, 0);
        wire_settle(scene.web);
        ck_assert_uint_eq(wire_listen(&second.preopens[0].control, 4, NULL), 0);
        wire_session_close(&second);
        scene_end(&scene);
}
END_TEST

START_TEST(a_listener_does_not_connect) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        int fd;

        start_with(&scene, "Listen", "127.0.0.1:8080");
        ck_assert_uint_eq(wire_connect_to(&scene.session.preopens[0].control, peer.text, &fd), NB_WASI_ENOTCAPABLE);
        ck_assert_uint_eq(wire_connect_to(&scene.session.preopens[0].control, "127.0.0.1:8080", &fd),
                          NB_WASI_ENOTCAPABLE);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"protocol\":\"it\"", "\"verdict\":\"denied\"");
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(a_denied_peer_is_never_seen) {
        char address[NB_ADDRESS_TEXT_MAX], rules[RULES_MAX];
        struct scene scene;
        struct wire *control;
        int fd, denied;

        find_free(address);
        (void)snprintf(rules, sizeof(rules), "[Preopen it]\n" DIRECT "Listen=%s\nDeny=127.0.0.2/32:*\n", address);
        scene_start(&scene, NULL, rules);
        control = &scene.session.preopens[0].control;
        ck_assert_uint_eq(wire_listen(control, 4, NULL), 0);
        denied = peer_connect_from("127.0.0.2", address);
        peer_expect_end(denied);
        fd = peer_connect(address);
        (void)nb_fd_close(wire_receive_accepted(control, 1));
        (void)nb_fd_close(fd);
        (void)nb_fd_close(denied);
        close_preopen(&scene, 0);
        scene_end(&scene);
}
END_TEST

/* ---- connections ---- */

START_TEST(a_connection_goes_to_its_address_and_no_other) {
        struct peer peer = peer_listen("127.0.0.1", 8), other = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire *control;
        int fd, other_fd;

        start_with(&scene, "Connect", peer.text);
        control = &scene.session.preopens[0].control;
        /* What the tenant's protocol may do says nothing here. */
        ck_assert_uint_eq(wire_connect_to(control, other.text, &fd), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_connect_to(control, "[::1]:80", &fd), NB_WASI_EAFNOSUPPORT);
        ck_assert_uint_eq(wire_connect_to(control, "@bus", &fd), NB_WASI_EAFNOSUPPORT);
        ck_assert_uint_eq(wire_listen(control, 1, NULL), NB_WASI_ENOTCAPABLE);
        ck_assert_uint_eq(wire_connect_to(control, peer.text, &fd), 0);
        other_fd = peer_accept(&peer);
        peer_exchange(fd, other_fd);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"protocol\":\"it\"", "\"verdict\":\"allowed\"");
        daemon_expect_audit(&scene.daemon, "\"verb\":\"connect\"", "\"protocol\":\"it\"", "\"verdict\":\"denied\"");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        peer_close(&other);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(datagrams) {
        struct peer peer = peer_udp("127.0.0.1");
        char rules[RULES_MAX];
        struct scene scene;
        int fd;

        (void)snprintf(rules, sizeof(rules), "[Preopen it]\n" DIRECT "Connect=%s\nSocketTypes=dgram\n", peer.text);
        scene_start(&scene, NULL, rules);
        ck_assert_uint_eq(wire_connect_to(&scene.session.preopens[0].control, peer.text, &fd), 0);
        ck_assert_int_eq(send(fd, "hello", 5, 0), 5);
        peer_udp_expect(peer.fd, "hello", NULL);
        (void)nb_fd_close(fd);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(unix_sockets) {
        char folder[] = "/tmp/nb-preopen-XXXXXX", path[64], rules[RULES_MAX];
        struct scene scene;
        int fd, peer_fd;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/app.sock", folder);
        (void)snprintf(rules, sizeof(rules), "[Preopen in]\n" DIRECT "Listen=%s\n[Preopen out]\n" DIRECT "Connect=%s\n",
                       path, path);
        scene_start(&scene, NULL, rules);
        ck_assert_int_eq(access(path, F_OK), -1);
        ck_assert_uint_eq(wire_connect_to(&scene.session.preopens[1].control, path, &fd), NB_WASI_ENOENT);
        ck_assert_uint_eq(wire_listen(&scene.session.preopens[0].control, 1, NULL), 0);
        ck_assert_uint_eq(wire_connect_to(&scene.session.preopens[1].control, path, &fd), 0);
        peer_fd = wire_receive_accepted(&scene.session.preopens[0].control, 1);
        peer_exchange(fd, peer_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);
        close_preopen(&scene, 0);
        scene_end(&scene);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* ---- reload ---- */

static const struct {
        const char *section; /* after the reload */
        bool ends;
} reloads[] = {
        { "[Preopen it]\n" DIRECT "Listen=127.0.0.1:8080\n", false },
        { "[Preopen it]\n" DIRECT "Listen=127.0.0.1:8080\nDeny=127.0.0.2/32:*\n", false },
        { "[Preopen it]\n" DIRECT "Listen=127.0.0.1:8081\n", true },
        { "[Preopen it]\n" DIRECT "Listen=/run/app.sock\n", true },
        { "[Preopen it]\n" DIRECT "Connect=127.0.0.1:8080\n", true },
        { "[Preopen other]\n" DIRECT "Listen=127.0.0.1:8080\n", true },
        { "[Protocol it]\nFamily=ip\n" DIRECT "Listen=127.0.0.1:8080\n", true },
        { "", true },
};

START_TEST(a_reload_judges_a_listener) {
        char rules[RULES_MAX];
        struct scene scene;

        start_with(&scene, "Listen", "127.0.0.1:8080");
        (void)snprintf(rules, sizeof(rules), SCENE_LOOPBACK "%s", reloads[_i].section);
        scene_write_policy(&scene, rules);
        daemon_reload(&scene.daemon);
        if (reloads[_i].ends) {
                wire_expect_end(&scene.session.preopens[0].control);
                close_preopen(&scene, 0);
        } else {
                wire_settle(scene.web);
                wire_expect_silence(&scene.session.preopens[0].control);
        }
        scene_end(&scene);
}
END_TEST

START_TEST(a_reload_judges_a_connection) {
        static const char *const sections[] = {
                "[Preopen it]\n" DIRECT "Connect=127.0.0.1:1\n",
                "",
        };
        struct peer peer = peer_listen("127.0.0.1", 8);
        char rules[RULES_MAX];
        struct scene scene;
        struct wire *control;
        int fd, other_fd;

        start_with(&scene, "Connect", peer.text);
        control = &scene.session.preopens[0].control;
        /* The same again changes nothing. */
        daemon_reload(&scene.daemon);
        ck_assert_uint_eq(wire_connect_to(control, peer.text, &fd), 0);
        (void)snprintf(rules, sizeof(rules), SCENE_LOOPBACK "%s", sections[_i]);
        scene_write_policy(&scene, rules);
        daemon_reload(&scene.daemon);
        wire_expect_end(control);
        close_preopen(&scene, 0);
        /* What is connected stays. */
        other_fd = peer_accept(&peer);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(fd);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* ---- limits ---- */

/* They are controls, and charged as such: a session that there is no room for is refused, and leaves nothing. */
START_TEST(they_are_charged) {
        /* A user that no other test runs its broker as: descriptors in flight are counted by user. */
        const struct daemon_options options = { .max_fds = SMALL_FDS, .user = getuid() == 0 ? "games" : NULL };
        struct wire_session sessions[SMALL_FDS];
        struct wire wire;
        struct scene scene;
        size_t n = 0;

        /* 128 descriptors are 16 controls for one tenant. */
        scene_start(&scene, &options,
                    "[Preopen a]\n" DIRECT "Listen=127.0.0.1:8001\n[Preopen b]\n" DIRECT "Listen=127.0.0.1:8002\n"
                    "[Preopen c]\n" DIRECT "Listen=127.0.0.1:8003\n[Preopen d]\n" DIRECT "Listen=127.0.0.1:8004\n"
                    "[Preopen e]\n" DIRECT "Listen=127.0.0.1:8005\n");
        for (;; ++n) {
                uint32_t error;

                wire = wire_connect(scene.daemon.socket_path);
                error = wire_hello(&wire, "acme", &sessions[n]);
                if (error != 0) {
                        ck_assert_uint_eq(error, NB_WASI_EMFILE);
                        break;
                }
        }
        ck_assert_uint_eq(n, 2);
        (void)wire_close(&wire);
        while (n > 0)
                wire_session_close(&sessions[--n]);
        daemon_wait_fds(&scene.daemon, scene.baseline);
        wire_session_open(scene.daemon.socket_path, "acme", &sessions[0]);
        wire_session_close(&sessions[0]);
        scene_end(&scene);
}
END_TEST

/* A session that never takes its Welcome is dropped for what it does next, and what was on its way stays charged to it. */
START_TEST(a_welcome_that_is_not_taken) {
        struct scene scene;
        struct wire wire;

        start_with(&scene, "Listen", "127.0.0.1:8080");
        wire = wire_connect(scene.daemon.socket_path);
        wire_send_hello(&wire, "acme");
        wire_send_hello(&wire, "acme");
        daemon_expect_audit(&scene.daemon, "\"verdict\":\"dropped\"");
        /* The session's channel, its protocol's and its preopened socket's linger. */
        daemon_wait_fds(&scene.daemon, scene.baseline + 3);
        (void)wire_close(&wire);
        daemon_wait_fds(&scene.daemon, scene.baseline);
        scene_end(&scene);
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("preopen");
        TCase *tcase = tcase_create("preopen");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, the_welcome);
        tcase_add_test(tcase, as_many_as_there_can_be);
        tcase_add_test(tcase, a_listener_is_bound_when_it_listens);
        tcase_add_test(tcase, a_listener_does_not_connect);
        tcase_add_test(tcase, a_denied_peer_is_never_seen);
        tcase_add_test(tcase, a_connection_goes_to_its_address_and_no_other);
        tcase_add_test(tcase, datagrams);
        tcase_add_test(tcase, unix_sockets);
        tcase_add_loop_test(tcase, a_reload_judges_a_listener, 0, sizeof(reloads) / sizeof(reloads[0]));
        tcase_add_loop_test(tcase, a_reload_judges_a_connection, 0, 2);
        tcase_add_test(tcase, they_are_charged);
        tcase_add_test(tcase, a_welcome_that_is_not_taken);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
