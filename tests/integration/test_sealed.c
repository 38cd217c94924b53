/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each way to turn a received socket into another, on what a real host of guests got from the real broker: sealed, relayed, and locked down. And on what
 * none of these protects, where the same attempts work: that shows that they are good ones. The test is the host, by libnetbroker, that was taken over then.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/probe.h"
#include "base/probe_scene.h"
#include "netbroker/lockdown.h"
#include "seal/escape.h"
#include "tests/support/runner.h"
#include "tests/support/sealed_world.h"

/* What the host holds: each kind, of each family. */
enum held {
        CONNECTED4,
        CONNECTED6,
        ACCEPTED4,
        ACCEPTED6,
        DATAGRAMS4,
        DATAGRAMS6,
        N_HELD,
};

struct stage {
        struct sealed_world world;
        int held[N_HELD];
        int others[N_HELD];              /* the far ends; a listener's or a receiver's where the host has connected */
        struct nb_probe_scene elsewhere; /* where nothing held is to lead */
};

/* ---- what the host gets ---- */

static void hold_connected(struct stage *stage, enum held which, int family, int type) {
        char address[NB_ADDRESS_TEXT_MAX];
        int peer_fd = sealed_world_peer(family, type, address);
        struct nb_control *control = sealed_world_control(&stage->world, family == AF_INET ? "0.0.0.0:0" : "[::]:0",
                                                          type == SOCK_STREAM ? NB_SOCKET_STREAM : NB_SOCKET_DGRAM);

        stage->held[which] = sealed_world_connect(control, address);
        (void)nb_control_free(control);
        if (type == SOCK_STREAM) {
                stage->others[which] = sealed_world_accept(peer_fd);
                (void)nb_fd_close(peer_fd);
        } else {
                stage->others[which] = peer_fd;
        }
}

static void hold_accepted(struct stage *stage, enum held which, const char *address) {
        struct nb_control *control = sealed_world_control(&stage->world, address, NB_SOCKET_STREAM);
        struct nb_connection *connection = NULL;

        ck_assert_int_eq(nb_listen(control, 8), 0);
        stage->others[which] = sealed_world_call(SOCK_STREAM, nb_control_address(control));
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        stage->held[which] = sealed_world_stream(connection);
        (void)nb_control_free(control);
}

static void stage_init(struct stage *stage, bool sealed, const char *lines) {
        memset(stage, 0, sizeof(*stage));
        sealed_world_start(&stage->world, sealed, lines);
        hold_connected(stage, CONNECTED4, AF_INET, SOCK_STREAM);
        hold_connected(stage, CONNECTED6, AF_INET6, SOCK_STREAM);
        hold_accepted(stage, ACCEPTED4, "127.0.0.1:0");
        hold_accepted(stage, ACCEPTED6, "[::1]:0");
        hold_connected(stage, DATAGRAMS4, AF_INET, SOCK_DGRAM);
        hold_connected(stage, DATAGRAMS6, AF_INET6, SOCK_DGRAM);
        for (size_t i = 0; i < N_HELD; ++i)
                sealed_world_expect_bytes(stage->held[i], stage->others[i]);
        ck_assert_int_eq(nb_probe_scene_init(&stage->elsewhere, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
}

static void stage_deinit(struct stage *stage) {
        nb_probe_scene_deinit(&stage->elsewhere);
        for (size_t i = 0; i < N_HELD; ++i) {
                (void)nb_fd_close(stage->held[i]);
                (void)nb_fd_close(stage->others[i]);
        }
        sealed_world_deinit(&stage->world);
}

#define STAGE __attribute__((cleanup(stage_deinit))) struct stage

static void expect_sockets(const struct stage *stage, bool sockets) {
        for (size_t i = 0; i < N_HELD; ++i)
                ck_assert_int_eq(sealed_world_is_socket(stage->held[i]), sockets);
}

/* ---- what is tried ---- */

/* In this order: behind a disconnect there is no peer any more. */
static const struct {
        enum nb_probe_escape escape;
        bool disconnect;
} attempts[] = {
        { NB_PROBE_DEVICE, false },     { NB_PROBE_FREEBIND, false },     { NB_PROBE_REUSEPORT, false },
        { NB_PROBE_MEMBERSHIP, false }, { NB_PROBE_ROUTING, false },      { NB_PROBE_SENDTO, false },
        { NB_PROBE_SENDMSG, false },    { NB_PROBE_SENDMMSG, false },     { NB_PROBE_PACKET_INFO, false },
        { NB_PROBE_CONNECT, true },     { NB_PROBE_CONNECT_OTHER, true }, { NB_PROBE_FAST_OPEN, true },
        { NB_PROBE_IO_URING, true },    { NB_PROBE_BIND, true },          { NB_PROBE_SENDTO, true },
        { NB_PROBE_SENDMSG, true },     { NB_PROBE_SENDMMSG, true },
};

#define N_ATTEMPTS ((int)(sizeof(attempts) / sizeof(attempts[0])))

static const uint16_t *ports_for(const struct stage *stage, bool is_stream) {
        return is_stream ? stage->elsewhere.tcp_ports : stage->elsewhere.udp_ports;
}

static bool is_datagrams(size_t i) {
        return i == DATAGRAMS4 || i == DATAGRAMS6;
}

static struct escape_target target_of(const struct stage *stage, size_t i) {
        struct escape_target target;

        ck_assert_int_eq(escape_target_init(&target, stage->held[i], ports_for(stage, !is_datagrams(i))), 0);
        return target;
}

/* A packet that has left, or a socket that is another now. */
static bool has_worked(int r) {
        return r == 0 || r == -EINPROGRESS || r == -ECONNREFUSED;
}

/* ---- sealed ---- */

START_TEST(sealed_attempt) {
        enum nb_probe_escape escape = attempts[_i].escape;
        unsigned n = 0;
        STAGE stage;

        stage_init(&stage, true, "");
        expect_sockets(&stage, true);
        for (size_t i = 0; i < N_HELD; ++i) {
                struct escape_target target = target_of(&stage, i);
                int r;

                if (!escape_applies(escape, &target))
                        continue;
                if (attempts[_i].disconnect)
                        ck_assert_int_eq(escape_disconnect(&target), 0);
                r = escape_try(escape, &target);
                ck_assert_msg(r == -EPERM, "%s of %zu: %s", nb_probe_escape_name(escape), i, strerror(-r));
                n++;
        }
        ck_assert_uint_gt(n, 0);
}
END_TEST

/* @return how many of what is held hears somebody that it was not made for */
static unsigned count_reached(struct stage *stage) {
        uint16_t ports[NB_PROBE_SOCKETS] = { 0 };
        struct escape_target targets[N_HELD];
        uint32_t answered;
        unsigned n = 0;

        for (size_t i = 0; i < N_HELD; ++i) {
                targets[i] = target_of(stage, i);
                ck_assert_int_eq(escape_disconnect(&targets[i]), 0);
                (void)escape_try(is_datagrams(i) ? NB_PROBE_RECEIVE : NB_PROBE_LISTEN, &targets[i]);
        }
        /* A knock is of the kind that the place in this list has. */
        ports[NB_PROBE_TCP4] = escape_port(&targets[CONNECTED4]);
        ports[NB_PROBE_TCP6] = escape_port(&targets[CONNECTED6]);
        ports[NB_PROBE_TCP4_ACCEPTED] = escape_port(&targets[ACCEPTED4]);
        ports[NB_PROBE_TCP6_ACCEPTED] = escape_port(&targets[ACCEPTED6]);
        ports[NB_PROBE_UDP4] = escape_port(&targets[DATAGRAMS4]);
        ports[NB_PROBE_UDP6] = escape_port(&targets[DATAGRAMS6]);
        ck_assert_int_eq(nb_probe_scene_knock(&stage->elsewhere, ports, nb_probe_now() + HARNESS_DEADLINE_MS,
                                              &answered),
                         0);
        for (size_t i = 0; i < N_HELD; ++i)
                n += escape_was_reached(&targets[i]);
        return n;
}

START_TEST(abuse_3_sealed_nothing_reaches_what_was_made_to_listen) {
        STAGE stage;

        stage_init(&stage, true, "");
        ck_assert_uint_eq(count_reached(&stage), 0);
}
END_TEST

/* But those of datagrams, on which the broker has left a filter that lets in their peer alone. */
START_TEST(unprotected_streams_are_reached) {
        STAGE stage;

        stage_init(&stage, false, "DataPath=direct\n");
        ck_assert_uint_eq(count_reached(&stage), N_HELD - 2);
}
END_TEST

/* Passing it on changes nothing: another process, with another user's rights, in a third control group. */
static void be_accomplice(const struct stage *stage) {
        unsigned n_worked = 0;

        seal_scene_enter(&stage->world.seal, SEAL_RELAY);
        if (setresuid(65534, 65534, 65534) < 0)
                _exit(100);
        for (size_t i = 0; i < N_HELD; ++i) {
                struct escape_target target = target_of(stage, i);

                n_worked += is_datagrams(i) && escape_try(NB_PROBE_SENDTO, &target) != -EPERM;
                n_worked += escape_disconnect(&target) < 0 || escape_try(NB_PROBE_CONNECT, &target) != -EPERM;
        }
        _exit((int)n_worked);
}

START_TEST(abuse_1_2_sealed_in_the_hands_of_an_accomplice) {
        STAGE stage;
        pid_t pid;

        stage_init(&stage, true, "");
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                be_accomplice(&stage);
        ck_assert_int_eq(harness_wait_exit(pid), 0);
}
END_TEST

START_TEST(unprotected_attempt) {
        enum nb_probe_escape escape = attempts[_i].escape;
        unsigned n = 0, n_worked = 0;
        STAGE stage;

        stage_init(&stage, false, "DataPath=direct\n");
        expect_sockets(&stage, true);
        for (size_t i = 0; i < N_HELD; ++i) {
                struct escape_target target = target_of(&stage, i);

                if (!escape_applies(escape, &target))
                        continue;
                if (attempts[_i].disconnect)
                        ck_assert_int_eq(escape_disconnect(&target), 0);
                n++;
                n_worked += has_worked(escape_try(escape, &target));
        }
        /* A socket that was accepted keeps its port, which another one listens at: it cannot be bound again. */
        ck_assert_msg(n_worked == n || (n_worked > 0 && escape == NB_PROBE_BIND) ||
                              (n_worked > 0 && escape == NB_PROBE_CONNECT_OTHER),
                      "%s: %u of %u worked", nb_probe_escape_name(escape), n_worked, n);
}
END_TEST

/* ---- relayed ---- */

/* One end of a pair, of which the attempts know nothing: what is asked of it is the same. */
static struct escape_target target_of_pair(const struct stage *stage, size_t i) {
        bool is_stream = !is_datagrams(i);
        const uint16_t *ports = ports_for(stage, is_stream);
        int family = i % 2 == 0 ? AF_INET : AF_INET6;
        NB_CLEANUP_FD int model = socket(family, is_stream ? SOCK_STREAM : SOCK_DGRAM, 0);
        struct escape_target target;

        ck_assert_int_eq(escape_target_init(&target, model, ports), 0);
        target.fd = stage->held[i];
        return target;
}

static void expect_silence(const int *fds, size_t n, const char *what) {
        for (size_t i = 0; i < n; ++i) {
                struct pollfd pollfd = { .fd = fds[i], .events = POLLIN };

                ck_assert_msg(poll(&pollfd, 1, 0) == 0, "something came to a %s elsewhere", what);
        }
}

/* A name that could be connected to, if it were one that listens. */
static void expect_no_server(int fd, int i) {
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        socklen_t length;
        int r;

        length = (socklen_t)offsetof(struct sockaddr_un, sun_path) +
                 (socklen_t)snprintf(name.sun_path, sizeof(name.sun_path), "%cnetbroker-test-%d-%d", 0, getpid(), i);
        (void)bind(fd, (struct sockaddr *)&name, length);
        ck_assert(listen(fd, 1) < 0);
        r = connect(fd, (struct sockaddr *)&name, length) < 0 ? -errno : 0;
        ck_assert_int_ne(r, 0);
}

START_TEST(abuse_1_2_3_relayed_leads_nowhere_else) {
        STAGE stage;

        stage_init(&stage, false, "");
        expect_sockets(&stage, false);
        for (size_t i = 0; i < N_HELD; ++i) {
                struct escape_target target = target_of_pair(&stage, i);

                for (int attempt = 0; attempt < N_ATTEMPTS; ++attempt)
                        (void)escape_try(attempts[attempt].escape, &target);
                (void)escape_disconnect(&target);
                for (int attempt = 0; attempt < N_ATTEMPTS; ++attempt)
                        (void)escape_try(attempts[attempt].escape, &target);
                expect_no_server(stage.held[i], (int)i);
        }
        expect_silence(stage.elsewhere.listeners, NB_PROBE_FAMILIES, "listener");
        expect_silence(stage.elsewhere.receivers, NB_PROBE_FAMILIES, "receiver");
}
END_TEST

/* ---- locked down ---- */

/* Behind the walls: nothing here may need what they took. @return how many attempts were not refused by them */
static unsigned count_unrefused(const struct escape_target targets[static N_HELD]) {
        unsigned n = 0;

        for (int attempt = 0; attempt < N_ATTEMPTS; ++attempt) {
                for (size_t i = 0; i < N_HELD; ++i) {
                        int r;

                        if (!escape_applies(attempts[attempt].escape, &targets[i]))
                                continue;
                        r = escape_try(attempts[attempt].escape, &targets[i]);
                        n += r != -EPERM && r != -ENOSYS;
                }
        }
        for (size_t i = 0; i < N_HELD; ++i)
                n += escape_disconnect(&targets[i]) != -EPERM || listen(targets[i].fd, 1) == 0;
        return n;
}

START_TEST(abuse_1_2_3_locked_down_every_attempt_is_refused) {
        struct escape_target targets[N_HELD];
        STAGE stage;
        pid_t pid;

        stage_init(&stage, false, "DataPath=direct\n");
        expect_sockets(&stage, true);
        for (size_t i = 0; i < N_HELD; ++i)
                targets[i] = target_of(&stage, i);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                _exit(nb_lockdown(NULL) < 0 ? 200 : (int)count_unrefused(targets));
        ck_assert_int_eq(harness_wait_exit(pid), 0);
        for (size_t i = 0; i < N_HELD; ++i)
                sealed_world_expect_bytes(stage.held[i], stage.others[i]);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("sealed");
        TCase *sealed = tcase_create("sealed"), *relayed = tcase_create("relayed");
        TCase *locked = tcase_create("locked down"), *unprotected = tcase_create("unprotected");

        tcase_add_loop_test(sealed, sealed_attempt, 0, N_ATTEMPTS);
        tcase_add_test(sealed, abuse_3_sealed_nothing_reaches_what_was_made_to_listen);
        tcase_add_test(sealed, abuse_1_2_sealed_in_the_hands_of_an_accomplice);
        tcase_add_test(relayed, abuse_1_2_3_relayed_leads_nowhere_else);
        tcase_add_test(locked, abuse_1_2_3_locked_down_every_attempt_is_refused);
        tcase_add_loop_test(unprotected, unprotected_attempt, 0, N_ATTEMPTS);
        tcase_add_test(unprotected, unprotected_streams_are_reached);
        suite_add_tcase(suite, sealed);
        suite_add_tcase(suite, relayed);
        suite_add_tcase(suite, locked);
        suite_add_tcase(suite, unprotected);
        return run_suite(suite);
}
