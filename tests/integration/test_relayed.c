/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections through a relay, as the broker makes them: what the guest gets and is told, what is left afterwards, and what becomes of all of it
 * when a relay ends.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/fake_proxy.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

/* The tenant's name, a user's number, and more of [Tenant]; rules for [Protocol web] come behind. */
#define TENANT                                                                                                         \
        "[Tenant]\n"                                                                                                   \
        "Name=%s\n"                                                                                                    \
        "User=%u\n"                                                                                                    \
        "ExplainDenials=yes\n"                                                                                         \
        "%s"                                                                                                           \
        "[Protocol web]\n"                                                                                             \
        "%s"

#define STREAMS "Family=ip\nDataPath=relay\n" SCENE_LOOPBACK

#define RELAY "Family=ip\nDataPath=relay\nSocketTypes=stream dgram\n" SCENE_LOOPBACK

#define MANY 40

/* More connects than the kernel takes orders at once. */
#define BURST 500

/* The end of a relay's path that is this program. */
#define IDLER "/idler"

struct world {
        struct daemon daemon;
        struct wire_session session;
        struct wire *web;
        unsigned baseline; /* the daemon's descriptors with the session, and a relay that has nothing to do */
};

static void write_policy(const struct world *world, const char *tenant, const char *more, const char *protocol) {
        char file[64];

        (void)snprintf(file, sizeof(file), "%s.conf", tenant);
        daemon_write_policy_file(&world->daemon, file, TENANT, tenant, (unsigned)getuid(), more, protocol);
}

/* A connection of which nothing is left: there is a relay then. */
static void warm_up(struct wire *web) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire control = wire_open_control(web, "0.0.0.0:0");
        int fd, other_fd;

        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        other_fd = peer_accept(&peer);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        peer_close(&peer);
}

static void world_open(struct world *world, const struct daemon_options *options) {
        daemon_start(&world->daemon, options);
        wire_session_open(world->daemon.socket_path, "acme", &world->session);
        world->web = &world->session.protocols[0];
        wire_settle(world->web);
}

static void world_start(struct world *world, const char *more, const char *protocol) {
        daemon_init(&world->daemon);
        write_policy(world, "acme", more, protocol);
        world_open(world, NULL);
        warm_up(world->web);
        wire_settle(world->web);
        world->baseline = daemon_count_fds_at_rest(&world->daemon);
}

static void world_end(struct world *world) {
        wire_session_close(&world->session);
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
}

/* Waits until there are that many, and the daemon has taken note of it. */
static void wait_for_relays(const struct daemon *daemon, size_t n) {
        uint64_t start = harness_now_ms();
        pid_t pids[8];

        while (harness_children(daemon->pid, pids, 8) != n)
                harness_wait_a_moment(start, "relays to end");
}

static sa_family_t family_of(int fd) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length = sizeof(sa);

        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
        return sa.ss_family;
}

/* Waits until something can be read, and reads. As read(2). */
static ssize_t read_some(int fd, void *buffer, size_t size) {
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        return read(fd, buffer, size);
}

static void expect_text(int fd, const char *text) {
        char buffer[64] = "";
        size_t n = 0;

        while (n < strlen(text)) {
                ssize_t r = read_some(fd, buffer + n, strlen(text) - n);

                ck_assert_int_gt(r, 0);
                n += (size_t)r;
        }
        ck_assert_str_eq(buffer, text);
}

static void expect_clean_end(int fd) {
        char byte;

        ck_assert_int_eq(read_some(fd, &byte, 1), 0);
}

static void expect_reset(int fd) {
        char byte;

        ck_assert_int_eq(read_some(fd, &byte, 1), -1);
        ck_assert_int_eq(errno, ECONNRESET);
}

/* One connection through the relay, with its peer. */
struct pair {
        struct peer listener;
        struct wire control;
        int fd, other_fd;
};

static void pair_open(struct pair *pair, struct wire *web) {
        pair->listener = peer_listen("127.0.0.1", 8);
        pair->control = wire_open_control(web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&pair->control, pair->listener.text, &pair->fd), 0);
        pair->other_fd = peer_accept(&pair->listener);
        peer_exchange(pair->fd, pair->other_fd);
}

static void pair_close(struct pair *pair) {
        pair->fd = nb_fd_close(pair->fd);
        pair->other_fd = nb_fd_close(pair->other_fd);
        (void)wire_close(&pair->control);
        peer_close(&pair->listener);
}

/* ---- connects ---- */

START_TEST(a_connect_gets_the_end_of_a_pair_and_is_told_of_both_addresses) {
        char peer_text[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct sockaddr_storage sa = { 0 };
        socklen_t length = sizeof(sa);
        char from[NB_ADDRESS_TEXT_MAX];
        struct nb_address address;
        struct world world;
        struct wire control;
        int fd, other_fd;

        world_start(&world, "", RELAY);
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_named(&control, peer.text, &fd, peer_text, local), 0);
        other_fd = peer_accept(&peer);
        ck_assert_int_eq(family_of(fd), AF_UNIX);
        ck_assert_str_eq(peer_text, peer.text);
        ck_assert_int_eq(getpeername(other_fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &address), 0);
        ck_assert_str_eq(local, nb_address_format(&address, from));
        peer_exchange(fd, other_fd);
        /* The control is all that is left of it in the broker. */
        daemon_wait_fds(&world.daemon, world.baseline + 1);
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        daemon_wait_fds(&world.daemon, world.baseline);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

START_TEST(each_direction_ends_by_itself) {
        struct world world;
        struct pair pair;

        world_start(&world, "", RELAY);
        pair_open(&pair, world.web);
        ck_assert_int_eq(shutdown(pair.other_fd, SHUT_WR), 0);
        expect_clean_end(pair.fd);
        ck_assert_int_eq(write(pair.fd, "still", 5), 5);
        expect_text(pair.other_fd, "still");
        ck_assert_int_eq(shutdown(pair.fd, SHUT_WR), 0);
        expect_clean_end(pair.other_fd);
        expect_clean_end(pair.fd);
        pair_close(&pair);
        daemon_wait_fds(&world.daemon, world.baseline);
        world_end(&world);
}
END_TEST

START_TEST(what_came_before_a_reset_is_read_and_then_the_reset) {
        const struct linger linger = { .l_onoff = 1 };
        struct world world;
        struct pair pair;

        world_start(&world, "", RELAY);
        pair_open(&pair, world.web);
        ck_assert_int_eq(write(pair.other_fd, "last words", 10), 10);
        ck_assert_int_ne(harness_poll(pair.fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(setsockopt(pair.other_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        pair.other_fd = nb_fd_close(pair.other_fd);
        ck_assert_int_ne(harness_poll(pair.fd, POLLHUP, HARNESS_DEADLINE_MS) & POLLHUP, 0);
        expect_text(pair.fd, "last words");
        expect_reset(pair.fd);
        pair_close(&pair);
        world_end(&world);
}
END_TEST

START_TEST(refusals_are_the_kernels_as_ever) {
        struct peer gone = peer_listen("127.0.0.1", 1);
        struct world world;
        struct wire control;
        int fd;

        world_start(&world, "", RELAY);
        peer_close(&gone);
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, gone.text, &fd), NB_WASI_ECONNREFUSED);
        ck_assert_uint_eq(wire_connect_to(&control, "192.0.2.1:80", &fd), NB_WASI_EACCES);
        (void)wire_close(&control);
        daemon_wait_fds(&world.daemon, world.baseline);
        world_end(&world);
}
END_TEST

START_TEST(a_control_that_is_closed_while_connecting_leaves_nothing) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct world world;
        int other_fd;

        world_start(&world, "", RELAY);
        for (int i = 0; i < MANY; ++i) {
                struct wire control = wire_open_control(world.web, "0.0.0.0:0");

                wire_send_connect(&control, peer.text);
                (void)wire_close(&control);
        }
        daemon_wait_fds(&world.daemon, world.baseline);
        other_fd = peer_accept(&peer);
        (void)nb_fd_close(other_fd);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

START_TEST(a_connect_of_datagrams_keeps_their_borders) {
        struct peer peer = peer_udp("127.0.0.1");
        char buffer[64], from[NB_ADDRESS_TEXT_MAX];
        struct world world;
        struct wire control;
        int fd;

        world_start(&world, "", RELAY);
        ck_assert_uint_eq(wire_open_dgram(world.web, "0.0.0.0:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), 0);
        ck_assert_int_eq(write(fd, "one", 3), 3);
        ck_assert_int_eq(write(fd, "second", 6), 6);
        peer_udp_expect(peer.fd, "one", from);
        peer_udp_expect(peer.fd, "second", from);
        peer_udp_send(&peer, from, "an answer");
        peer_udp_send(&peer, from, "another");
        ck_assert_int_eq(read_some(fd, buffer, sizeof(buffer)), 9);
        ck_assert_int_eq(read_some(fd, buffer, sizeof(buffer)), 7);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        daemon_wait_fds(&world.daemon, world.baseline);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

START_TEST(unix_streams_go_through_it_too) {
        char protocol[512], path[HARNESS_PATH_MAX], asked[NB_ADDRESS_LENGTH_MAX + 1], peer[NB_ADDRESS_LENGTH_MAX + 1],
                local[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire server, client;
        int fd, other_fd;

        daemon_init(&world.daemon);
        ck_assert_int_lt(snprintf(path, sizeof(path), "%s/s", world.daemon.folder), (int)sizeof(path));
        (void)snprintf(protocol, sizeof(protocol), "Family=unix\nDataPath=relay\nListen=%s\nConnect=%s\n", path, path);
        write_policy(&world, "acme", "", protocol);
        world_open(&world, NULL);
        ck_assert_uint_eq(wire_open(world.web, path, &server, asked), 0);
        ck_assert_uint_eq(wire_listen(&server, 8, asked), 0);
        client = wire_open_control(world.web, "");
        ck_assert_uint_eq(wire_connect_to(&client, path, &other_fd), 0);
        fd = wire_receive_accepted_named(&server, 1, peer, local);
        ck_assert_str_eq(local, path);
        ck_assert_str_eq(peer, "");
        peer_exchange(fd, other_fd);
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        expect_clean_end(other_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&client);
        (void)wire_close(&server);
        world_end(&world);
}
END_TEST

START_TEST(orders_wait_for_a_relay_that_is_busy) {
        struct peer peer = peer_listen("127.0.0.1", BURST);
        struct wire *controls = calloc(BURST, sizeof(*controls));
        int *fds = calloc(BURST, sizeof(*fds));
        struct world world;
        pid_t relay;

        world_start(&world, "MaxConnecting=infinity\nConnectRate=infinity\nRequestRate=infinity\n", RELAY);
        relay = harness_only_child(world.daemon.pid);
        ck_assert_int_eq(kill(relay, SIGSTOP), 0);
        for (int i = 0; i < BURST; ++i) {
                controls[i] = wire_open_control(world.web, "0.0.0.0:0");
                wire_send_connect(&controls[i], peer.text);
        }
        wire_settle(world.web);
        ck_assert_int_eq(kill(relay, SIGCONT), 0);
        for (int i = 0; i < BURST; ++i)
                ck_assert_uint_eq(wire_receive_connected(&controls[i], &fds[i]), 0);
        for (int i = 0; i < BURST; ++i) {
                int other_fd = peer_accept(&peer);

                (void)nb_fd_close(fds[i]);
                (void)wire_close(&controls[i]);
                (void)nb_fd_close(other_fd);
        }
        daemon_wait_fds(&world.daemon, world.baseline);
        free(fds);
        free(controls);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

/* ---- accepts ---- */

START_TEST(a_listener_serves_through_the_relay) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;

        world_start(&world, "", RELAY);
        ck_assert_uint_eq(wire_open(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        for (uint64_t i = 1; i <= 3; ++i) {
                int other_fd = peer_connect(address);
                int fd = wire_receive_accepted_named(&control, i, peer, local);

                ck_assert_int_eq(family_of(fd), AF_UNIX);
                ck_assert_str_eq(local, address);
                ck_assert_int_eq(strncmp(peer, "127.0.0.1:", 10), 0);
                peer_exchange(fd, other_fd);
                (void)nb_fd_close(fd);
                peer_expect_end(other_fd);
                (void)nb_fd_close(other_fd);
        }
        (void)wire_close(&control);
        daemon_wait_fds(&world.daemon, world.baseline);
        world_end(&world);
}
END_TEST

START_TEST(peers_that_are_ready_wait_for_credit) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        int fds[4], other_fds[4];

        world_start(&world, "", RELAY);
        ck_assert_uint_eq(wire_open(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 1, address), 0);
        for (int i = 0; i < 4; ++i)
                other_fds[i] = peer_connect(address);
        fds[0] = wire_receive_accepted(&control, 1);
        wire_settle(world.web);
        wire_expect_silence(&control);
        wire_send_credit(&control, 4);
        for (int i = 1; i < 4; ++i)
                fds[i] = wire_receive_accepted(&control, (uint64_t)i + 1);
        for (int i = 0; i < 4; ++i) {
                ck_assert_int_eq(write(fds[i], "hello", 5), 5);
                expect_text(other_fds[i], "hello");
                (void)nb_fd_close(fds[i]);
                (void)nb_fd_close(other_fds[i]);
        }
        (void)wire_close(&control);
        daemon_wait_fds(&world.daemon, world.baseline);
        world_end(&world);
}
END_TEST

/* ---- crashes ---- */

START_TEST(a_crash_is_its_tenants_own) {
        struct world world;
        struct wire_session other;
        struct pair pair, others;
        pid_t relay;

        daemon_init(&world.daemon);
        write_policy(&world, "acme", "", RELAY);
        write_policy(&world, "other", "", RELAY);
        world_open(&world, NULL);
        pair_open(&pair, world.web);
        relay = harness_only_child(world.daemon.pid);
        wire_session_open(world.daemon.socket_path, "other", &other);
        pair_open(&others, &other.protocols[0]);
        world.baseline = daemon_count_fds_at_rest(&world.daemon);

        ck_assert_int_eq(kill(relay, SIGKILL), 0);
        expect_reset(pair.fd);
        daemon_expect_log(&world.daemon, "was killed by SIGKILL");
        peer_exchange(others.fd, others.other_fd);
        pair_close(&pair);
        /* The next one is started at once. */
        pair_open(&pair, world.web);
        peer_exchange(pair.fd, pair.other_fd);
        daemon_wait_fds(&world.daemon, world.baseline);
        pair_close(&pair);
        pair_close(&others);
        wire_session_close(&other);
        world_end(&world);
}
END_TEST

START_TEST(what_crashes_again_is_started_after_a_pause) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct world world;
        struct pair pair;
        struct wire control;
        uint64_t start;
        uint32_t error;
        int fd = -1;

        world_start(&world, "", RELAY);
        for (int i = 0; i < 2; ++i) {
                pair_open(&pair, world.web);
                ck_assert_int_eq(kill(harness_only_child(world.daemon.pid), SIGKILL), 0);
                expect_reset(pair.fd);
                pair_close(&pair);
                wait_for_relays(&world.daemon, 0);
        }
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), NB_WASI_EAGAIN);
        start = harness_now_ms();
        while ((error = wire_connect_to(&control, peer.text, &fd)) == NB_WASI_EAGAIN)
                harness_wait_a_moment(start, "a relay");
        ck_assert_uint_eq(error, 0);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

#define HEADER "PROXY UNKNOWN\r\n"

/* Who has something to wait for, and who has not and is the guest's from the beginning. */
static const char *const under_way[] = { STREAMS "AcceptProxyHeader=127.0.0.1\n", STREAMS };

START_TEST(connects_under_way_fail_with_their_relay) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        int other_fd, fd;

        world_start(&world, "", under_way[_i]);
        ck_assert_uint_eq(wire_open(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        /* A relay that does nothing, and what is asked of it. */
        ck_assert_int_eq(kill(harness_only_child(world.daemon.pid), SIGSTOP), 0);
        other_fd = peer_connect(address);
        wire_settle(world.web);
        ck_assert_int_eq(kill(harness_only_child(world.daemon.pid), SIGKILL), 0);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
        if (_i == 1) {
                fd = wire_receive_accepted(&control, 1);
                expect_reset(fd);
                (void)nb_fd_close(fd);
        }
        /* The listener is none the worse for it. */
        other_fd = peer_connect(address);
        if (_i == 0)
                ck_assert_int_eq(write(other_fd, HEADER, sizeof(HEADER) - 1), sizeof(HEADER) - 1);
        fd = wire_receive_accepted(&control, (uint64_t)_i + 1);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        daemon_wait_fds(&world.daemon, world.baseline);
        world_end(&world);
}
END_TEST

START_TEST(links_are_spread_over_relays) {
        struct world world;
        struct pair pairs[4];
        pid_t pids[8];
        size_t n;

        daemon_init(&world.daemon);
        write_policy(&world, "acme", "Relays=2\n", RELAY);
        world_open(&world, NULL);
        for (int i = 0; i < 4; ++i)
                pair_open(&pairs[i], world.web);
        n = harness_children(world.daemon.pid, pids, 8);
        ck_assert_uint_eq(n, 2);
        /* Half of them live on. */
        ck_assert_int_eq(kill(pids[0], SIGKILL), 0);
        n = 0;
        for (int i = 0; i < 4; ++i) {
                int r = harness_poll(pairs[i].fd, POLLIN, i < 2 ? 1000 : 0);

                n += r != 0;
        }
        ck_assert_uint_eq(n, 2);
        for (int i = 0; i < 4; ++i)
                pair_close(&pairs[i]);
        world_end(&world);
}
END_TEST

/*
 * A program that is started as a relay, and is none: this one by another name, which waits (main()). No script would do, for the broker executes
 * nothing but the relays' program, and no script's interpreter.
 */
static void make_idler(const struct world *world, char path[static HARNESS_PATH_MAX]) {
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

        ck_assert_int_gt(n, 0);
        self[n] = '\0';
        ck_assert_int_lt(snprintf(path, HARNESS_PATH_MAX, "%s" IDLER, world->daemon.folder), HARNESS_PATH_MAX);
        ck_assert_int_eq(symlink(self, path), 0);
}

/* It was there when the daemon started. */
START_TEST(a_relay_that_cannot_be_started_is_said_so) {
        char path[HARNESS_PATH_MAX], expected[2 * HARNESS_PATH_MAX];
        const char *arguments[] = { "--relay-program", path, NULL };
        const struct daemon_options options = { .arguments = arguments };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct world world;
        struct wire control;
        int fd;

        daemon_init(&world.daemon);
        make_idler(&world, path);
        write_policy(&world, "acme", "", RELAY);
        world_open(&world, &options);
        ck_assert_int_eq(unlink(path), 0);
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_ne(wire_connect_to(&control, peer.text, &fd), 0);
        (void)snprintf(expected, sizeof(expected), "cannot start a relay by %s: No such file", path);
        daemon_expect_log(&world.daemon, expected);
        (void)wire_close(&control);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

START_TEST(a_relay_that_says_nothing_is_ended) {
        char path[HARNESS_PATH_MAX];
        const char *arguments[] = { "--relay-program", path, NULL };
        const struct daemon_options options = { .arguments = arguments };
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct world world;
        struct wire control;
        int fd;

        daemon_init(&world.daemon);
        make_idler(&world, path);
        write_policy(&world, "acme", "", RELAY);
        world_open(&world, &options);
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &fd), NB_WASI_ECONNRESET);
        daemon_expect_log(&world.daemon, "its relay did not start in 5 s");
        wait_for_relays(&world.daemon, 0);
        (void)wire_close(&control);
        peer_close(&peer);
        world_end(&world);
}
END_TEST

/* ---- revocation ---- */

START_TEST(a_reload_ends_what_is_no_longer_granted) {
        struct world world;
        struct pair pair;

        world_start(&world, "", RELAY);
        pair_open(&pair, world.web);
        write_policy(&world, "acme", "", "Family=ip\nDataPath=relay\nConnect=192.0.2.1:443\n");
        daemon_reload(&world.daemon);
        expect_reset(pair.fd);
        peer_expect_end(pair.other_fd);
        pair_close(&pair);
        world_end(&world);
}
END_TEST

START_TEST(a_reload_with_a_proxy_ends_what_goes_round_it) {
        struct world world;
        struct pair pair;

        world_start(&world, "", RELAY);
        pair_open(&pair, world.web);
        write_policy(&world, "acme", "", STREAMS "Proxy=socks5://127.0.0.1:1\n");
        daemon_reload(&world.daemon);
        expect_reset(pair.fd);
        peer_expect_end(pair.other_fd);
        pair_close(&pair);
        world_end(&world);
}
END_TEST

START_TEST(an_operator_revokes_without_a_helper) {
        struct operator_scene world;
        struct wire_session session;
        struct pair pair;

        operator_start(&world, SCENE_LOOPBACK "[Protocol relayed]\n" STREAMS, false);
        wire_session_open(world.scene.daemon.socket_path, "acme", &session);
        pair_open(&pair, &session.protocols[1]);
        ck_assert_int_eq(CTL(&world, NULL, "revoke", "connection", "1"), 0);
        expect_reset(pair.fd);
        peer_expect_end(pair.other_fd);
        pair_close(&pair);
        wire_session_close(&session);
        operator_end_changed(&world);
}
END_TEST

/* ---- certificates, keys and passwords ---- */

#define TLS_SERVER                                                                                                     \
        "Family=ip\nDataPath=relay\n" SCENE_LOOPBACK "TLS=server\nTLSCertificate=%s/chain.pem %s/key.pem\n"            \
        "HandshakeTimeout=%s\n"

static void path_in(const struct world *world, const char *name, char path[static HARNESS_PATH_MAX]) {
        ck_assert_int_lt(snprintf(path, HARNESS_PATH_MAX, "%s/%s", world->daemon.folder, name), HARNESS_PATH_MAX);
}

/* A certificate of its own, for a name, with its key, in the daemon's folder. */
static void make_certificate(const struct world *world, const char *name) {
        char chain[HARNESS_PATH_MAX], key[HARNESS_PATH_MAX], subject[64];
        PROCESS process;

        path_in(world, "chain.pem", chain);
        path_in(world, "key.pem", key);
        (void)snprintf(subject, sizeof(subject), "/CN=%s", name);
        PROCESS_START(&process, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                      "-nodes", "-days", "2", "-subj", subject, "-addext", "subjectAltName=IP:127.0.0.1", "-out", chain,
                      "-keyout", key);
        ck_assert_int_eq(process_finish(&process, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(chmod(key, 0600), 0);
}

static void remove_certificate(const struct world *world) {
        char path[HARNESS_PATH_MAX];

        path_in(world, "chain.pem", path);
        (void)unlink(path);
        path_in(world, "key.pem", path);
        (void)unlink(path);
}

static void write_tls_policy(const struct world *world, const char *more, const char *handshake_timeout) {
        char protocol[1024];

        ck_assert_int_lt(snprintf(protocol, sizeof(protocol), TLS_SERVER, world->daemon.folder, world->daemon.folder,
                                  handshake_timeout),
                         (int)sizeof(protocol));
        write_policy(world, "acme", more, protocol);
}

static void tls_world_start(struct world *world, const char *more, const char *handshake_timeout) {
        daemon_init(&world->daemon);
        make_certificate(world, "first.example");
        write_tls_policy(world, more, handshake_timeout);
        world_open(world, NULL);
}

static void tls_world_end(struct world *world) {
        wire_session_close(&world->session);
        daemon_stop(&world->daemon);
        remove_certificate(world);
        daemon_deinit(&world->daemon);
}

/* A start that must fail, with this said of it. */
static void expect_no_start(const struct world *world, const char *said) {
        const char *relay = getenv("NETBROKER_RELAY");
        NB_CLEANUP_FREE char *output = NULL;

        ck_assert_int_eq(daemon_run_once(&world->daemon,
                                         (const char *const[]){ "--policy", world->daemon.policy_path, "--socket",
                                                                world->daemon.socket_path, "--relay-program", relay,
                                                                NULL },
                                         &output),
                         78);
        ck_assert_msg(strstr(output, said) != NULL, "it said: %s", output);
}

static void write_file(const struct world *world, const char *name, const char *text, mode_t mode) {
        char path[HARNESS_PATH_MAX];
        FILE *file;

        path_in(world, name, path);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(chmod(path, mode), 0);
}

START_TEST(a_start_fails_by_files_that_cannot_be_used) {
        struct world world;
        char key[HARNESS_PATH_MAX];

        daemon_init(&world.daemon);
        write_tls_policy(&world, "", "10s");
        expect_no_start(&world, "chain.pem: there is no such file");
        make_certificate(&world, "first.example");
        path_in(&world, "key.pem", key);
        ck_assert_int_eq(chmod(key, 0644), 0);
        expect_no_start(&world, "key.pem: others than its owner and group may read or write it");
        write_file(&world, "key.pem", "this is no key\n", 0600);
        expect_no_start(&world, "error: cannot use");
        write_file(&world, "key.pem", "", 0600);
        expect_no_start(&world, "key.pem: it is empty");
        ck_assert_int_eq(unlink(key), 0);
        ck_assert_int_eq(mkdir(key, 0700), 0);
        expect_no_start(&world, "key.pem: it is no regular file");
        ck_assert_int_eq(rmdir(key), 0);
        remove_certificate(&world);
        daemon_deinit(&world.daemon);
}
END_TEST

/* A client of TLS, which writes what it has got. */
static void start_client(struct process *process, const char *address) {
        PROCESS_START(process, "openssl", "s_client", "-connect", address, "-ign_eof", "-quiet");
}

/* What a client sees as the server's subject. */
static void expect_subject(struct wire *control, uint64_t number, const char *address, const char *subject) {
        PROCESS process;
        int fd;

        PROCESS_START(&process, "openssl", "s_client", "-connect", address, "-ign_eof");
        fd = wire_receive_accepted(control, number);
        ck_assert_int_eq(family_of(fd), AF_UNIX);
        ck_assert_int_eq(write(fd, "hello\n", 6), 6);
        process_expect(&process, subject, HARNESS_DEADLINE_MS);
        process_expect(&process, "hello", HARNESS_DEADLINE_MS);
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        (void)process_finish(&process, HARNESS_DEADLINE_MS);
        (void)nb_fd_close(fd);
}

START_TEST(certificates_are_replaced_by_a_reload_and_bad_ones_are_not) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        PROCESS old_client;
        int old_fd;

        tls_world_start(&world, "", "10s");
        ck_assert_uint_eq(wire_open(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        expect_subject(&control, 1, address, "first.example");
        start_client(&old_client, address);
        old_fd = wire_receive_accepted(&control, 2);

        write_file(&world, "chain.pem", "this is none\n", 0644);
        daemon_reload(&world.daemon);
        daemon_expect_log(&world.daemon, "not reloaded: the one before stays in force");
        expect_subject(&control, 3, address, "first.example");

        make_certificate(&world, "second.example");
        daemon_reload(&world.daemon);
        expect_subject(&control, 4, address, "second.example");
        /* What was there goes on. */
        ck_assert_int_eq(write(old_fd, "still\n", 6), 6);
        process_expect(&old_client, "still", HARNESS_DEADLINE_MS);
        (void)nb_fd_close(old_fd);
        (void)process_finish(&old_client, HARNESS_DEADLINE_MS);
        (void)wire_close(&control);
        tls_world_end(&world);
}
END_TEST

/* ---- TLS to a server ---- */

/* Somebody else's server, on a port of its own choice. @param ret_address  where */
static void start_server(const struct world *world, struct process *process, char ret_address[static 32]) {
        char chain[HARNESS_PATH_MAX], key[HARNESS_PATH_MAX];
        const char *accept;

        path_in(world, "chain.pem", chain);
        path_in(world, "key.pem", key);
        PROCESS_START(process, "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", chain, "-key", key, "-rev");
        process_expect(process, "ACCEPT 127.0.0.1:", HARNESS_DEADLINE_MS);
        accept = strstr(process->text, "ACCEPT 127.0.0.1:");
        ck_assert_int_eq(sscanf(accept, "ACCEPT %31[0-9.:]", ret_address), 1);
}

static void tls_client_world_start(struct world *world, const char *trust, const char *more) {
        char protocol[512];

        (void)snprintf(protocol, sizeof(protocol),
                       "Family=ip\nDataPath=direct\n" SCENE_LOOPBACK "TLS=client\n%s%s%s\n%s", trust ? "TLSTrust=" : "",
                       trust ? world->daemon.folder : "", trust ? trust : "", more);
        write_policy(world, "acme", "", protocol);
        world_open(world, NULL);
}

START_TEST(the_guest_reads_what_tls_has_carried) {
        struct world world;
        struct wire control;
        PROCESS server;
        char address[32];
        int fd;

        daemon_init(&world.daemon);
        make_certificate(&world, "first.example");
        start_server(&world, &server, address);
        tls_client_world_start(&world, "/chain.pem", "");
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), 0);
        ck_assert_int_eq(family_of(fd), AF_UNIX);
        ck_assert_int_eq(write(fd, "stressed\n", 9), 9);
        expect_text(fd, "desserts\n");
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        (void)process_stop(&server);
        tls_world_end(&world);
}
END_TEST

START_TEST(a_certificate_that_is_not_trusted_is_no_connection) {
        struct world world;
        struct wire control;
        PROCESS server;
        char address[32], *reason = NULL;

        daemon_init(&world.daemon);
        make_certificate(&world, "first.example");
        start_server(&world, &server, address);
        tls_client_world_start(&world, NULL, "");
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_refused(&control, address, &reason), NB_WASI_EACCES);
        ck_assert_ptr_nonnull(strstr(reason, "certificate"));
        daemon_expect_audit(&world.daemon, "\"verdict\":\"denied\"", address, "certificate");
        free(reason);
        (void)wire_close(&control);
        (void)process_stop(&server);
        tls_world_end(&world);
}
END_TEST

/* ---- what is left behind ---- */

/* A broker of one session, as netbroker-run has it. The policy is written. */
static void inherited_start(struct world *world) {
        struct daemon_options options = { 0 };
        int pair[2];

        ck_assert_int_eq(nb_channel_pair(pair), 0);
        options.session_fd = pair[0];
        daemon_start(&world->daemon, &options);
        (void)nb_fd_close(pair[0]);
        ck_assert_uint_eq(wire_hello(&(struct wire){ .fd = pair[1] }, "acme", &world->session), 0);
        world->web = &world->session.protocols[0];
}

/* Writes until nothing on the way takes more. @return how many bytes */
static size_t fill(int fd) {
        char bytes[65536] = { 0 };
        size_t n = 0;

        while (harness_poll(fd, POLLOUT, 200) != 0) {
                ssize_t r = send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);

                ck_assert(r > 0 || errno == EAGAIN);
                n += r > 0 ? (size_t)r : 0;
        }
        return n;
}

static size_t read_to_clean_end(int fd) {
        char bytes[65536];
        size_t n = 0;
        ssize_t r;

        while ((r = read_some(fd, bytes, sizeof(bytes))) > 0)
                n += (size_t)r;
        ck_assert_int_eq(r, 0);
        return n;
}

/* Connects, writes until the way is full, and leaves. @return how many bytes were written */
static size_t leave_behind(struct world *world, const char *address) {
        struct wire control = wire_open_control(world->web, "0.0.0.0:0");
        size_t n;
        int fd;

        ck_assert_uint_eq(wire_connect_to(&control, address, &fd), 0);
        n = fill(fd);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        wire_session_close(&world->session);
        return n;
}

START_TEST(what_is_left_behind_is_delivered_before_the_broker_ends) {
        struct world world;
        struct peer peer = peer_listen("127.0.0.1", 8);
        size_t n;
        int other_fd;

        daemon_init(&world.daemon);
        write_policy(&world, "acme", "", STREAMS);
        inherited_start(&world);
        n = leave_behind(&world, peer.text);
        other_fd = peer_accept(&peer);
        ck_assert_uint_eq(read_to_clean_end(other_fd), n);
        daemon_expect_end(&world.daemon);
        (void)nb_fd_close(other_fd);
        peer_close(&peer);
        daemon_deinit(&world.daemon);
}
END_TEST

static void write_inherited_tls_policy(const struct world *world, const struct world *server) {
        char protocol[512];

        (void)snprintf(protocol, sizeof(protocol), STREAMS "TLS=client\nTLSTrust=%s/chain.pem\n",
                       server->daemon.folder);
        write_policy(world, "acme", "", protocol);
}

START_TEST(so_is_what_tls_carries) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world server, world;
        struct wire control;
        size_t n;
        int fd;

        tls_world_start(&server, "", "10s");
        ck_assert_uint_eq(wire_open(server.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        daemon_init(&world.daemon);
        write_inherited_tls_policy(&world, &server);
        inherited_start(&world);
        n = leave_behind(&world, address);
        fd = wire_receive_accepted(&control, 1);
        ck_assert_uint_eq(read_to_clean_end(fd), n);
        daemon_expect_end(&world.daemon);
        daemon_deinit(&world.daemon);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        tls_world_end(&server);
}
END_TEST

/* @param ends_it  NULL: nobody does */
static void expect_end_without_a_reader(void (*ends_it)(struct daemon *daemon), const char *logged) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct world world;

        daemon_init(&world.daemon);
        write_policy(&world, "acme", "", STREAMS);
        inherited_start(&world);
        (void)leave_behind(&world, peer.text);
        if (ends_it)
                ends_it(&world.daemon);
        else
                daemon_expect_end(&world.daemon);
        daemon_expect_log(&world.daemon, logged);
        peer_close(&peer);
        daemon_deinit(&world.daemon);
}

START_TEST(a_peer_that_does_not_read_holds_a_broker_up_for_some_seconds) {
        expect_end_without_a_reader(NULL, "ends though 1 connection left behind was not delivered in 10 s");
}
END_TEST

START_TEST(a_signal_ends_the_wait_for_a_peer) {
        expect_end_without_a_reader(daemon_stop, "ending at signal 15");
}
END_TEST

/* A relay that dies takes with it what is waited for. */
static void kill_relay_and_expect_end(struct daemon *daemon) {
        ck_assert_int_eq(kill(harness_only_child(daemon->pid), SIGKILL), 0);
        daemon_expect_end(daemon);
}

START_TEST(a_relay_that_dies_ends_the_wait_for_a_peer) {
        expect_end_without_a_reader(kill_relay_and_expect_end, "its relay has ended; its 1 connections end");
}
END_TEST

/* ---- handshakes ---- */

START_TEST(silent_peers_take_no_good_ones_places_for_long) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        int silent[4];

        tls_world_start(&world, "MaxHandshakes=2\n", "300ms");
        ck_assert_uint_eq(wire_open(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 1, address), 0);
        for (int i = 0; i < 4; ++i)
                silent[i] = peer_connect(address);
        expect_subject(&control, 1, address, "first.example");
        for (int i = 0; i < 4; ++i) {
                peer_expect_end(silent[i]);
                (void)nb_fd_close(silent[i]);
        }
        daemon_expect_audit(&world.daemon, "\"verb\":\"accept\"", "\"verdict\":\"denied\"", "reason");
        (void)wire_close(&control);
        tls_world_end(&world);
}
END_TEST

START_TEST(what_a_header_announces_is_the_peer_and_is_judged) {
        char address[NB_ADDRESS_LENGTH_MAX + 1], peer[NB_ADDRESS_LENGTH_MAX + 1], local[NB_ADDRESS_LENGTH_MAX + 1];
        const char *good = "PROXY TCP4 198.51.100.7 203.0.113.1 4242 80\r\nhello";
        const char *bad = "PROXY TCP4 198.51.100.66 203.0.113.1 4242 80\r\nhello";
        struct world world;
        struct wire control;
        int fd, other_fd, bad_fd;

        world_start(&world, "", STREAMS "AcceptProxyHeader=127.0.0.1/32\nDeny=198.51.100.66:*\n");
        ck_assert_uint_eq(wire_open(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        bad_fd = peer_connect(address);
        ck_assert_int_eq(write(bad_fd, bad, strlen(bad)), (ssize_t)strlen(bad));
        peer_expect_end(bad_fd);
        daemon_expect_audit(&world.daemon, "\"verdict\":\"denied\"", "198.51.100.66:4242", "\"via\":\"127.0.0.1:");
        other_fd = peer_connect(address);
        ck_assert_int_eq(write(other_fd, good, strlen(good)), (ssize_t)strlen(good));
        fd = wire_receive_accepted_named(&control, 1, peer, local);
        ck_assert_str_eq(peer, "198.51.100.7:4242");
        expect_text(fd, "hello");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other_fd);
        (void)nb_fd_close(bad_fd);
        (void)wire_close(&control);
        daemon_wait_fds(&world.daemon, world.baseline);
        world_end(&world);
}
END_TEST

START_TEST(without_a_header_expected_the_socket_is_the_guests) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        const char *header = "PROXY TCP4 198.51.100.7 203.0.113.1 4242 80\r\n";
        struct world world;
        struct wire control;
        int fd, other_fd;

        daemon_init(&world.daemon);
        write_policy(&world, "acme", "",
                     "Family=ip\nDataPath=direct\n" SCENE_LOOPBACK "AcceptProxyHeader=127.0.0.1/32\n");
        world_open(&world, NULL);
        ck_assert_uint_eq(wire_open(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 8, address), 0);
        other_fd = peer_connect(address);
        ck_assert_int_eq(write(other_fd, header, strlen(header)), (ssize_t)strlen(header));
        fd = wire_receive_accepted(&control, 1);
        /* The relay has stepped out. */
        ck_assert_int_eq(family_of(fd), AF_INET);
        peer_exchange(fd, other_fd);
        (void)nb_fd_close(fd);
        peer_expect_end(other_fd);
        (void)nb_fd_close(other_fd);
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* ---- proxies ---- */

static void proxy_world_start(struct world *world, const struct fake_proxy *proxy, enum fake_proxy_kind kind,
                              const char *more) {
        char url[96], protocol[512];

        (void)snprintf(protocol, sizeof(protocol), "Family=ip\nDataPath=relay\nConnect=203.0.113.5:443\nProxy=%s\n%s",
                       fake_proxy_url(proxy, kind, url), more);
        daemon_init(&world->daemon);
        write_policy(world, "acme", "", protocol);
        world_open(world, NULL);
}

START_TEST(a_proxy_is_asked_for_the_judged_address) {
        const enum fake_proxy_kind kind = (enum fake_proxy_kind)_i;
        struct fake_proxy proxy;
        struct world world;
        struct wire control;
        int fd;

        fake_proxy_start(&proxy);
        proxy_world_start(&world, &proxy, kind, "");
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "203.0.113.6:443", &fd), NB_WASI_EACCES);
        wire_send_connect(&control, "203.0.113.5:443");
        fake_proxy_accept(&proxy);
        fake_proxy_expect_request(&proxy, kind, "203.0.113.5:443", false);
        fake_proxy_agree(&proxy, kind);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        ck_assert_int_eq(write(fd, "payload", 7), 7);
        fake_proxy_expect(&proxy, "payload", 7);
        (void)nb_fd_close(fd);
        fake_proxy_hang_up(&proxy);
        (void)wire_close(&control);
        fake_proxy_stop(&proxy);
        world_end(&world);
}
END_TEST

START_TEST(where_the_proxy_is_gone_nothing_is_dialled) {
        struct fake_proxy proxy;
        struct world world;
        struct wire control;
        int fd;

        fake_proxy_start(&proxy);
        proxy_world_start(&world, &proxy, FAKE_PROXY_CONNECT, "");
        fake_proxy_stop(&proxy);
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "203.0.113.5:443", &fd), NB_WASI_ECONNREFUSED);
        daemon_expect_audit(&world.daemon, "203.0.113.5:443", "cannot be connected to");
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

START_TEST(a_proxy_that_resolves_gets_the_granted_name) {
        struct fake_proxy proxy;
        struct world world;
        struct wire control;
        int fd;

        fake_proxy_start(&proxy);
        proxy_world_start(&world, &proxy, FAKE_PROXY_SOCKS5, "ProxyResolve=yes\nConnect=api.example.com:443\n");
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "other.example.com:443", &fd), NB_WASI_EACCES);
        wire_send_connect(&control, "API.example.com:443");
        fake_proxy_accept(&proxy);
        fake_proxy_expect_request(&proxy, FAKE_PROXY_SOCKS5, "api.example.com:443", false);
        fake_proxy_agree(&proxy, FAKE_PROXY_SOCKS5);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        (void)nb_fd_close(fd);
        fake_proxy_hang_up(&proxy);
        (void)wire_close(&control);
        fake_proxy_stop(&proxy);
        world_end(&world);
}
END_TEST

/* By two proxies, the first of which has a name; hosts(5) and RFC 6761 know that one. */
START_TEST(a_chain_begins_with_a_name) {
        struct fake_proxy proxy;
        struct world world;
        struct wire control;
        char protocol[512];
        int fd;

        fake_proxy_start(&proxy);
        (void)snprintf(protocol, sizeof(protocol),
                       "Family=ip\nDataPath=relay\nConnect=203.0.113.5:443\n"
                       "Proxy=http://localhost:%u socks5://198.51.100.1:1080\n",
                       peer_port(proxy.peer.text));
        daemon_init(&world.daemon);
        write_policy(&world, "acme", "", protocol);
        world_open(&world, NULL);
        control = wire_open_control(world.web, "0.0.0.0:0");
        wire_send_connect(&control, "203.0.113.5:443");
        fake_proxy_accept(&proxy);
        fake_proxy_expect_request(&proxy, FAKE_PROXY_CONNECT, "198.51.100.1:1080", false);
        fake_proxy_agree(&proxy, FAKE_PROXY_CONNECT);
        fake_proxy_expect_request(&proxy, FAKE_PROXY_SOCKS5, "203.0.113.5:443", false);
        fake_proxy_agree(&proxy, FAKE_PROXY_SOCKS5);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), 0);
        (void)nb_fd_close(fd);
        fake_proxy_hang_up(&proxy);
        (void)wire_close(&control);
        fake_proxy_stop(&proxy);
        world_end(&world);
}
END_TEST

START_TEST(a_proxy_without_an_address_is_said_so) {
        struct world world;
        struct wire control;
        char *reason = NULL;

        daemon_init(&world.daemon);
        write_policy(&world, "acme", "Resolvers=127.0.0.1:1\n",
                     "Family=ip\nDataPath=relay\nConnect=203.0.113.5:443\nProxy=http://proxy.example.com:3128\n");
        world_open(&world, NULL);
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_refused(&control, "203.0.113.5:443", &reason), NB_WASI_EAGAIN);
        ck_assert_ptr_nonnull(strstr(reason, "proxy.example.com"));
        free(reason);
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* ---- by systemd ---- */

/* What systemd does for a unit with Accept=yes: an instance for each connection. Ends with its parent. */
static void serve_instances(int listen_fd) {
        const char *program = getenv("NETBROKER_RELAY");

        for (;;) {
                int fd = accept4(listen_fd, NULL, NULL, 0);
                char pid[16];

                if (fd < 0)
                        _exit(1);
                if (fork() > 0) {
                        (void)close(fd);
                        continue;
                }
                if (fd != 3 && dup2(fd, 3) < 0)
                        _exit(2);
                (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
                if (setenv("LISTEN_FDS", "1", 1) < 0 || setenv("LISTEN_PID", pid, 1) < 0)
                        _exit(3);
                (void)close_range(4, ~0U, 0);
                (void)execl(program, program, (char *)NULL);
                _exit(127);
        }
}

START_TEST(relays_can_be_systemds) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        const char *arguments[] = { "--relay-socket", sa.sun_path, NULL };
        const struct daemon_options options = { .arguments = arguments };
        struct world world;
        struct pair pair;
        int listen_fd;
        pid_t pid;

        daemon_init(&world.daemon);
        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/relay.sock", world.daemon.folder);
        listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(listen_fd, 8), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                serve_instances(listen_fd);
        (void)nb_fd_close(listen_fd);
        write_policy(&world, "acme", "", RELAY);
        world_open(&world, &options);
        pair_open(&pair, world.web);
        pair_close(&pair);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        world_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("relayed");
        TCase *tcase = tcase_create("connect");

        tcase_add_test(tcase, a_connect_gets_the_end_of_a_pair_and_is_told_of_both_addresses);
        tcase_add_test(tcase, each_direction_ends_by_itself);
        tcase_add_test(tcase, what_came_before_a_reset_is_read_and_then_the_reset);
        tcase_add_test(tcase, refusals_are_the_kernels_as_ever);
        tcase_add_test(tcase, a_control_that_is_closed_while_connecting_leaves_nothing);
        tcase_add_test(tcase, a_connect_of_datagrams_keeps_their_borders);
        tcase_add_test(tcase, unix_streams_go_through_it_too);
        tcase_add_test(tcase, orders_wait_for_a_relay_that_is_busy);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("accept");
        tcase_add_test(tcase, a_listener_serves_through_the_relay);
        tcase_add_test(tcase, peers_that_are_ready_wait_for_credit);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("crash");
        tcase_add_test(tcase, a_crash_is_its_tenants_own);
        tcase_add_test(tcase, what_crashes_again_is_started_after_a_pause);
        tcase_add_loop_test(tcase, connects_under_way_fail_with_their_relay, 0, 2);
        tcase_add_test(tcase, links_are_spread_over_relays);
        tcase_add_test(tcase, a_relay_that_cannot_be_started_is_said_so);
        tcase_add_test(tcase, a_relay_that_says_nothing_is_ended);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("revocation");
        tcase_add_test(tcase, a_reload_ends_what_is_no_longer_granted);
        tcase_add_test(tcase, a_reload_with_a_proxy_ends_what_goes_round_it);
        tcase_add_test(tcase, an_operator_revokes_without_a_helper);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("files");
        tcase_add_test(tcase, a_start_fails_by_files_that_cannot_be_used);
        tcase_add_test(tcase, certificates_are_replaced_by_a_reload_and_bad_ones_are_not);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("TLS");
        tcase_add_test(tcase, the_guest_reads_what_tls_has_carried);
        tcase_add_test(tcase, a_certificate_that_is_not_trusted_is_no_connection);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("left behind");
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, what_is_left_behind_is_delivered_before_the_broker_ends);
        tcase_add_test(tcase, so_is_what_tls_carries);
        tcase_add_test(tcase, a_peer_that_does_not_read_holds_a_broker_up_for_some_seconds);
        tcase_add_test(tcase, a_signal_ends_the_wait_for_a_peer);
        tcase_add_test(tcase, a_relay_that_dies_ends_the_wait_for_a_peer);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("handshakes");
        tcase_add_test(tcase, silent_peers_take_no_good_ones_places_for_long);
        tcase_add_test(tcase, what_a_header_announces_is_the_peer_and_is_judged);
        tcase_add_test(tcase, without_a_header_expected_the_socket_is_the_guests);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("proxies");
        tcase_add_loop_test(tcase, a_proxy_is_asked_for_the_judged_address, 0, 2);
        tcase_add_test(tcase, where_the_proxy_is_gone_nothing_is_dialled);
        tcase_add_test(tcase, a_proxy_that_resolves_gets_the_granted_name);
        tcase_add_test(tcase, a_chain_begins_with_a_name);
        tcase_add_test(tcase, a_proxy_without_an_address_is_said_so);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("systemd");
        tcase_add_test(tcase, relays_can_be_systemds);
        suite_add_tcase(suite, tcase);
        return suite;
}

static bool ends_with(const char *text, const char *end) {
        size_t length = strlen(text);

        return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

int main(int argc, char **argv) {
        /* As a relay that says nothing (make_idler()). */
        while (argc > 0 && ends_with(argv[0], IDLER))
                (void)poll(NULL, 0, -1);
        return run_suite(make_suite());
}
