/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs out, and for whom: descriptors, accounts, descriptors in flight; and many sessions at once.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/connection_files.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define SMALL_FDS 128

#define TENANT "[Tenant]\nName=%s\nUser=%u\n[Protocol web]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK

/* Two tenants, with a session each. */
struct two {
        struct daemon daemon;
        struct wire_session first;
        struct wire_session second;
};

static void two_start(struct two *two, const struct daemon_options *options) {
        daemon_init(&two->daemon);
        daemon_write_policy_file(&two->daemon, "first.conf", TENANT, "first", (unsigned)getuid());
        daemon_write_policy_file(&two->daemon, "second.conf", TENANT, "second", (unsigned)getuid());
        daemon_start(&two->daemon, options);
        wire_session_open(two->daemon.socket_path, "first", &two->first);
        wire_session_open(two->daemon.socket_path, "second", &two->second);
}

static void two_stop(struct two *two) {
        wire_session_close(&two->first);
        wire_session_close(&two->second);
        daemon_stop(&two->daemon);
        daemon_deinit(&two->daemon);
}

/* ---- accounts ---- */

/* Opens controls until there are no more. @return how many */
static size_t open_all(struct wire *protocol, const char *address, struct wire *controls, size_t max) {
        for (size_t n = 0; n < max; ++n) {
                uint32_t error = wire_open(protocol, address, &controls[n], NULL);

                if (error == NB_WASI_EMFILE)
                        return n;
                ck_assert_uint_eq(error, 0);
        }
        ck_abort_msg("there is no limit");
        return 0;
}

static void close_controls(struct wire *controls, size_t n) {
        for (size_t i = 0; i < n; ++i)
                (void)wire_close(&controls[i]);
}

/*
 * The kernel counts descriptors in flight by the sender's user, and holds them against the limit of who sends one more. A broker with a small
 * limit therefore runs as another user than the other tests' do at the same time.
 */
static const char *uncrowded_user(void) {
        return getuid() == 0 ? "nobody" : NULL;
}

/* One tenant at its limit leaves the other what it needs (abuse cases 32, 45). */
START_TEST(abuse_32_controls_of_one_tenant) {
        const struct daemon_options options = { .max_fds = SMALL_FDS, .user = uncrowded_user() };
        struct wire controls[SMALL_FDS], control;
        struct two two;
        size_t n;

        two_start(&two, &options);
        n = open_all(&two.first.protocols[0], "127.0.0.1:0", controls, SMALL_FDS);
        ck_assert_uint_ge(n, 8);
        control = wire_open_control(&two.second.protocols[0], "127.0.0.1:0");
        (void)wire_close(&control);
        daemon_expect_audit(&two.daemon, "\"tenant\":\"first\"", "\"verb\":\"open\"", "\"verdict\":\"denied\"");
        /* One goes, one comes. */
        (void)wire_close(&controls[--n]);
        wire_settle(&two.second.protocols[0]);
        controls[n++] = wire_open_control(&two.first.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_open(&two.first.protocols[0], "127.0.0.1:0", &control, NULL), NB_WASI_EMFILE);
        close_controls(controls, n);
        two_stop(&two);
}
END_TEST

static size_t open_all_sessions(const struct daemon *daemon, const char *tenant, struct wire_session *sessions,
                                size_t max) {
        for (size_t n = 0; n < max; ++n) {
                struct wire wire = wire_connect(daemon->socket_path);
                uint32_t error = wire_hello(&wire, tenant, &sessions[n]);

                if (error == NB_WASI_EMFILE) {
                        (void)wire_close(&wire);
                        return n;
                }
                ck_assert_uint_eq(error, 0);
        }
        ck_abort_msg("there is no limit");
        return 0;
}

START_TEST(sessions_of_one_tenant) {
        const struct daemon_options options = { .max_fds = SMALL_FDS, .user = uncrowded_user() };
        struct wire_session sessions[SMALL_FDS], session;
        struct two two;
        size_t n;

        two_start(&two, &options);
        n = open_all_sessions(&two.daemon, "first", sessions, SMALL_FDS);
        ck_assert_uint_ge(n, 2);
        daemon_expect_audit(&two.daemon, "\"verb\":\"hello\"", "\"verdict\":\"denied\"", "as many sessions as it may");
        wire_session_open(two.daemon.socket_path, "second", &session);
        wire_session_close(&session);
        for (size_t i = 0; i < n; ++i)
                wire_session_close(&sessions[i]);
        two_stop(&two);
}
END_TEST

/* Connects that hang, to a peer that answers no SYN (abuse case 45). */
START_TEST(abuse_45_connects_of_one_tenant) {
        const struct daemon_options options = { .max_fds = SMALL_FDS, .user = uncrowded_user() };
        struct peer peer = peer_listen("127.0.0.1", 8), full = peer_listen("127.0.0.1", 1);
        struct wire controls[SMALL_FDS], control;
        size_t n_full, n, n_hanging = 0;
        int full_fds[16], fd;
        struct two two;

        two_start(&two, &options);
        n_full = peer_fill_backlog(&full, full_fds, 16);
        n = open_all(&two.first.protocols[0], "0.0.0.0:0", controls, SMALL_FDS);
        for (size_t i = 0; i < n; ++i)
                wire_send_connect(&controls[i], full.text);
        wire_settle(&two.second.protocols[0]);
        for (size_t i = 0; i < n; ++i) {
                if (harness_poll(controls[i].fd, POLLIN, 0) == 0)
                        n_hanging++;
                else
                        ck_assert_uint_eq(wire_receive_connected(&controls[i], &fd), NB_WASI_EAGAIN);
        }
        ck_assert_uint_gt(n_hanging, 0);
        ck_assert_uint_lt(n_hanging, n);
        daemon_expect_audit(&two.daemon, "\"tenant\":\"first\"", "\"verb\":\"connect\"", "as many connections");
        control = wire_open_control(&two.second.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        close_controls(controls, n);
        for (size_t i = 0; i < n_full; ++i)
                (void)nb_fd_close(full_fds[i]);
        peer_close(&full);
        peer_close(&peer);
        two_stop(&two);
}
END_TEST

/* A tenant that asks for connections and takes none of them (abuse case 8). */
START_TEST(abuse_8_connections_in_flight_of_one_tenant) {
        const struct daemon_options options = { .max_fds = 1024, .user = uncrowded_user() };
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire hoarders[8], control;
        struct two two;
        int fd;

        two_start(&two, &options);
        for (size_t i = 0; i < 8; ++i) {
                hoarders[i] = wire_open_control(&two.first.protocols[0], "127.0.0.1:0");
                ck_assert_uint_eq(wire_listen(&hoarders[i], UINT64_MAX, address), 0);
                for (int j = 0; j < 100; ++j)
                        ck_assert_int_ge(peer_connect(address), 0);
        }
        wire_settle(&two.second.protocols[0]);
        control = wire_open_control(&two.second.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        fd = peer_connect(address);
        (void)nb_fd_close(wire_receive_accepted(&control, 1));
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        close_controls(hoarders, 8);
        two_stop(&two);
}
END_TEST

/* How a session makes the broker end its objects, and keeps its own ends with what is unread in them. */
enum way {
        WAY_VIOLATION,
        WAY_EMPTY_MESSAGE,
        WAY_SHUTDOWN,
        N_WAYS,
};

/* A session with answers and connections that it never takes. */
struct hoard {
        struct wire_session session;
        struct wire connected;
        struct wire listening;
};

static void end_hoarding(const struct hoard *hoard, enum way way) {
        const struct wire *wires[] = { &hoard->session.channel, &hoard->session.protocols[0], &hoard->connected,
                                       &hoard->listening };

        for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); ++i) {
                if (way == WAY_EMPTY_MESSAGE)
                        (void)wire_send_bytes(wires[i], "", 0, NULL, 0);
                else if (way == WAY_SHUTDOWN)
                        ck_assert_int_eq(shutdown(wires[i]->fd, SHUT_RDWR), 0);
                else
                        (void)wire_send_bytes(wires[i], "x", 1, NULL, 0);
        }
}

/* @return whether the tenant could have another session */
static bool hoard_more(const struct daemon *daemon, const struct peer *peer, enum way way, struct hoard *hoard) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire wire = wire_connect(daemon->socket_path);

        if (wire_hello(&wire, "first", &hoard->session) != 0) {
                (void)wire_close(&wire);
                return false;
        }
        hoard->connected = wire_open_control(&hoard->session.protocols[0], "0.0.0.0:0");
        wire_send_connect(&hoard->connected, peer->text);
        hoard->listening = wire_open_control(&hoard->session.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&hoard->listening, UINT64_MAX, address), 0);
        for (int i = 0; i < 32; ++i)
                (void)nb_fd_close(peer_connect(address));
        wire_send_open(&hoard->session.protocols[0], "0.0.0.0:0", 0, 0);
        wire_wait_taken(&hoard->connected);
        wire_wait_taken(&hoard->session.protocols[0]);
        end_hoarding(hoard, way);
        return true;
}

static void hoard_end(struct hoard *hoard) {
        (void)wire_close(&hoard->connected);
        (void)wire_close(&hoard->listening);
        wire_session_close(&hoard->session);
}

/*
 * The kernel counts what is unread against the broker's user, also after the broker has closed its end (abuse case 8): a session
 * that is dropped stays charged for it.
 */
START_TEST(abuse_8_dropped_sessions_that_hoard) {
        const struct daemon_options options = { .max_fds = 256, .user = uncrowded_user() };
        struct peer peer = peer_listen("127.0.0.1", 1024);
        struct hoard hoards[256];
        struct wire control;
        unsigned baseline;
        struct two two;
        size_t n = 0;
        int fd;

        two_start(&two, &options);
        wire_settle(&two.second.protocols[0]);
        baseline = daemon_count_fds_at_rest(&two.daemon);
        while (n < 256 && hoard_more(&two.daemon, &peer, (enum way)_i, &hoards[n])) {
                ++n;
                control = wire_open_control(&two.second.protocols[0], "0.0.0.0:0");
                ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
                (void)nb_fd_close(fd);
                (void)wire_close(&control);
        }
        ck_assert_uint_lt(n, 256);
        /* With the ends of its channels, it gets everything back. */
        for (size_t i = 0; i < n; ++i)
                hoard_end(&hoards[i]);
        daemon_wait_fds(&two.daemon, baseline);
        ck_assert(hoard_more(&two.daemon, &peer, (enum way)_i, &hoards[0]));
        hoard_end(&hoards[0]);
        peer_close(&peer);
        two_stop(&two);
}
END_TEST

#define WELCOMED_PROTOCOLS 24

/* What a tenant keeps from its first session on: its two sets of watches (broker/throttle.h) and a shelf (broker/connection_files.h). */
#define TENANT_FDS 3

/* A tenant whose Welcome carries many descriptors. */
static void write_many_protocols(const struct daemon *daemon) {
        char text[4096];
        int n = snprintf(text, sizeof(text), "[Tenant]\nName=first\nUser=%u\n", (unsigned)getuid());

        for (int i = 0; i < WELCOMED_PROTOCOLS; ++i)
                n += snprintf(text + n, sizeof(text) - (size_t)n, "[Protocol p%d]\nFamily=ip\nDataPath=direct\n", i);
        daemon_write_policy_file(daemon, "first.conf", "%s", text);
}

/* The descriptors of a Welcome stay charged as the protocols that they lead to, also when the session is dropped (abuse case 8). */
START_TEST(abuse_8_welcomes_that_are_never_read) {
        const struct daemon_options options = { .max_fds = 256, .user = uncrowded_user() };
        struct wire hoarders[256], control;
        struct wire_session second;
        struct daemon daemon;
        unsigned baseline;

        daemon_init(&daemon);
        write_many_protocols(&daemon);
        daemon_write_policy_file(&daemon, "second.conf", TENANT, "second", (unsigned)getuid());
        daemon_start(&daemon, &options);
        wire_session_open(daemon.socket_path, "second", &second);
        wire_settle(&second.protocols[0]);
        baseline = daemon_count_fds_at_rest(&daemon) + TENANT_FDS;
        for (size_t i = 0; i < 256; ++i) {
                hoarders[i] = wire_connect(daemon.socket_path);
                wire_send_hello(&hoarders[i], "first");
                wire_wait_taken(&hoarders[i]);
                (void)wire_send_bytes(&hoarders[i], "x", 1, NULL, 0);
                control = wire_open_control(&second.protocols[0], "0.0.0.0:0");
                (void)wire_close(&control);
        }
        close_controls(hoarders, 256);
        daemon_wait_fds(&daemon, baseline);
        wire_session_close(&second);
        daemon_stop(&daemon);
        daemon_deinit(&daemon);
}
END_TEST

/* ---- as many descriptors in flight as the kernel lets the broker's user have (ETOOMANYREFS, unix(7)) ---- */

/* A user that no other test runs its broker as, so that nobody else's descriptors are counted. */
#define LONELY_USER "daemon"

#define IN_FLIGHT_FDS 64
#define IN_FLIGHT_MESSAGES 4

static void send_many(void *data) {
        const struct wire *wire = data;
        int fds[IN_FLIGHT_FDS];

        for (int i = 0; i < IN_FLIGHT_FDS; ++i)
                fds[i] = STDERR_FILENO;
        for (int i = 0; i < IN_FLIGHT_MESSAGES; ++i)
                ck_assert_int_eq(wire_send_bytes(wire, "x", 1, fds, IN_FLIGHT_FDS), 0);
}

/* Another process of the broker's user has sent many, and nobody takes them. @param pair  filled in, owned by the caller */
static void fill_the_air(int pair[static 2]) {
        const struct passwd *user = getpwnam(LONELY_USER);
        struct wire wire;

        ck_assert_ptr_nonnull(user);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        wire.fd = pair[0];
        harness_run_as(user->pw_uid, send_many, &wire);
}

/* They are taken after all: what is in the queue goes with it. */
static void clear_the_air(int pair[static 2]) {
        pair[0] = nb_fd_close(pair[0]);
        pair[1] = nb_fd_close(pair[1]);
}

/* An accepted peer waits for room, and is the first to be pushed; what could not be sent is refused. */
START_TEST(an_accepted_peer_waits_for_room_in_flight) {
        const struct daemon_options options = { .max_fds = SMALL_FDS, .user = LONELY_USER };
        struct peer peer = peer_listen("127.0.0.1", 8);
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire control, client, none;
        int pair[2], peers[2], fd;
        struct scene scene;

        scene_start(&scene, &options, SCENE_LOOPBACK);
        client = wire_open_control(scene.web, "0.0.0.0:0");
        control = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        fill_the_air(pair);
        for (int i = 0; i < 2; ++i)
                peers[i] = peer_connect(address);
        /* The listener's channel, its socket, and the peer that is accepted and cannot be pushed. */
        daemon_wait_fds(&scene.daemon, scene.baseline + 4);
        wire_expect_silence(&control);
        ck_assert_uint_eq(wire_open(scene.web, "0.0.0.0:0", &none, NULL), NB_WASI_ENFILE);
        ck_assert_uint_eq(wire_connect_to(&client, peer.text, &fd), NB_WASI_ENFILE);
        peer_expect_nothing(peers[0]);

        clear_the_air(pair);
        for (int i = 0; i < 2; ++i) {
                fd = wire_receive_accepted(&control, (uint64_t)i + 1);
                peer_exchange(fd, peers[i]);
                (void)nb_fd_close(fd);
                (void)nb_fd_close(peers[i]);
        }
        (void)wire_close(&client);
        (void)wire_close(&control);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

START_TEST(an_accepted_peer_that_waits_goes_with_its_listener) {
        const struct daemon_options options = { .max_fds = SMALL_FDS, .user = LONELY_USER };
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct scene scene;
        struct wire control;
        int pair[2], peer_fd;

        scene_start(&scene, &options, SCENE_LOOPBACK);
        control = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        fill_the_air(pair);
        peer_fd = peer_connect(address);
        daemon_wait_fds(&scene.daemon, scene.baseline + 3);
        (void)wire_close(&control);
        peer_expect_end(peer_fd);
        (void)nb_fd_close(peer_fd);
        clear_the_air(pair);
        scene_end(&scene);
}
END_TEST

/* What was unread can still be taken, and then the broker is done with it. */
START_TEST(what_is_unread_of_a_dropped_session_can_be_taken) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire_session session;
        struct wire listening;
        struct scene scene;
        int peer_fd, fd;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        wire_session_open(scene.daemon.socket_path, "", &session);
        listening = wire_open_control(&session.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        peer_fd = peer_connect(address);
        wire_settle(scene.web);
        ck_assert_int_eq(wire_send_bytes(&session.channel, "x", 1, NULL, 0), 0);
        wire_expect_end(&session.channel);
        daemon_wait_fds(&scene.daemon, scene.baseline + 1);
        ck_assert_int_eq(peer_connect(address), -1);
        fd = wire_receive_accepted(&listening, 1);
        wire_expect_end(&listening);
        daemon_wait_fds(&scene.daemon, scene.baseline);
        peer_exchange(fd, peer_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);
        (void)wire_close(&listening);
        wire_session_close(&session);
        scene_end(&scene);
}
END_TEST

/* Objects that linger hold up neither a reload nor the end. */
START_TEST(a_lingering_object_is_no_obstacle) {
        struct wire_session session;
        struct scene scene;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        wire_session_open(scene.daemon.socket_path, "", &session);
        wire_send_open(&session.protocols[0], "0.0.0.0:0", 0, 0);
        wire_settle(scene.web);
        ck_assert_int_eq(wire_send_bytes(&session.channel, "x", 1, NULL, 0), 0);
        wire_expect_end(&session.channel);
        wire_settle(scene.web);
        daemon_remove_policy(&scene.daemon, "acme.conf");
        daemon_write_policy_file(&scene.daemon, "other.conf", TENANT, "other", (unsigned)getuid());
        daemon_reload(&scene.daemon);
        daemon_reload(&scene.daemon);
        wire_expect_end(&scene.session.channel);
        wire_session_close(&scene.session);
        daemon_stop(&scene.daemon);
        daemon_deinit(&scene.daemon);
        wire_session_close(&session);
}
END_TEST

/* ---- the limits of a policy ---- */

#define LIMITED "[Tenant]\nName=first\nUser=%u\n%s\n[Protocol web]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK

static void write_limited(const struct daemon *daemon, const char *limits) {
        daemon_write_policy_file(daemon, "first.conf", LIMITED, (unsigned)getuid(), limits);
}

/* As two_start(), and the first has limits. */
static void limited_start(struct two *two, const char *limits) {
        daemon_init(&two->daemon);
        write_limited(&two->daemon, limits);
        daemon_write_policy_file(&two->daemon, "second.conf", TENANT, "second", (unsigned)getuid());
        daemon_start(&two->daemon, NULL);
        wire_session_open(two->daemon.socket_path, "first", &two->first);
        wire_session_open(two->daemon.socket_path, "second", &two->second);
}

static size_t count_in_log(const struct daemon *daemon, const char *text) {
        NB_CLEANUP_FREE char *log = daemon_read(daemon->stderr_path);
        size_t n = 0;

        for (const char *at = strstr(log, text); at; at = strstr(at + 1, text))
                ++n;
        return n;
}

/* The log is told of the first denial, and not of the next. A reload gives more. */
START_TEST(a_limit_of_the_policy_is_met_told_once_and_raised) {
        struct wire controls[4], control;
        struct two two;

        limited_start(&two, "MaxControls=3");
        for (int i = 0; i < 3; ++i)
                controls[i] = wire_open_control(&two.first.protocols[0], "127.0.0.1:0");
        for (int i = 0; i < 5; ++i)
                ck_assert_uint_eq(wire_open(&two.first.protocols[0], "127.0.0.1:0", &control, NULL), NB_WASI_EMFILE);
        daemon_expect_log(&two.daemon, "tenant first has reached MaxControls=3");
        ck_assert_uint_eq(count_in_log(&two.daemon, "MaxControls="), 1);
        write_limited(&two.daemon, "MaxControls=4");
        daemon_reload(&two.daemon);
        controls[3] = wire_open_control(&two.first.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_open(&two.first.protocols[0], "127.0.0.1:0", &control, NULL), NB_WASI_EMFILE);
        /* Lowered below what is held: nothing is taken away, and nothing given. */
        write_limited(&two.daemon, "MaxControls=1");
        daemon_reload(&two.daemon);
        (void)wire_close(&controls[3]);
        ck_assert_uint_eq(wire_open(&two.first.protocols[0], "127.0.0.1:0", &control, NULL), NB_WASI_EMFILE);
        close_controls(controls, 3);
        two_stop(&two);
}
END_TEST

START_TEST(listeners_are_limited) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire controls[3];
        struct two two;

        limited_start(&two, "MaxListeners=2");
        for (int i = 0; i < 3; ++i)
                controls[i] = wire_open_control(&two.first.protocols[0], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&controls[0], 16, address), 0);
        ck_assert_uint_eq(wire_listen(&controls[1], 16, address), 0);
        ck_assert_uint_eq(wire_listen(&controls[2], 16, address), NB_WASI_EMFILE);
        (void)wire_close(&controls[0]);
        wire_settle(&two.first.protocols[0]);
        ck_assert_uint_eq(wire_listen(&controls[2], 16, address), 0);
        close_controls(&controls[1], 2);
        two_stop(&two);
}
END_TEST

START_TEST(sessions_are_limited) {
        struct wire_session sessions[2];
        struct wire wire;
        struct two two;

        limited_start(&two, "MaxSessions=2");
        wire_session_open(two.daemon.socket_path, "first", &sessions[0]);
        wire = wire_connect(two.daemon.socket_path);
        ck_assert_uint_eq(wire_hello(&wire, "first", &sessions[1]), NB_WASI_EMFILE);
        (void)wire_close(&wire);
        wire_session_close(&sessions[0]);
        daemon_expect_log(&two.daemon, "tenant first has reached MaxSessions=2");
        two_stop(&two);
}
END_TEST

START_TEST(memory_is_limited) {
        struct wire controls[64], control;
        uint32_t error = 0;
        struct two two;
        size_t n = 0;

        limited_start(&two, "MaxMemory=32K");
        while (n < 64 && (error = wire_open(&two.first.protocols[0], "127.0.0.1:0", &controls[n], NULL)) == 0)
                ++n;
        ck_assert_uint_eq(error, NB_WASI_ENOBUFS);
        ck_assert_uint_gt(n, 8);
        ck_assert_uint_lt(n, 32);
        daemon_expect_log(&two.daemon, "tenant first has reached MaxMemory=32K");
        control = wire_open_control(&two.second.protocols[0], "127.0.0.1:0");
        (void)wire_close(&control);
        close_controls(controls, n);
        two_stop(&two);
}
END_TEST

START_TEST(connects_a_second_are_limited) {
        struct peer peer = peer_listen("127.0.0.1", 16);
        uint32_t error = 0;
        struct wire control;
        struct two two;
        int fd, n = 0;

        limited_start(&two, "ConnectRate=3/s");
        control = wire_open_control(&two.first.protocols[0], "0.0.0.0:0");
        while (n < 100 && (error = wire_connect_to(&control, peer.text, &fd)) == 0) {
                (void)nb_fd_close(fd);
                ++n;
        }
        ck_assert_uint_eq(error, NB_WASI_EAGAIN);
        ck_assert_int_ge(n, 3);
        daemon_expect_audit(&two.daemon, "\"tenant\":\"first\"", "ConnectRate=");
        daemon_expect_log(&two.daemon, "tenant first has reached ConnectRate=3/s");
        (void)wire_close(&control);
        peer_close(&peer);
        two_stop(&two);
}
END_TEST

static void open_and_close(struct wire *protocol) {
        struct wire control = wire_open_control(protocol, "0.0.0.0:0");

        (void)wire_close(&control);
}

/* Beyond its rate a tenant waits, all of its sessions together, without an error; another one does not. */
START_TEST(requests_beyond_the_rate_wait) {
        struct wire_session another;
        uint64_t start_ms, rounds_ms;
        struct two two;

        limited_start(&two, "RequestRate=100/s");
        wire_session_open(two.daemon.socket_path, "first", &another);
        start_ms = harness_now_ms();
        /* An open and the end of what it opened are two events. */
        for (int i = 0; i < 50; ++i) {
                open_and_close(&two.first.protocols[0]);
                open_and_close(&another.protocols[0]);
        }
        rounds_ms = harness_now_ms() - start_ms;
        ck_assert_uint_ge(rounds_ms, 700);
        start_ms = harness_now_ms();
        for (int i = 0; i < 50; ++i)
                open_and_close(&two.second.protocols[0]);
        ck_assert_uint_lt(harness_now_ms() - start_ms, rounds_ms);
        wire_session_close(&another);
        two_stop(&two);
}
END_TEST

/* A reload that takes the limit away lets go at once who waits. */
START_TEST(a_reload_ends_the_waiting) {
        struct wire_session more;
        uint64_t start_ms;
        struct two two;

        limited_start(&two, "RequestRate=1/s");
        wire_send_open(&two.first.protocols[0], "0.0.0.0:0", 0, 0);
        write_limited(&two.daemon, "RequestRate=infinity");
        daemon_reload(&two.daemon);
        start_ms = harness_now_ms();
        wire_session_open(two.daemon.socket_path, "first", &more);
        for (int i = 0; i < 200; ++i)
                open_and_close(&more.protocols[0]);
        ck_assert_uint_lt(harness_now_ms() - start_ms, HARNESS_DEADLINE_MS / 2);
        wire_session_close(&more);
        two_stop(&two);
}
END_TEST

/* Existing=keep keeps what a session has, and one that still waits for its Welcome has nothing. */
START_TEST(a_reload_turns_away_who_waits) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct wire waiting;
        struct two two;

        limited_start(&two, "RequestRate=1/s");
        waiting = wire_connect(two.daemon.socket_path);
        wire_send_hello(&waiting, "first");
        wire_wait_taken(&waiting);
        daemon_write_policy_file(&two.daemon, "first.conf", LIMITED, (unsigned)getuid() + 1, "Existing=keep");
        daemon_reload(&two.daemon);
        ck_assert(wire_receive(&waiting, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_REFUSED);
        ck_assert_uint_eq(reply->reply->refused->error, NB_WASI_EACCES);
        (void)wire_close(&waiting);
        two_stop(&two);
}
END_TEST

#define SILENT 600

/* Sessions that say nothing, more than one user may have: others, and this user's own next one, are admitted (abuse case 44). */
START_TEST(abuse_44_silent_sessions_keep_nobody_out) {
        struct wire silent[SILENT];
        struct wire_session session;
        struct two two;

        limited_start(&two, "MaxSessions=8");
        for (int i = 0; i < SILENT; ++i)
                silent[i] = wire_connect(two.daemon.socket_path);
        wire_session_open(two.daemon.socket_path, "second", &session);
        open_and_close(&session.protocols[0]);
        wire_session_close(&session);
        wire_session_open(two.daemon.socket_path, "first", &session);
        wire_session_close(&session);
        daemon_expect_audit(&two.daemon, "no Hello while too many wait");
        close_controls(silent, SILENT);
        two_stop(&two);
}
END_TEST

#define MANY 512

/* As many calls in flight as a tenant may have, and more: the caps hold, and another's call is answered among them (abuse case 44). */
START_TEST(abuse_44_many_calls_in_flight) {
        struct peer full = peer_listen("127.0.0.1", 1), peer = peer_listen("127.0.0.1", 16);
        struct wire controls[MANY], control;
        size_t n_hanging = 0, n_full;
        int full_fds[16], fd;
        struct two two;

        limited_start(&two, "MaxConnecting=100");
        n_full = peer_fill_backlog(&full, full_fds, 16);
        for (int i = 0; i < MANY; ++i) {
                controls[i] = wire_open_control(&two.first.protocols[0], "0.0.0.0:0");
                wire_send_connect(&controls[i], full.text);
        }
        control = wire_open_control(&two.second.protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        for (int i = 0; i < MANY; ++i)
                wire_wait_taken(&controls[i]);
        wire_settle(&two.first.protocols[0]);
        for (int i = 0; i < MANY; ++i)
                n_hanging += harness_poll(controls[i].fd, POLLIN, 0) == 0;
        ck_assert_uint_eq(n_hanging, 100);
        (void)wire_close(&control);
        close_controls(controls, MANY);
        for (size_t i = 0; i < n_full; ++i)
                (void)nb_fd_close(full_fds[i]);
        peer_close(&full);
        peer_close(&peer);
        two_stop(&two);
}
END_TEST

#define READY 2000

/*
 * One tenant has as many requests ready as it can, and dials black holes with them: another's single request does not wait for all of
 * them, but for a turn (abuse case 45). How much it waits is measured by `bench/run --only n`.
 */
START_TEST(abuse_45_a_single_request_waits_for_a_turn) {
        struct peer full = peer_listen("127.0.0.1", 1), peer = peer_listen("127.0.0.1", 16);
        struct wire *controls = calloc(READY, sizeof(*controls));
        size_t n_full, n_unanswered = 0;
        struct wire control;
        int full_fds[16], fd;
        struct two two;

        ck_assert_ptr_nonnull(controls);
        limited_start(&two, "MaxConnecting=100");
        n_full = peer_fill_backlog(&full, full_fds, 16);
        control = wire_open_control(&two.second.protocols[0], "0.0.0.0:0");
        for (int i = 0; i < READY; ++i)
                controls[i] = wire_open_control(&two.first.protocols[0], "0.0.0.0:0");
        /* While the broker is stopped all become ready; then it has the choice. */
        ck_assert_int_eq(kill(two.daemon.pid, SIGSTOP), 0);
        for (int i = 0; i < READY; ++i)
                wire_send_connect(&controls[i], "192.0.2.1:1");
        wire_send_connect(&control, peer.text);
        ck_assert_int_eq(kill(two.daemon.pid, SIGCONT), 0);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        ck_assert_int_eq(kill(two.daemon.pid, SIGSTOP), 0);
        for (int i = 0; i < READY; ++i)
                n_unanswered += harness_poll(controls[i].fd, POLLIN, 0) == 0;
        ck_assert_int_eq(kill(two.daemon.pid, SIGCONT), 0);
        ck_assert_uint_gt(n_unanswered, 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        close_controls(controls, READY);
        free(controls);
        for (size_t i = 0; i < n_full; ++i)
                (void)nb_fd_close(full_fds[i]);
        peer_close(&full);
        peer_close(&peer);
        two_stop(&two);
}
END_TEST

/* ---- no descriptors left ---- */

/* Lowers the running daemon's limit to what it has: accounts would leave it some, whatever strangers do. */
static void fill_table(const struct daemon *daemon) {
        struct rlimit limit = { .rlim_cur = daemon_lowest_free_fd(daemon), .rlim_max = SMALL_FDS };

        ck_assert_int_eq(prlimit(daemon->pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

static void empty_table(const struct daemon *daemon) {
        const struct rlimit limit = { .rlim_cur = SMALL_FDS, .rlim_max = SMALL_FDS };

        ck_assert_int_eq(prlimit(daemon->pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* It survives, says so, does not spin, and recovers (abuse case 45). */
START_TEST(abuse_45_the_broker_has_no_descriptor_left) {
        const struct daemon_options options = { .max_fds = SMALL_FDS };
        struct peer peer = peer_listen("127.0.0.1", 16);
        struct wire idle, listening, none, knocking;
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire_session session;
        struct scene scene;
        uint64_t cpu_ms, start;
        int fd, peer_fd;

        scene_start(&scene, &options, SCENE_LOOPBACK);
        idle = wire_open_control(scene.web, "0.0.0.0:0");
        listening = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&listening, 16, address), 0);
        fill_table(&scene.daemon);
        knocking = wire_connect(scene.daemon.socket_path);
        daemon_expect_log(&scene.daemon, "cannot accept a session");

        ck_assert_uint_eq(wire_open(scene.web, "0.0.0.0:0", &none, NULL), NB_WASI_EMFILE);
        ck_assert_uint_eq(wire_open(scene.web, "127.0.0.1:0", &none, NULL), NB_WASI_EMFILE);
        ck_assert_uint_eq(wire_connect_to(&idle, peer.text, &fd), NB_WASI_EMFILE);
        /* Nobody can be accepted for a while; that must cost next to nothing. */
        peer_fd = peer_connect(address);
        cpu_ms = daemon_cpu_ms(&scene.daemon);
        start = harness_now_ms();
        while (harness_now_ms() - start < 500)
                ck_assert_int_eq(harness_poll(listening.fd, POLLIN, 50), 0);
        ck_assert_uint_lt(daemon_cpu_ms(&scene.daemon) - cpu_ms, 250);

        empty_table(&scene.daemon);
        ck_assert_uint_eq(wire_hello(&knocking, "", &session), 0);
        wire_session_close(&session);
        (void)nb_fd_close(wire_receive_accepted(&listening, 1));
        (void)nb_fd_close(peer_fd);
        wire_session_open(scene.daemon.socket_path, "", &session);
        wire_session_close(&session);
        ck_assert_uint_eq(wire_connect_to(&idle, peer.text, &fd), 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&idle);
        (void)wire_close(&listening);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* Descriptors that are sent to a full table are cut by the kernel (MSG_CTRUNC, abuse case 6): never a stale number. */
START_TEST(abuse_6_descriptors_for_a_full_table) {
        const struct daemon_options options = { .max_fds = SMALL_FDS };
        struct wire_session session;
        struct scene scene;
        int fds[16];

        scene_start(&scene, &options, SCENE_LOOPBACK);
        wire_session_open(scene.daemon.socket_path, "", &session);
        daemon_let_descriptors_in(&scene.daemon);
        fill_table(&scene.daemon);
        for (size_t i = 0; i < 16; ++i)
                fds[i] = STDERR_FILENO;
        ck_assert_int_eq(wire_send_bytes(&session.protocols[0], "x", 1, fds, 16), 0);
        wire_expect_end(&session.protocols[0]);
        wire_expect_end(&session.channel);
        wire_session_close(&session);
        empty_table(&scene.daemon);
        scene_end(&scene);
}
END_TEST

/* ---- many ---- */

#define PROCESSES 10
#define SESSIONS 100
#define CONNECTIONS 10

struct crowd {
        const struct scene *scene;
        const struct peer *peer;
        int ready_fd; /* gets a byte when all are connected */
        int go_fd;    /* ends when all may go */
};

/* A part of the sessions: each has a control and its connections, all open at once. */
static void hold_sessions(const struct crowd *crowd) {
        struct wire_session sessions[SESSIONS];
        struct wire controls[SESSIONS];
        int fds[SESSIONS][CONNECTIONS];
        char byte;

        for (int i = 0; i < SESSIONS; ++i) {
                wire_session_open(crowd->scene->daemon.socket_path, "", &sessions[i]);
                controls[i] = wire_open_control(&sessions[i].protocols[0], "0.0.0.0:0");
        }
        for (int j = 0; j < CONNECTIONS; ++j) {
                for (int i = 0; i < SESSIONS; ++i)
                        wire_send_connect(&controls[i], crowd->peer->text);
                for (int i = 0; i < SESSIONS; ++i) {
                        ck_assert_uint_eq(wire_receive_connected(&controls[i], &fds[i][j]), 0);
                        ck_assert_int_eq(send(fds[i][j], "x", 1, MSG_NOSIGNAL), 1);
                }
        }
        ck_assert_int_eq(write(crowd->ready_fd, "x", 1), 1);
        ck_assert_int_eq(read(crowd->go_fd, &byte, 1), 0);
}

/* Accepts all; a byte of each says that its stream works. */
static void accept_all(const struct peer *peer, int *fds, int n) {
        for (int i = 0; i < n; ++i) {
                char byte;

                fds[i] = peer_accept(peer);
                ck_assert_int_ne(harness_poll(fds[i], POLLIN, HARNESS_DEADLINE_MS), 0);
                ck_assert_int_eq(recv(fds[i], &byte, 1, 0), 1);
        }
}

START_TEST(a_thousand_sessions_with_ten_connections_each) {
        const struct daemon_options options = { .no_info = true };
        struct peer peer = peer_listen("127.0.0.1", 4096);
        int ready_pipe[2], go_pipe[2], fds[PROCESSES * SESSIONS * CONNECTIONS];
        struct scene scene;
        struct crowd crowd = { .scene = &scene, .peer = &peer };
        pid_t pids[PROCESSES];
        char byte;

        scene_start(&scene, &options, SCENE_LOOPBACK);
        ck_assert_int_eq(pipe2(ready_pipe, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(go_pipe, O_CLOEXEC), 0);
        crowd.ready_fd = ready_pipe[1];
        crowd.go_fd = go_pipe[0];
        for (int i = 0; i < PROCESSES; ++i) {
                pids[i] = fork();
                ck_assert_int_ge(pids[i], 0);
                if (pids[i] == 0) {
                        (void)nb_fd_close(go_pipe[1]);
                        hold_sessions(&crowd);
                        _exit(0);
                }
        }
        accept_all(&peer, fds, PROCESSES * SESSIONS * CONNECTIONS);
        for (int i = 0; i < PROCESSES; ++i)
                ck_assert_int_eq(read(ready_pipe[0], &byte, 1), 1);
        /* A session, a protocol and a control each; of the 10,000 streams nothing is left here but the shelves that know of them. */
        daemon_wait_fds(&scene.daemon, scene.baseline + 3 * PROCESSES * SESSIONS +
                                               PROCESSES * SESSIONS * CONNECTIONS / CONNECTION_SHELF_MAX);
        wire_settle(scene.web);
        (void)nb_fd_close(go_pipe[1]);
        for (int i = 0; i < PROCESSES; ++i)
                ck_assert_int_eq(harness_wait_exit(pids[i]), 0);
        for (int i = 0; i < PROCESSES * SESSIONS * CONNECTIONS; ++i)
                (void)nb_fd_close(fds[i]);
        (void)nb_fd_close(go_pipe[0]);
        (void)nb_fd_close(ready_pipe[0]);
        (void)nb_fd_close(ready_pipe[1]);
        peer_close(&peer);
        scene_end(&scene);
}
END_TEST

/* The test's own process holds the peers' ends, and the broker eight descriptors a session for its accounts. */
static bool has_descriptors(rlim_t needed) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return false;
        if (limit.rlim_max < needed)
                limit.rlim_max = needed; /* root may */
        limit.rlim_cur = limit.rlim_max;
        return setrlimit(RLIMIT_NOFILE, &limit) == 0 ||
               (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= needed);
}

static Suite *new_suite(void) {
        Suite *suite = suite_create("limits");
        TCase *tcase = tcase_create("limits");

        suite_add_tcase(suite, tcase);
        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, abuse_32_controls_of_one_tenant);
        tcase_add_test(tcase, sessions_of_one_tenant);
        tcase_add_test(tcase, abuse_45_connects_of_one_tenant);
        tcase_add_test(tcase, abuse_8_connections_in_flight_of_one_tenant);
        tcase_add_loop_test(tcase, abuse_8_dropped_sessions_that_hoard, 0, N_WAYS);
        tcase_add_test(tcase, abuse_8_welcomes_that_are_never_read);
        if (getuid() == 0) {
                tcase_add_test(tcase, an_accepted_peer_waits_for_room_in_flight);
                tcase_add_test(tcase, an_accepted_peer_that_waits_goes_with_its_listener);
        } else {
                fprintf(stderr, "not tested: too many descriptors in flight: that needs another user, and so root\n");
        }
        tcase_add_test(tcase, what_is_unread_of_a_dropped_session_can_be_taken);
        tcase_add_test(tcase, a_lingering_object_is_no_obstacle);
        tcase_add_test(tcase, a_limit_of_the_policy_is_met_told_once_and_raised);
        tcase_add_test(tcase, listeners_are_limited);
        tcase_add_test(tcase, sessions_are_limited);
        tcase_add_test(tcase, memory_is_limited);
        tcase_add_test(tcase, connects_a_second_are_limited);
        tcase_add_test(tcase, requests_beyond_the_rate_wait);
        tcase_add_test(tcase, a_reload_ends_the_waiting);
        tcase_add_test(tcase, a_reload_turns_away_who_waits);
        tcase_add_test(tcase, abuse_44_silent_sessions_keep_nobody_out);
        tcase_add_test(tcase, abuse_44_many_calls_in_flight);
        tcase_add_test(tcase, abuse_45_the_broker_has_no_descriptor_left);
        tcase_add_test(tcase, abuse_6_descriptors_for_a_full_table);
        if (has_descriptors(20000)) {
                tcase_add_test(tcase, abuse_45_a_single_request_waits_for_a_turn);
                tcase_add_test(tcase, a_thousand_sessions_with_ten_connections_each);
        } else {
                fprintf(stderr, "not tested: 1,000 sessions at once: that needs 20,000 descriptors (ulimit -Hn)\n");
        }
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
