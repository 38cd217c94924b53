/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each way to turn a received socket into another one, on sockets that are sealed and on sockets that are not: that it works on these is what shows that
 * the attempt is a good one. The test process makes them as the broker and is then in another control group, as root: more than any tenant has.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/probe.h"
#include "base/probe_scene.h"
#include "seal/escape.h"
#include "tests/support/harness.h"
#include "tests/support/network.h"
#include "tests/support/runner.h"
#include "tests/support/seal_scene.h"

/* Nobody in particular. */
#define STRANGER_USER 65534

/* Connected sockets of the broker's, of each kind, and a process that is the stranger now. */
struct stage {
        struct seal_scene scene;
        struct nb_probe_scene sockets;
};

static void stage_init(struct stage *stage, bool sealed) {
        network_enter();
        seal_scene_init(&stage->scene);
        if (sealed)
                seal_scene_seal(&stage->scene);
        seal_scene_enter(&stage->scene, SEAL_BROKER);
        ck_assert_int_eq(nb_probe_scene_init(&stage->sockets, nb_probe_now() + HARNESS_DEADLINE_MS), 0);
        seal_scene_enter(&stage->scene, SEAL_STRANGER);
}

static void stage_deinit(struct stage *stage) {
        nb_probe_scene_deinit(&stage->sockets);
        seal_scene_deinit(&stage->scene);
}

#define STAGE __attribute__((cleanup(stage_deinit))) struct stage

static bool is_stream(int fd) {
        socklen_t length = sizeof(int);
        int type;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length), 0);
        return type == SOCK_STREAM;
}

static void make_target(const struct stage *stage, int fd, struct escape_target *ret) {
        const struct nb_probe_scene *sockets = &stage->sockets;

        ck_assert_int_eq(escape_target_init(ret, fd, is_stream(fd) ? sockets->tcp_ports : sockets->udp_ports), 0);
}

/* ---- what the kernel asks about -------------------------------------------------------------------------------- */

struct tally {
        unsigned tried;
        unsigned refused; /* EPERM */
        unsigned worked;
};

/* What comes back as these has left: a packet, or the socket's former self. */
static bool has_worked(int r) {
        return r == 0 || r == -EINPROGRESS || r == -ECONNREFUSED;
}

static void try_on(const struct stage *stage, enum nb_probe_escape escape, int fd, bool disconnect,
                   struct tally *tally) {
        struct escape_target target;
        int r;

        make_target(stage, fd, &target);
        if (!escape_applies(escape, &target))
                return;
        if (disconnect)
                ck_assert_int_eq(escape_disconnect(&target), 0);
        r = escape_try(escape, &target);
        tally->tried++;
        tally->refused += r == -EPERM;
        tally->worked += has_worked(r);
}

static struct tally try_all(const struct stage *stage, enum nb_probe_escape escape, bool disconnect) {
        struct tally tally = { 0 };

        for (size_t i = 0; i < NB_PROBE_SOCKETS; ++i)
                try_on(stage, escape, stage->sockets.sockets[i], disconnect, &tally);
        return tally;
}

static void expect_refused(const struct stage *stage, enum nb_probe_escape escape, bool disconnect) {
        struct tally tally = try_all(stage, escape, disconnect);

        ck_assert_uint_gt(tally.tried, 0);
        ck_assert_msg(tally.refused == tally.tried, "%s: %u of %u were refused", nb_probe_escape_name(escape),
                      tally.refused, tally.tried);
}

/* Of the sockets that their maker has bound, those of IPv6 have no way to 127.0.0.1, and none can be bound twice. */
static void expect_possible(const struct stage *stage, enum nb_probe_escape escape, bool disconnect) {
        struct tally tally = try_all(stage, escape, disconnect);
        bool is_for_unbound = escape == NB_PROBE_CONNECT_OTHER || escape == NB_PROBE_BIND;

        ck_assert_uint_gt(tally.tried, 0);
        ck_assert_uint_gt(tally.worked, 0);
        ck_assert_msg(is_for_unbound || tally.worked == tally.tried, "%s: %u of %u worked",
                      nb_probe_escape_name(escape), tally.worked, tally.tried);
}

#define ESCAPE(name, escape, disconnect)                                                                               \
        START_TEST(sealed_##name) {                                                                                    \
                STAGE stage;                                                                                           \
                                                                                                                       \
                stage_init(&stage, true);                                                                              \
                expect_refused(&stage, (escape), (disconnect));                                                        \
        }                                                                                                              \
        END_TEST                                                                                                       \
        START_TEST(unsealed_##name) {                                                                                  \
                STAGE stage;                                                                                           \
                                                                                                                       \
                stage_init(&stage, false);                                                                             \
                expect_possible(&stage, (escape), (disconnect));                                                       \
        }                                                                                                              \
        END_TEST

ESCAPE(connect, NB_PROBE_CONNECT, true)
ESCAPE(connect_to_the_other_family, NB_PROBE_CONNECT_OTHER, true)
ESCAPE(fast_open, NB_PROBE_FAST_OPEN, true)
ESCAPE(io_uring, NB_PROBE_IO_URING, true)
ESCAPE(bind, NB_PROBE_BIND, true)
ESCAPE(sendto, NB_PROBE_SENDTO, false)
ESCAPE(sendmsg, NB_PROBE_SENDMSG, false)
ESCAPE(sendmmsg, NB_PROBE_SENDMMSG, false)
ESCAPE(sendto_disconnected, NB_PROBE_SENDTO, true)
ESCAPE(sendmsg_disconnected, NB_PROBE_SENDMSG, true)
ESCAPE(sendmmsg_disconnected, NB_PROBE_SENDMMSG, true)
ESCAPE(packet_info, NB_PROBE_PACKET_INFO, false)
ESCAPE(bind_to_device, NB_PROBE_DEVICE, false)
ESCAPE(freebind, NB_PROBE_FREEBIND, false)
ESCAPE(reuseport, NB_PROBE_REUSEPORT, false)
ESCAPE(membership, NB_PROBE_MEMBERSHIP, false)
ESCAPE(routing, NB_PROBE_ROUTING, false)

/* A datagram socket is connected anew without being disconnected first. */
static void try_reconnect(const struct stage *stage, struct tally *tally) {
        const int *sockets = stage->sockets.sockets;
        const int datagrams[] = { sockets[NB_PROBE_UDP4], sockets[NB_PROBE_UDP4_BOUND], sockets[NB_PROBE_UDP6],
                                  sockets[NB_PROBE_UDP6_BOUND] };

        for (size_t i = 0; i < sizeof(datagrams) / sizeof(datagrams[0]); ++i)
                try_on(stage, NB_PROBE_CONNECT, datagrams[i], false, tally);
}

START_TEST(sealed_reconnect) {
        struct tally tally = { 0 };
        STAGE stage;

        stage_init(&stage, true);
        try_reconnect(&stage, &tally);
        ck_assert_uint_eq(tally.refused, 4);
}
END_TEST

START_TEST(unsealed_reconnect) {
        struct tally tally = { 0 };
        STAGE stage;

        stage_init(&stage, false);
        try_reconnect(&stage, &tally);
        ck_assert_uint_eq(tally.worked, 4);
}
END_TEST

/* A listener, should one ever get out, becomes a client. */
static int turn_listener(const struct stage *stage, enum nb_probe_family family) {
        struct escape_target target;

        make_target(stage, stage->sockets.listeners[family], &target);
        ck_assert_int_eq(shutdown(target.fd, SHUT_RDWR), 0);
        return escape_try(NB_PROBE_CONNECT, &target);
}

START_TEST(sealed_listener_to_client) {
        STAGE stage;

        stage_init(&stage, true);
        ck_assert_int_eq(turn_listener(&stage, NB_PROBE_IPV4), -EPERM);
        ck_assert_int_eq(turn_listener(&stage, NB_PROBE_IPV6), -EPERM);
}
END_TEST

START_TEST(unsealed_listener_to_client) {
        STAGE stage;

        stage_init(&stage, false);
        ck_assert(has_worked(turn_listener(&stage, NB_PROBE_IPV4)));
        ck_assert(has_worked(turn_listener(&stage, NB_PROBE_IPV6)));
}
END_TEST

/* ---- what it asks nobody about --------------------------------------------------------------------------------- */

static void open_doors(const struct stage *stage, bool bind_first, uint16_t ports[static NB_PROBE_SOCKETS]) {
        for (size_t i = 0; i < NB_PROBE_SOCKETS; ++i) {
                struct escape_target target;

                make_target(stage, stage->sockets.sockets[i], &target);
                ck_assert_int_eq(escape_disconnect(&target), 0);
                if (bind_first)
                        (void)escape_try(NB_PROBE_BIND, &target);
                (void)escape_try(target.is_stream ? NB_PROBE_LISTEN : NB_PROBE_RECEIVE, &target);
                ports[i] = escape_port(&target);
        }
}

/* @return how many of the sockets with a port were reached; @param ret_open  how many have one */
static unsigned knock(const struct stage *stage, const uint16_t ports[static NB_PROBE_SOCKETS], unsigned *ret_open) {
        uint32_t answered;
        unsigned n = 0;

        *ret_open = 0;
        seal_scene_enter(&stage->scene, SEAL_BROKER);
        ck_assert_int_eq(nb_probe_scene_knock(&stage->sockets, ports, nb_probe_now() + HARNESS_DEADLINE_MS, &answered),
                         0);
        for (size_t i = 0; i < NB_PROBE_SOCKETS; ++i) {
                struct escape_target target;

                make_target(stage, stage->sockets.sockets[i], &target);
                *ret_open += ports[i] != 0;
                n += ports[i] != 0 && (answered & 1U << i || escape_was_reached(&target));
        }
        return n;
}

/* Each has a port, also a datagram socket that is not to send: it was given one before it was refused. */
static void expect_unreached(bool bind_first) {
        uint16_t ports[NB_PROBE_SOCKETS];
        unsigned n_open;
        STAGE stage;

        stage_init(&stage, true);
        open_doors(&stage, bind_first, ports);
        ck_assert_uint_eq(knock(&stage, ports, &n_open), 0);
        ck_assert_uint_eq(n_open, NB_PROBE_SOCKETS);
}

static void expect_reached(bool bind_first) {
        uint16_t ports[NB_PROBE_SOCKETS];
        unsigned n_open;
        STAGE stage;

        stage_init(&stage, false);
        open_doors(&stage, bind_first, ports);
        ck_assert_uint_eq(knock(&stage, ports, &n_open), NB_PROBE_SOCKETS);
}

START_TEST(sealed_listen_and_receive) {
        expect_unreached(false);
}
END_TEST

START_TEST(unsealed_listen_and_receive) {
        expect_reached(false);
}
END_TEST

START_TEST(sealed_listen_and_receive_with_a_bind) {
        expect_unreached(true);
}
END_TEST

START_TEST(unsealed_listen_and_receive_with_a_bind) {
        expect_reached(true);
}
END_TEST

/* ---- wherever the descriptor is -------------------------------------------------------------------------------- */

static const struct {
        enum nb_probe_escape escape;
        bool disconnect;
} attempts[] = {
        { NB_PROBE_DEVICE, false },     { NB_PROBE_FREEBIND, false },     { NB_PROBE_REUSEPORT, false },
        { NB_PROBE_MEMBERSHIP, false }, { NB_PROBE_ROUTING, false },      { NB_PROBE_SENDTO, false },
        { NB_PROBE_SENDMSG, false },    { NB_PROBE_SENDMMSG, false },     { NB_PROBE_PACKET_INFO, false },
        { NB_PROBE_CONNECT, true },     { NB_PROBE_CONNECT_OTHER, true }, { NB_PROBE_FAST_OPEN, true },
        { NB_PROBE_IO_URING, true },    { NB_PROBE_BIND, true },          { NB_PROBE_SENDTO, true },
};

#define N_ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))

static void expect_all_refused(const struct stage *stage) {
        uint16_t ports[NB_PROBE_SOCKETS];
        unsigned n_open;

        for (size_t i = 0; i < N_ATTEMPTS; ++i)
                expect_refused(stage, attempts[i].escape, attempts[i].disconnect);
        open_doors(stage, false, ports);
        ck_assert_uint_eq(knock(stage, ports, &n_open), 0);
}

/* Somebody else's user, in namespaces of his own, in a third control group; he owns what he gets. @return an exit status */
static int be_accomplice(const struct stage *stage, int channel) {
        uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
        struct nb_channel_fds fds;
        struct tally tally = { 0 };
        bool failed;

        seal_scene_enter(&stage->scene, SEAL_RELAY);
        if (setresuid(STRANGER_USER, STRANGER_USER, STRANGER_USER) < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
                return EXIT_FAILURE;
        if (harness_poll(channel, POLLIN, HARNESS_DEADLINE_MS) == 0 || nb_channel_receive(channel, buffer, &fds) <= 0)
                return EXIT_FAILURE;
        for (size_t i = 0; i < N_ATTEMPTS; ++i) {
                for (size_t j = 0; j < fds.n; ++j)
                        try_on(stage, attempts[i].escape, fds.fds[j], attempts[i].disconnect, &tally);
        }
        failed = fds.n != NB_PROBE_SOCKETS || tally.tried == 0 || tally.refused != tally.tried;
        nb_channel_fds_close(&fds);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

START_TEST(sealed_in_the_hands_of_an_accomplice) {
        int ends[2];
        pid_t pid;
        STAGE stage;

        stage_init(&stage, true);
        ck_assert_int_eq(nb_channel_pair(ends), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                _exit(be_accomplice(&stage, ends[1]));
        ck_assert_int_eq(nb_channel_send(ends[0], "x", 1, stage.sockets.sockets, NB_PROBE_SOCKETS), 0);
        nb_probe_scene_give_up(&stage.sockets);
        ck_assert_int_eq(harness_wait_exit(pid), EXIT_SUCCESS);
        nb_fds_close(ends, 2);
}
END_TEST

START_TEST(sealed_when_broker_cgroup_and_loader_are_gone) {
        char *output;
        STAGE stage;

        stage_init(&stage, true);
        ck_assert_int_eq(SEAL_RUN(&output, "unload", stage.scene.pins), 0);
        free(output);
        ck_assert_int_eq(access(stage.scene.pins, F_OK), -1);
        ck_assert_int_eq(rmdir(stage.scene.cgroups[SEAL_BROKER]), 0);
        for (size_t i = 0; i < N_ATTEMPTS; ++i)
                expect_refused(&stage, attempts[i].escape, attempts[i].disconnect);
}
END_TEST

/* After a restart listeners are of the former broker's control group, which is gone; what they accept is sealed as ever. */
START_TEST(sealed_when_accepted_by_what_a_gone_broker_made) {
        struct tally tally = { 0 };
        struct sockaddr_in address = { .sin_family = AF_INET };
        int client, accepted;
        STAGE stage;

        stage_init(&stage, true);
        ck_assert_int_eq(SEAL_RUN(NULL, "unload", stage.scene.pins), 0);
        ck_assert_int_eq(rmdir(stage.scene.cgroups[SEAL_BROKER]), 0);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(stage.sockets.tcp_ports[NB_PROBE_IPV4]);
        client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert(harness_poll(stage.sockets.listeners[NB_PROBE_IPV4], POLLIN, HARNESS_DEADLINE_MS) & POLLIN);
        accepted = accept4(stage.sockets.listeners[NB_PROBE_IPV4], NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(accepted, 0);
        for (size_t i = 0; i < N_ATTEMPTS; ++i)
                try_on(&stage, attempts[i].escape, accepted, attempts[i].disconnect, &tally);
        ck_assert_uint_gt(tally.tried, 0);
        ck_assert_uint_eq(tally.refused, tally.tried);
        (void)nb_fd_close(client);
        (void)nb_fd_close(accepted);
}
END_TEST

START_TEST(sealed_against_all_of_it_in_a_row) {
        STAGE stage;

        stage_init(&stage, true);
        expect_all_refused(&stage);
}
END_TEST

/* ---- what a holder can do --------------------------------------------------------------------------------------- */

static void expect_option(int fd, int level, int name, int value, int expected) {
        int r = setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;

        ck_assert_msg(r == expected, "option %d of level %d: %s", name, level, strerror(-r));
}

START_TEST(sealed_sockets_take_the_options_of_the_guest_interface) {
        static const int of_socket[] = { SO_KEEPALIVE, SO_RCVBUF, SO_SNDBUF, SO_RCVLOWAT, SO_OOBINLINE };
        static const int of_tcp[] = { TCP_NODELAY, TCP_CORK,         TCP_KEEPIDLE, TCP_KEEPINTVL,
                                      TCP_KEEPCNT, TCP_USER_TIMEOUT, TCP_QUICKACK, TCP_NOTSENT_LOWAT };
        const struct timeval second = { .tv_sec = 1 };
        STAGE stage;
        int fd;

        stage_init(&stage, true);
        fd = stage.sockets.sockets[NB_PROBE_TCP4];
        for (size_t i = 0; i < sizeof(of_socket) / sizeof(of_socket[0]); ++i)
                expect_option(fd, SOL_SOCKET, of_socket[i], 1, 0);
        for (size_t i = 0; i < sizeof(of_tcp) / sizeof(of_tcp[0]); ++i)
                expect_option(fd, IPPROTO_TCP, of_tcp[i], 1, 0);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)), 0);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second)), 0);
        expect_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, -EPERM);
        expect_option(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1, -EPERM);
        expect_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1, -EPERM);
        expect_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1, -EPERM);
}
END_TEST

/* Who lingers makes the last to close the socket wait; the broker takes that back from what it gets back, also where a relay owns it. */
START_TEST(sealed_sockets_linger_for_their_owner_only) {
        const struct linger on = { .l_onoff = 1, .l_linger = 100 }, reset = { .l_onoff = 1 }, off = { .l_linger = 100 };
        const char long_value[65536 + 1] = { 0 };
        STAGE stage;
        int fd;

        stage_init(&stage, true);
        fd = stage.sockets.sockets[NB_PROBE_TCP4];
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)), -1);
        ck_assert_int_eq(errno, EPERM);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off)), 0);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset) - 1), -1);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, 0), -1);
        /* What was looked at would not be what is taken. */
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, long_value, sizeof(long_value)), -1);
        ck_assert_int_eq(errno, EPERM);
        seal_scene_enter(&stage.scene, SEAL_BROKER);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)), 0);
}
END_TEST

static void expect_echo(int one, int other) {
        char bytes[8] = { 0 };

        ck_assert_int_eq(send(one, "hello", 5, MSG_NOSIGNAL), 5);
        ck_assert(harness_poll(other, POLLIN, HARNESS_DEADLINE_MS) & POLLIN);
        ck_assert_int_eq(recv(other, bytes, sizeof(bytes), 0), 5);
        ck_assert_str_eq(bytes, "hello");
}

START_TEST(sealed_sockets_carry_bytes_and_tell_their_addresses) {
        struct sockaddr_in address;
        socklen_t length = sizeof(address);
        STAGE stage;

        stage_init(&stage, true);
        expect_echo(stage.sockets.sockets[NB_PROBE_TCP4], stage.sockets.peers[NB_PROBE_TCP4]);
        expect_echo(stage.sockets.peers[NB_PROBE_TCP6], stage.sockets.sockets[NB_PROBE_TCP6]);
        expect_echo(stage.sockets.sockets[NB_PROBE_UDP4], stage.sockets.receivers[NB_PROBE_IPV4]);
        expect_echo(stage.sockets.sockets[NB_PROBE_UDP6_BOUND], stage.sockets.receivers[NB_PROBE_IPV6]);
        ck_assert_int_eq(getpeername(stage.sockets.sockets[NB_PROBE_TCP4], (struct sockaddr *)&address, &length), 0);
        ck_assert_uint_eq(ntohs(address.sin_port), stage.sockets.tcp_ports[NB_PROBE_IPV4]);
}
END_TEST

/* A batch of datagrams to the peer, in one call. */
START_TEST(sealed_datagrams_may_be_segmented) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(uint16_t))];
        } control = { .bytes = { 0 } };
        struct iovec iov = { .iov_base = (char[]){ "four" }, .iov_len = 4 };
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
        uint16_t size = 2;
        STAGE stage;

        stage_init(&stage, true);
        cmsg->cmsg_level = SOL_UDP;
        cmsg->cmsg_type = UDP_SEGMENT;
        cmsg->cmsg_len = CMSG_LEN(sizeof(size));
        memcpy(CMSG_DATA(cmsg), &size, sizeof(size));
        ck_assert_int_eq(sendmsg(stage.sockets.sockets[NB_PROBE_UDP4], &message, MSG_NOSIGNAL), 4);
}
END_TEST

/* ---- the abuse cases -------------------------------------------------------------------------------------------- */

START_TEST(abuse_1_a_sealed_connection_leads_nowhere_else) {
        STAGE stage;

        stage_init(&stage, true);
        expect_refused(&stage, NB_PROBE_CONNECT, true);
        expect_refused(&stage, NB_PROBE_CONNECT_OTHER, true);
        expect_refused(&stage, NB_PROBE_FAST_OPEN, true);
        expect_refused(&stage, NB_PROBE_IO_URING, true);
}
END_TEST

START_TEST(abuse_2_a_sealed_datagram_socket_names_nobody_else) {
        STAGE stage;

        stage_init(&stage, true);
        expect_refused(&stage, NB_PROBE_SENDTO, false);
        expect_refused(&stage, NB_PROBE_SENDMSG, false);
        expect_refused(&stage, NB_PROBE_SENDMMSG, false);
        expect_refused(&stage, NB_PROBE_SENDTO, true);
}
END_TEST

START_TEST(abuse_3_a_sealed_socket_listens_to_nobody) {
        expect_unreached(true);
}
END_TEST

#define ADD_BOTH(tcase, name)                                                                                          \
        do {                                                                                                           \
                tcase_add_test((tcase), sealed_##name);                                                                \
                tcase_add_test((tcase), unsealed_##name);                                                              \
        } while (0)

static TCase *make_escapes(void) {
        TCase *tcase = tcase_create("escapes");

        ADD_BOTH(tcase, connect);
        ADD_BOTH(tcase, connect_to_the_other_family);
        ADD_BOTH(tcase, reconnect);
        ADD_BOTH(tcase, fast_open);
        ADD_BOTH(tcase, io_uring);
        ADD_BOTH(tcase, bind);
        ADD_BOTH(tcase, listen_and_receive);
        ADD_BOTH(tcase, listen_and_receive_with_a_bind);
        ADD_BOTH(tcase, listener_to_client);
        ADD_BOTH(tcase, sendto);
        ADD_BOTH(tcase, sendmsg);
        ADD_BOTH(tcase, sendmmsg);
        ADD_BOTH(tcase, sendto_disconnected);
        ADD_BOTH(tcase, sendmsg_disconnected);
        ADD_BOTH(tcase, sendmmsg_disconnected);
        ADD_BOTH(tcase, packet_info);
        ADD_BOTH(tcase, bind_to_device);
        ADD_BOTH(tcase, freebind);
        ADD_BOTH(tcase, reuseport);
        ADD_BOTH(tcase, membership);
        ADD_BOTH(tcase, routing);
        return tcase;
}

static TCase *make_others(void) {
        TCase *tcase = tcase_create("others");

        tcase_add_test(tcase, sealed_against_all_of_it_in_a_row);
        tcase_add_test(tcase, sealed_in_the_hands_of_an_accomplice);
        tcase_add_test(tcase, sealed_when_broker_cgroup_and_loader_are_gone);
        tcase_add_test(tcase, sealed_when_accepted_by_what_a_gone_broker_made);
        tcase_add_test(tcase, sealed_sockets_take_the_options_of_the_guest_interface);
        tcase_add_test(tcase, sealed_sockets_linger_for_their_owner_only);
        tcase_add_test(tcase, sealed_sockets_carry_bytes_and_tell_their_addresses);
        tcase_add_test(tcase, sealed_datagrams_may_be_segmented);
        tcase_add_test(tcase, abuse_1_a_sealed_connection_leads_nowhere_else);
        tcase_add_test(tcase, abuse_2_a_sealed_datagram_socket_names_nobody_else);
        tcase_add_test(tcase, abuse_3_a_sealed_socket_listens_to_nobody);
        return tcase;
}

int main(void) {
        Suite *suite = suite_create("seal_escapes");

        suite_add_tcase(suite, make_escapes());
        suite_add_tcase(suite, make_others());
        return run_suite(suite);
}
