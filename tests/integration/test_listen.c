/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening: which addresses, how many connections are pushed when, and who is never seen.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define PEERS_MAX 160

static const char *const loopbacks[] = { "127.0.0.1:0", "[::1]:0" };

/* A control that listens on a port of the kernel's choice. */
static struct wire listen_on(struct wire *protocol, const char *bind, uint64_t credit,
                             char address[NB_ADDRESS_LENGTH_MAX + 1]) {
        struct wire control = wire_open_control(protocol, bind);
        uint32_t error = wire_listen(&control, credit, address);

        ck_assert_msg(error == 0, "listen on %s: errno %u", bind, error);
        return control;
}

static void connect_peers(int *fds, int n, const char *address) {
        for (int i = 0; i < n; ++i) {
                fds[i] = peer_connect(address);
                ck_assert_int_ge(fds[i], 0);
        }
}

static void close_all(const int *fds, int n) {
        for (int i = 0; i < n; ++i)
                (void)nb_fd_close(fds[i]);
}

/* Takes `n` pushed connections, counted on from `number`, and drops them. */
static void receive_and_close(const struct wire *control, uint64_t number, int n) {
        for (int i = 0; i < n; ++i)
                (void)nb_fd_close(wire_receive_accepted(control, number + (uint64_t)i));
}

START_TEST(a_pushed_stream_works_and_the_broker_is_out_of_it) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        char address[NB_ADDRESS_LENGTH_MAX + 1], peer_text[NB_ADDRESS_TEXT_MAX];
        struct sockaddr_storage sa;
        socklen_t length = sizeof(sa);
        struct nb_address peer;
        struct scene scene;
        struct wire control;
        int fd, other_fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, loopbacks[_i], 16, address);
        ck_assert_uint_ne(peer_port(address), 0);
        other_fd = peer_connect(address);
        ck_assert_int_ge(other_fd, 0);
        ck_assert(wire_receive(&control, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_ACCEPTED);
        ck_assert_uint_eq(reply->fds.n, 1);
        fd = reply->fds.fds[0];
        ck_assert_int_eq(getsockname(other_fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &peer), 0);
        ck_assert_str_eq(reply->reply->accepted->peer, nb_address_format(&peer, peer_text));
        ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
        peer_exchange(fd, other_fd);
        daemon_wait_fds(&scene.daemon, scene.baseline + 2);
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

START_TEST(an_explicit_port) {
        struct peer reserved = peer_listen("127.0.0.1", 1);
        char rules[128], address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control, none;
        int fd;

        (void)snprintf(rules, sizeof(rules), "Listen=%s\n", reserved.text);
        scene_start(&scene, NULL, rules);
        /* Port 0 is any port, and only one is granted. */
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &none, NULL), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(scene.web, reserved.text, &none, NULL), NB_WASI_EADDRINUSE);
        peer_close(&reserved);
        control = listen_on(scene.web, reserved.text, 1, address);
        ck_assert_str_eq(address, reserved.text);
        fd = peer_connect(address);
        receive_and_close(&control, 1, 1);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* The open address is judged when it is used. */
START_TEST(an_open_address_listens_only_with_a_grant_for_it) {
        struct scene scene;
        struct wire control;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), NB_WASI_EACCES);
        (void)wire_close(&control);
        control = wire_open_control(scene.web, "[::]:0");
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), NB_WASI_EACCES);
        daemon_expect_audit(&scene.daemon, "\"verb\":\"listen\"", "\"verdict\":\"denied\"", "\"remedy\":\"Listen=[::]");
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

START_TEST(what_is_not_ours_to_bind) {
        struct scene scene;
        struct wire none;

        scene_start(&scene, NULL, "Listen=192.0.2.0/24:*\n");
        ck_assert_uint_eq(wire_open(scene.web, "192.0.2.1:0", &none, NULL), NB_WASI_EADDRNOTAVAIL);
        ck_assert_uint_eq(wire_open(scene.web, "", &none, NULL), NB_WASI_EINVAL);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1", &none, NULL), NB_WASI_EINVAL);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:65536", &none, NULL), NB_WASI_EINVAL);
        ck_assert_uint_eq(wire_open(scene.web, "localhost:80", &none, NULL), NB_WASI_EINVAL);
        scene_end(&scene);
}
END_TEST

/* `::` is IPv6 only, unless 0.0.0.0 is granted too (abuse case 30). */
START_TEST(abuse_30_the_ipv6_wildcard) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], ipv4[NB_ADDRESS_TEXT_MAX], ipv6[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, _i ? "Listen=[::]:*\nListen=0.0.0.0:*\n" : "Listen=[::]:*\n");
        control = listen_on(scene.web, "[::]:0", 16, address);
        (void)snprintf(ipv4, sizeof(ipv4), "127.0.0.1:%u", peer_port(address));
        (void)snprintf(ipv6, sizeof(ipv6), "[::1]:%u", peer_port(address));
        fd = peer_connect(ipv6);
        ck_assert_int_ge(fd, 0);
        receive_and_close(&control, 1, 1);
        (void)nb_fd_close(fd);
        fd = peer_connect(ipv4);
        ck_assert_int_eq(fd >= 0, _i);
        if (_i)
                receive_and_close(&control, 2, 1);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* To the kernel all the broker's sockets have one owner, and yet one tenant takes no share of another's (abuse case 4). */
START_TEST(abuse_4_a_port_has_one_tenant) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire control, none = { .fd = -1 };
        struct wire_session other;
        struct daemon daemon;
        struct wire_session acme;
        uint32_t error;

        daemon_init(&daemon);
        daemon_write_policy(&daemon, SCENE_TENANT SCENE_LOOPBACK, (unsigned)getuid());
        daemon_write_policy_file(&daemon, "other.conf",
                                 "[Tenant]\nName=other\nUser=%u\n[Protocol web]\nFamily=ip\nDataPath=direct\n"
                                 "Listen=127.0.0.1:*\n",
                                 (unsigned)getuid());
        daemon_start(&daemon, NULL);
        wire_session_open(daemon.socket_path, "acme", &acme);
        wire_session_open(daemon.socket_path, "other", &other);
        control = listen_on(&acme.protocols[0], "127.0.0.1:0", 1, address);
        error = wire_open(&other.protocols[0], address, &none, NULL);
        if (error == 0)
                error = wire_listen(&none, 1, NULL);
        ck_assert_uint_eq(error, NB_WASI_EADDRINUSE);
        (void)wire_close(&none);
        (void)wire_close(&control);
        wire_session_close(&other);
        wire_session_close(&acme);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
}
END_TEST

/* Two bound sockets may share a port by SO_REUSEADDR until one listens; then the other cannot. */
START_TEST(a_bound_control_does_not_share_a_port) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire first, second = { .fd = -1 };
        struct scene scene;
        uint32_t error;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &first, address), 0);
        error = wire_open(scene.web, address, &second, NULL);
        ck_assert_uint_eq(wire_listen(&first, 1, NULL), 0);
        if (error == 0)
                error = wire_listen(&second, 1, NULL);
        ck_assert_uint_eq(error, NB_WASI_EADDRINUSE);
        (void)wire_close(&second);
        (void)wire_close(&first);
        scene_end(&scene);
}
END_TEST

/* ---- credit ---- */

/* Lets the broker push what it will, and fails if there is anything. */
static void expect_nothing_pushed(struct scene *scene, const struct wire *control) {
        wire_wait_taken(control);
        wire_settle(scene->web);
        wire_expect_silence(control);
}

START_TEST(never_more_than_the_credit) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        int peers[PEERS_MAX];
        struct scene scene;
        struct wire control;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", 0, address);
        connect_peers(peers, 20, address);
        expect_nothing_pushed(&scene, &control);

        wire_send_credit(&control, 3);
        receive_and_close(&control, 1, 3);
        expect_nothing_pushed(&scene, &control);
        /* A total, not an addition: repeated or lowered it changes nothing. */
        wire_send_credit(&control, 3);
        wire_send_credit(&control, 1);
        wire_send_credit(&control, 0);
        expect_nothing_pushed(&scene, &control);
        wire_send_credit(&control, 4);
        receive_and_close(&control, 4, 1);
        expect_nothing_pushed(&scene, &control);
        wire_send_credit(&control, 20);
        receive_and_close(&control, 5, 16);
        expect_nothing_pushed(&scene, &control);
        close_all(peers, 20);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

static const uint64_t hostile_totals[] = { 65, 1000, UINT32_MAX, UINT64_C(1) << 63, UINT64_MAX };

/* Whatever is asked for, 64 are under way at the most, and the descriptors of the broker stay as many (abuse case 8). */
START_TEST(abuse_8_never_more_than_the_window) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        uint64_t total = hostile_totals[_i];
        int peers[PEERS_MAX];
        struct scene scene;
        struct wire control;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", total, address);
        connect_peers(peers, 100, address);
        wire_settle(scene.web);
        daemon_wait_fds(&scene.daemon, scene.baseline + 2);

        /* More credit without reading buys nothing. */
        for (uint64_t i = 0; i < 200; ++i)
                wire_send_credit(&control, UINT64_MAX - 200 + i);
        wire_wait_taken(&control);
        wire_settle(scene.web);
        receive_and_close(&control, 1, NB_CREDIT_WINDOW_MAX);
        expect_nothing_pushed(&scene, &control);

        /* Read, the rest comes. */
        wire_send_credit(&control, UINT64_MAX);
        receive_and_close(&control, 65, 36);
        expect_nothing_pushed(&scene, &control);
        close_all(peers, 100);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* A guest that accepts at its own pace, over many windows. */
START_TEST(credit_goes_on_for_long) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", 16, address);
        for (uint64_t number = 1; number <= 600; ++number) {
                int fd = peer_connect(address);

                ck_assert_int_ge(fd, 0);
                receive_and_close(&control, number, 1);
                if (number % 4 == 0)
                        wire_send_credit(&control, number + 16);
                (void)nb_fd_close(fd);
        }
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* The same with a full window that is never empty when the credit is raised. */
START_TEST(credit_goes_on_with_frames_unread) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int peers[PEERS_MAX];

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", 16, address);
        connect_peers(peers, 16, address);
        for (uint64_t number = 1; number <= 300; ++number) {
                int fd;

                receive_and_close(&control, number, 1);
                wire_send_credit(&control, number + 16);
                fd = peer_connect(address);
                ck_assert_int_ge(fd, 0);
                (void)nb_fd_close(fd);
        }
        close_all(peers, 16);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* What a new broker is told of a listener of the one before. */
START_TEST(a_listener_is_counted_on) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct scene scene;
        struct wire control;
        int peers[PEERS_MAX];

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "127.0.0.1:0");
        wire_send_listen(&control, 16, 44, 40);
        ck_assert(wire_receive(&control, reply));
        connect_peers(peers, 8, reply->reply->listening->address);
        receive_and_close(&control, 41, 4);
        expect_nothing_pushed(&scene, &control);
        close_all(peers, 8);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

static const struct {
        uint64_t credit, received;
        bool pushes;
} counted[] = {
        { .credit = 0, .received = UINT64_MAX },
        { .credit = UINT64_MAX, .received = UINT64_MAX },
        { .credit = 5, .received = 6 },
        { .credit = UINT64_MAX, .received = UINT64_MAX - 1, .pushes = true },
};

START_TEST(hostile_counts) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct scene scene;
        struct wire control;
        int peers[2];

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "127.0.0.1:0");
        wire_send_listen(&control, UINT32_MAX, counted[_i].credit, counted[_i].received);
        ck_assert(wire_receive(&control, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_LISTENING);
        connect_peers(peers, 2, reply->reply->listening->address);
        if (counted[_i].pushes)
                receive_and_close(&control, UINT64_MAX, 1);
        wire_send_credit(&control, 6);
        wire_send_credit(&control, UINT64_MAX);
        wire_settle(scene.web);
        close_all(peers, 2);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* ---- peers ---- */

/* A peer that a Deny rule names is closed and never shown, and takes no credit; also on a mapped address (abuse case 12). */
START_TEST(abuse_12_a_denied_peer_is_never_seen) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], target[NB_ADDRESS_TEXT_MAX];
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, "Listen=[::]:*\nListen=0.0.0.0:*\nDeny=127.0.0.2/32:*\n");
        control = listen_on(scene.web, _i ? "[::]:0" : "0.0.0.0:0", 1, address);
        (void)snprintf(target, sizeof(target), "127.0.0.1:%u", peer_port(address));
        for (int i = 0; i < 3; ++i) {
                fd = peer_connect_from("127.0.0.2", target);
                ck_assert_int_ge(fd, 0);
                peer_expect_end(fd);
                (void)nb_fd_close(fd);
        }
        daemon_expect_audit(&scene.daemon, "\"verb\":\"accept\"", "\"verdict\":\"denied\"",
                            "\"rule\":\"Deny=127.0.0.2/32:*\"", "\"address\":\"127.0.0.2:");
        expect_nothing_pushed(&scene, &control);
        fd = peer_connect_from("127.0.0.1", target);
        receive_and_close(&control, 1, 1);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

START_TEST(a_peer_that_gave_up_is_no_harm) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", 0, address);
        fd = peer_connect(address);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        (void)nb_fd_close(fd);
        fd = peer_connect(address);
        wire_send_credit(&control, 2);
        /* Linux hands out the dead one too. */
        receive_and_close(&control, 1, 2);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* ---- states ---- */

/* With connections pushed and not yet read, as a guest that calls listen() again has them. */
START_TEST(listen_is_answered_again) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int peers[4];

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", 2, address);
        connect_peers(peers, 4, address);
        wire_settle(scene.web);
        wire_send_listen(&control, 256, 3, 0);
        receive_and_close(&control, 1, 2);
        ck_assert(wire_receive(&control, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_LISTENING);
        ck_assert_str_eq(reply->reply->listening->address, address);
        receive_and_close(&control, 3, 1);
        expect_nothing_pushed(&scene, &control);
        close_all(peers, 4);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* A bound socket is used up by its connection; without one, listening makes its own. */
START_TEST(listening_after_a_connection) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, "Connect=127.0.0.1:*\nListen=0.0.0.0:*\nListen=127.0.0.1:*\n");
        control = wire_open_control(scene.web, _i ? "127.0.0.1:0" : "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), _i ? NB_WASI_EISCONN : 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(a_control_that_listens_does_not_connect) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int fd, peer_fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", 2, address);
        ck_assert_uint_eq(wire_connect_to(&control, "127.0.0.1:80", &fd), NB_WASI_EINVAL);
        /* It still listens. */
        peer_fd = peer_connect(address);
        receive_and_close(&control, 1, 1);
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

/* A denial leaves the control as it was. */
START_TEST(a_refused_listen_can_be_followed_by_a_connect) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct scene scene;
        struct wire control;
        int fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(closing_the_control_closes_the_listener) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int waiting;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        control = listen_on(scene.web, "127.0.0.1:0", 0, address);
        waiting = peer_connect(address);
        (void)wire_close(&control);
        scene_expect_baseline(&scene);
        peer_expect_end(waiting);
        (void)nb_fd_close(waiting);
        ck_assert_int_eq(peer_connect(address), -1);
        ck_assert_int_eq(errno, ECONNREFUSED);
        /* The port can be had again at once. */
        control = listen_on(scene.web, address, 0, NULL);
        (void)wire_close(&control);
        scene_end(&scene);
}
END_TEST

static void add_credit_tests(TCase *tcase) {
        tcase_add_test(tcase, never_more_than_the_credit);
        tcase_add_loop_test(tcase, abuse_8_never_more_than_the_window, 0,
                            sizeof(hostile_totals) / sizeof(hostile_totals[0]));
        tcase_add_test(tcase, credit_goes_on_for_long);
        tcase_add_test(tcase, credit_goes_on_with_frames_unread);
        tcase_add_test(tcase, a_listener_is_counted_on);
        tcase_add_loop_test(tcase, hostile_counts, 0, sizeof(counted) / sizeof(counted[0]));
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("listen");
        TCase *tcase = tcase_create("listen");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, a_pushed_stream_works_and_the_broker_is_out_of_it, 0, 2);
        tcase_add_test(tcase, an_explicit_port);
        tcase_add_test(tcase, an_open_address_listens_only_with_a_grant_for_it);
        tcase_add_test(tcase, what_is_not_ours_to_bind);
        tcase_add_loop_test(tcase, abuse_30_the_ipv6_wildcard, 0, 2);
        tcase_add_test(tcase, abuse_4_a_port_has_one_tenant);
        tcase_add_test(tcase, a_bound_control_does_not_share_a_port);
        add_credit_tests(tcase);
        tcase_add_loop_test(tcase, abuse_12_a_denied_peer_is_never_seen, 0, 2);
        tcase_add_test(tcase, a_peer_that_gave_up_is_no_harm);
        tcase_add_test(tcase, listen_is_answered_again);
        tcase_add_loop_test(tcase, listening_after_a_connection, 0, 2);
        tcase_add_test(tcase, a_control_that_listens_does_not_connect);
        tcase_add_test(tcase, a_refused_listen_can_be_followed_by_a_connect);
        tcase_add_test(tcase, closing_the_control_closes_the_listener);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
