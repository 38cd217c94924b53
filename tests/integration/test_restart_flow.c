/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that flow while brokers come and go: through relays, plain, by TLS and by QUIC, in both directions, and all of them looked at.
 *
 * Relays are started by a socket, as systemd does it, and outlive the broker.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/quic_host.h"
#include "tests/support/relay_units.h"
#include "tests/support/runner.h"

#define POLICY                                                                                                         \
        "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\n"                                                           \
        "[Protocol web]\nFamily=ip\nDataPath=relay\n" SCENE_LOOPBACK                                                   \
        "[Protocol tls]\nFamily=ip\nTLS=both\nTLSTrust=%s\nTLSCertificate=%s %s\n" SCENE_LOOPBACK

/* How often the broker ends, in each of the two ways in turn. */
#define RESTARTS 10

/* Of each kind, both ends of which are guests'. */
#define PAIRS 20
#define N_PAIRS (2 * PAIRS)

/* What is written and read at once. */
#define CHUNK 4096

/* How much everybody does between two ends. */
#define ROUNDS 20

static bool is_killed(int i) {
        return i % 2 == 0;
}

struct world {
        struct restart_scene restart;
        struct relay_units units;
        struct quic_world quic; /* certificates, and a copy of the daemon */
};

static void make_certificates(struct world *world) {
        const struct certificate server = {
                .name = "server",
                .issuer = "root",
                .template = "ip_address = 127.0.0.1\ndns_name = " QUIC_HOST_NAME "\ntls_www_server\nsigning_key\n",
        };

        certificates_init(&world->quic.certificates);
        certificates_make_authority(&world->quic.certificates, "root", NULL);
        certificates_make(&world->quic.certificates, &server);
}

/* The policy is to be written next. */
static void world_prepare(struct world *world) {
        make_certificates(world);
        restart_prepare(&world->restart);
        relay_units_start(&world->units, world->restart.scene.daemon.folder);
        restart_argument(&world->restart, "--relay-socket");
        restart_argument(&world->restart, world->units.path);
        world->quic.daemon = world->restart.scene.daemon;
}

static void world_begin(struct world *world) {
        restart_again(&world->restart);
        world->quic.daemon = world->restart.scene.daemon;
}

static void world_end(struct world *world) {
        daemon_stop(&world->restart.scene.daemon);
        keeper_kill(&world->restart.keeper);
        relay_units_wait(&world->units, 0);
        relay_units_stop(&world->units);
        daemon_deinit(&world->restart.scene.daemon);
        certificates_deinit(&world->quic.certificates);
}

/* ---- streams ---- */

struct flow {
        _Atomic uint64_t rounds;
        _Atomic bool stopping;
        char why[128];
};

/* One direction of a pair. */
struct way {
        int from, to;
        uint64_t written, read;
};

static uint8_t byte_at(const struct way *way, uint64_t at) {
        return (uint8_t)(at * 7 + (at >> 8) + (uint64_t)(way->from * 31));
}

static void lost(struct flow *flow, const char *what, int error) {
        (void)snprintf(flow->why, sizeof(flow->why), "%s: %s", what, strerror(error));
        _exit(1);
}

static void write_some(struct flow *flow, struct way *way) {
        uint8_t chunk[CHUNK];
        ssize_t n;

        for (size_t i = 0; i < sizeof(chunk); ++i)
                chunk[i] = byte_at(way, way->written + i);
        n = send(way->from, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
                lost(flow, "a stream could not be written", errno);
        way->written += n > 0 ? (uint64_t)n : 0;
}

static void read_some(struct flow *flow, struct way *way) {
        uint8_t chunk[CHUNK];
        ssize_t n = recv(way->to, chunk, sizeof(chunk), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN))
                lost(flow, "a stream has ended", n == 0 ? 0 : errno);
        for (ssize_t i = 0; i < n; ++i) {
                if (chunk[i] != byte_at(way, way->read + (uint64_t)i))
                        lost(flow, "a byte is another one", EILSEQ);
        }
        way->read += n > 0 ? (uint64_t)n : 0;
}

/* Goes on until every direction has moved by a chunk. */
static void go_round(struct flow *flow, struct way *ways, size_t n) {
        uint64_t start_ms = harness_now_ms(), before[2 * N_PAIRS];
        struct pollfd fds[2 * N_PAIRS];
        size_t n_left = n;

        for (size_t i = 0; i < n; ++i) {
                before[i] = ways[i].read;
                fds[i] = (struct pollfd){ .fd = ways[i].to, .events = POLLIN };
        }
        while (n_left > 0 && !atomic_load(&flow->stopping)) {
                n_left = 0;
                for (size_t i = 0; i < n; ++i) {
                        write_some(flow, &ways[i]);
                        read_some(flow, &ways[i]);
                        n_left += ways[i].read < before[i] + CHUNK;
                }
                if (n_left > 0)
                        (void)poll(fds, (nfds_t)n, 10);
                if (harness_now_ms() - start_ms > HARNESS_DEADLINE_MS)
                        lost(flow, "streams stand still", ETIMEDOUT);
        }
}

static void run_flow(struct flow *flow, struct way *ways, size_t n) {
        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
        while (!atomic_load(&flow->stopping)) {
                go_round(flow, ways, n);
                atomic_fetch_add(&flow->rounds, 1);
        }
        _exit(0);
}

static void wait_for_rounds(struct flow *flow, uint64_t n) {
        uint64_t start_ms = harness_now_ms(), end = atomic_load(&flow->rounds) + n;

        while (atomic_load(&flow->rounds) < end) {
                ck_assert_msg(flow->why[0] == '\0', "%s", flow->why);
                harness_wait_a_moment(start_ms, "streams to go on");
        }
}

/* A listener, and a stream to it: both are guests'. */
static void open_pair(struct wire *protocol, struct way *out, struct way *back) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire listener = wire_open_control(protocol, "127.0.0.1:0");
        struct wire control = wire_open_control(protocol, "0.0.0.0:0");
        int one, other;

        ck_assert_uint_eq(wire_listen(&listener, 1, address), 0);
        ck_assert_uint_eq(wire_connect_to(&control, address, &one), 0);
        other = wire_receive_accepted(&listener, 1);
        (void)wire_close(&control);
        (void)wire_close(&listener);
        *out = (struct way){ .from = one, .to = other };
        *back = (struct way){ .from = other, .to = one };
}

static void write_policy(const struct world *world) {
        const struct certificates *certificates = &world->quic.certificates;
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];

        daemon_write_policy(&world->restart.scene.daemon, POLICY, (unsigned)getuid(),
                            certificates_path(certificates, "root.pem", trust),
                            certificates_path(certificates, "server.chain", chain),
                            certificates_path(certificates, "server.key", key));
}

START_TEST(no_byte_is_lost_on_the_way_through_a_relay) {
        struct flow *flow = mmap(NULL, sizeof(*flow), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct way ways[2 * N_PAIRS];
        struct world world;
        struct wire_session *session = &world.restart.scene.session;
        int status;
        pid_t pid;

        world_prepare(&world);
        write_policy(&world);
        world_begin(&world);
        wire_session_open(world.restart.scene.daemon.socket_path, "acme", session);
        for (size_t i = 0; i < N_PAIRS; ++i)
                open_pair(&session->protocols[i < PAIRS ? 0 : 1], &ways[2 * i], &ways[2 * i + 1]);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                run_flow(flow, ways, 2 * N_PAIRS);
        for (int i = 0; i < RESTARTS; ++i) {
                wait_for_rounds(flow, ROUNDS);
                restart_take_down(&world.restart, is_killed(i));
                wait_for_rounds(flow, ROUNDS);
                restart_again(&world.restart);
        }
        wait_for_rounds(flow, ROUNDS);
        atomic_store(&flow->stopping, true);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "%s", flow->why);
        for (size_t i = 0; i < N_PAIRS; ++i) {
                (void)nb_fd_close(ways[2 * i].from);
                (void)nb_fd_close(ways[2 * i].to);
        }
        wire_session_close(session);
        world_end(&world);
        (void)munmap(flow, sizeof(*flow));
}
END_TEST

/* ---- QUIC ---- */

/* Connections, their streams, and new streams while there is no broker; and new connections by the server that goes on, when there is one again. */
START_TEST(quic_goes_on) {
        struct nb_connection *connection, *another;
        struct world world;
        struct quic_echo echo;
        struct quic_host host;

        world_prepare(&world);
        quic_world_write(&world.quic, "acme", "", "");
        quic_world_write(&world.quic, "other", "", "");
        world_begin(&world);
        quic_echo_start(&echo, &world.quic, "other");
        quic_host_open(&host, &world.quic, "acme");
        connection = quic_host_connect(&host, echo.address);
        for (int i = 0; i < RESTARTS; ++i) {
                quic_host_echo(connection, 4, 50000, (uint64_t)(3 * i + 1));
                restart_take_down(&world.restart, is_killed(i));
                quic_host_echo(connection, 4, 50000, (uint64_t)(3 * i + 2));
                restart_again(&world.restart);
                another = quic_host_connect(&host, echo.address);
                quic_host_echo(another, 2, 10000, (uint64_t)(3 * i + 3));
                nb_connection_free(another);
        }
        quic_host_echo(connection, 4, 50000, 99);
        nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        world_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("restart_flow");
        TCase *tcase = tcase_create("flow");

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, no_byte_is_lost_on_the_way_through_a_relay);
        tcase_add_test(tcase, quic_goes_on);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
