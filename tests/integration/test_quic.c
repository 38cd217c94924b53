/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC from guest to guest, through the real broker and a relay each: two tenants, of which one serves and the other connects, both as guests under Wasmtime. What streams carry and how
 * they end, how connections end and what either side is told, and what a peer is refused for.
 *
 * What takes time is that Wasmtime compiles each guest, about a second of the processor's. So a guest makes several connections, one after the other, where that does as well.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/certificates.h"
#include "tests/support/harness.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

#define PATH_TEXT_MAX 256
#define ADDRESS_MAX 64
#define POLICY_MAX 2048
#define ARGUMENTS_MAX 40

/* Runs of Wasm under sanitizers take their time. */
#define PATIENCE_MS (4 * HARNESS_DEADLINE_MS)

static struct certificates certificates;

static void make_certificates(void) {
        static const struct certificate local = {
                .name = "local",
                .issuer = "root",
                .template = "ip_address = \"127.0.0.1\"\nsigning_key\ntls_www_server\n",
        };

        process_expect_no_leak_check();
        certificates_init(&certificates);
        certificates_make_authority(&certificates, "root", NULL);
        certificates_make_authority(&certificates, "stranger", NULL);
        certificates_make(&certificates, &local);
        certificates_make_server(&certificates, "elsewhere", "root", "www.example.org");
        certificates_make_client(&certificates, "worker", "root", "worker-7.example.net");
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

/* ---- a daemon with two tenants ---- */

struct world {
        struct daemon daemon;
        struct process server;
        char address[ADDRESS_MAX]; /* where it listens */
};

/* Writes a tenant's policy. "@" in the rules is the folder of the certificates. */
static void write_policy(const struct world *world, const char *tenant, const char *rules) {
        char file[64], text[POLICY_MAX];
        size_t n = 0;

        for (const char *c = rules; *c && n < sizeof(text) - sizeof(certificates.folder); ++c) {
                if (*c == '@')
                        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", certificates.folder);
                else
                        text[n++] = *c;
        }
        text[n] = '\0';
        (void)snprintf(file, sizeof(file), "%s.conf", tenant);
        daemon_write_policy_file(&world->daemon, file,
                                 "[Tenant]\nName=%s\nUser=%u\nExplainDenials=yes\n[Protocol quic]\nFamily=quic\n"
                                 "SocketTypes=stream dgram\n%s",
                                 tenant, (unsigned)getuid(), text);
}

#define SERVES "Listen=127.0.0.1:*\nTLSALPN=echo\nTLSCertificate=@/local.chain @/local.key\n"
#define CONNECTS "Connect=127.0.0.1:*\nTLSALPN=echo\nTLSTrust=@/root.pem\n"

static void world_start(struct world *world, const char *server_rules, const char *client_rules) {
        memset(world, 0, sizeof(*world));
        daemon_init(&world->daemon);
        write_policy(world, "server", server_rules);
        write_policy(world, "client", client_rules);
        daemon_start(&world->daemon, NULL);
        world->server.pid = -1;
}

static void world_end(struct world *world) {
        process_deinit(&world->server);
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
}

static const char *guest_path(const char *name, char buffer[static PATH_TEXT_MAX]) {
        (void)snprintf(buffer, PATH_TEXT_MAX, "%s/%s.wasm", getenv("GUESTS_DIR"), name);
        return buffer;
}

/* Starts a guest as a tenant. @param arguments  up to a NULL, the guest's name first */
static void start_guest(const struct world *world, struct process *process, const char *tenant,
                        const char *const *arguments) {
        const char *all[ARGUMENTS_MAX + 5] = { getenv("NETBROKER_RUN"), "--socket", world->daemon.socket_path,
                                               "--tenant", tenant };
        char path[PATH_TEXT_MAX];
        size_t n = 5;

        all[n++] = guest_path(arguments[0], path);
        for (size_t i = 1; arguments[i]; ++i)
                all[n++] = arguments[i];
        process_start(process, all);
}

/* Starts the server, which ends after so many connections. @param kind  "datagrams", "sink", or NULL */
static void start_server(struct world *world, const char *n_connections, const char *kind) {
        const char *arguments[] = { "quic_server", "127.0.0.1:0", n_connections, kind, NULL };
        const char *line;

        start_guest(world, &world->server, "server", arguments);
        process_expect(&world->server, "listening ", PATIENCE_MS);
        process_expect(&world->server, "\n", PATIENCE_MS);
        line = strstr(world->server.text, "listening ") + strlen("listening ");
        (void)snprintf(world->address, sizeof(world->address), "%.*s", (int)strcspn(line, "\n"), line);
}

static void start_client(const struct world *world, struct process *client, const char *mode, const char *n,
                         const char *bytes) {
        const char *arguments[] = { "quic_client", world->address, mode, n, bytes, NULL };

        start_guest(world, client, "client", arguments);
}

/* Runs a client to its end, which must be a good one. */
static void run_client(const struct world *world, const char *mode, const char *n, const char *bytes,
                       const char *expected) {
        PROCESS client;

        start_client(world, &client, mode, n, bytes);
        process_expect(&client, expected, PATIENCE_MS);
        ck_assert_int_eq(process_finish(&client, PATIENCE_MS), 0);
}

static void expect_server_end(struct world *world, const char *how) {
        process_expect(&world->server, how, PATIENCE_MS);
        ck_assert_int_eq(process_finish(&world->server, PATIENCE_MS), 0);
}

/* What a client does on a connection of its own, and says then. */
struct visit {
        const char *mode;
        const char *n;
        const char *bytes;
        const char *expected;
};

/* One client connects so many times, and the server ends with the last of them. */
static void run_visits(struct world *world, const struct visit *visits, size_t n_visits) {
        const char *arguments[ARGUMENTS_MAX] = { "quic_client", world->address };
        PROCESS client;
        size_t n = 2;

        for (size_t i = 0; i < n_visits; ++i) {
                ck_assert_uint_lt(n + 3, ARGUMENTS_MAX);
                arguments[n++] = visits[i].mode;
                arguments[n++] = visits[i].n;
                arguments[n++] = visits[i].bytes;
        }
        start_guest(world, &client, "client", arguments);
        for (size_t i = 0; i < n_visits; ++i)
                process_expect(&client, visits[i].expected, PATIENCE_MS);
        ck_assert_int_eq(process_finish(&client, PATIENCE_MS), 0);
        for (size_t i = 0; i < n_visits; ++i)
                process_expect(&world->server, "ended: notconn", PATIENCE_MS);
        ck_assert_int_eq(process_finish(&world->server, PATIENCE_MS), 0);
}

/* ---- streams ---- */

static const struct visit modes[] = {
        { "echo", "1", "100000", "1 streams of 100000 bytes" },
        { "echo", "100", "20000", "100 streams of 20000 bytes" },
        { "echo", "3", "0", "3 streams of 0 bytes" },
        { "one-way", "1", "100000", "1 streams of 100000 bytes" },
        { "one-way", "100", "20000", "100 streams of 20000 bytes" },
        { "blocking", "5", "100000", "5 streams of 100000 bytes" },
        { "half-close", "1", "1", "half-closed" },
        { "reset", "1", "1", "reset" },
        { "stop", "1", "1", "stopped" },
};

#define N_MODES (sizeof(modes) / sizeof(modes[0]))

START_TEST(streams_carry_bytes_and_ends) {
        struct world world;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "9", NULL);
        run_visits(&world, modes, N_MODES);
        world_end(&world);
}
END_TEST

/* More streams than a peer allows at once: creating them is `again` until others have ended. */
START_TEST(streams_beyond_the_limit_wait_for_their_turn) {
        static const struct visit many[] = {
                { "echo", "50", "1000", "50 streams of 1000 bytes" },
                { "one-way", "50", "1000", "50 streams of 1000 bytes" },
                { "blocking", "50", "1000", "50 streams of 1000 bytes" },
        };
        struct world world;

        world_start(&world, SERVES "MaxStreams=4\n", CONNECTS "MaxStreams=3\n");
        start_server(&world, "3", NULL);
        run_visits(&world, many, 3);
        world_end(&world);
}
END_TEST

/* Windows that hold less than is sent make either side wait for the other's guest. */
START_TEST(small_windows_carry_much) {
        struct world world;

        world_start(&world, SERVES "StreamWindow=16K\nConnectionWindow=16K\n",
                    CONNECTS "StreamWindow=16K\nConnectionWindow=16K\n");
        start_server(&world, "1", NULL);
        run_client(&world, "echo", "4", "300000", "4 streams of 300000 bytes");
        expect_server_end(&world, "ended: notconn");
        world_end(&world);
}
END_TEST

/* What was written is delivered when the guest has gone. */
START_TEST(what_was_written_arrives) {
        struct world world;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "1", "sink");
        run_client(&world, "leave", "1", "1000000", "left");
        expect_server_end(&world, "ended: notconn\nreceived 1000000 bytes\n");
        world_end(&world);
}
END_TEST

/* Also when its broker, which is its own, has nothing else to do. */
START_TEST(what_was_written_arrives_before_a_private_broker_ends) {
        struct world world;
        char policy[PATH_TEXT_MAX], path[PATH_TEXT_MAX];
        PROCESS client;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "1", "sink");
        (void)snprintf(policy, sizeof(policy), "%s/client.conf", world.daemon.policy_path);
        PROCESS_START(&client, getenv("NETBROKER_RUN"), "--policy", policy, guest_path("quic_client", path),
                      world.address, "leave", "1", "1000000");
        process_expect(&client, "left", PATIENCE_MS);
        ck_assert_int_eq(process_finish(&client, PATIENCE_MS), 0);
        expect_server_end(&world, "ended: notconn\nreceived 1000000 bytes\n");
        world_end(&world);
}
END_TEST

START_TEST(datagrams_come_back) {
        struct world world;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "2", "datagrams");
        run_client(&world, "datagrams", "100", "1000", "100 datagrams of 1000 bytes");
        run_client(&world, "too-long", NULL, NULL, "too long: msgsize");
        expect_server_end(&world, "ended: ");
        world_end(&world);
}
END_TEST

/* A program that knows nothing of QUIC: each connection's first stream is what it accepts. */
START_TEST(a_posix_server_serves_streams) {
        const char *const arguments[] = { "posix_echo", "127.0.0.1", "2", NULL };
        struct world world;
        const char *line;

        world_start(&world, SERVES, CONNECTS);
        start_guest(&world, &world.server, "server", arguments);
        process_expect(&world.server, "port ", PATIENCE_MS);
        process_expect(&world.server, "\n", PATIENCE_MS);
        line = strstr(world.server.text, "port ") + strlen("port ");
        (void)snprintf(world.address, sizeof(world.address), "127.0.0.1:%.*s", (int)strcspn(line, "\n"), line);
        run_client(&world, "blocking", "1", "50000", "1 streams of 50000 bytes");
        run_client(&world, "echo", "1", "1000", "1 streams of 1000 bytes");
        ck_assert_int_eq(process_finish(&world.server, PATIENCE_MS), 0);
        world_end(&world);
}
END_TEST

START_TEST(guests_are_told_of_tls) {
        struct world world;
        char remote[ADDRESS_MAX + 16];
        PROCESS client;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "1", NULL);
        start_client(&world, &client, "connect", NULL, NULL);
        (void)snprintf(remote, sizeof(remote), "remote: %s\n", world.address);
        process_expect(&client, remote, PATIENCE_MS);
        process_expect(&client, "version: TLS1.3\nalpn: echo\nresumed: 0\n", PATIENCE_MS);
        ck_assert_int_eq(process_finish(&client, PATIENCE_MS), 0);
        expect_server_end(&world, "ended: notconn");
        world_end(&world);
}
END_TEST

/* ---- ends of connections ---- */

static void hold(const struct world *world, struct process *client) {
        start_client(world, client, "hold", NULL, NULL);
        process_expect(client, "held\n", PATIENCE_MS);
}

static void expect_end_of(struct process *client, const char *how) {
        process_expect(client, how, PATIENCE_MS);
        ck_assert_int_eq(process_finish(client, PATIENCE_MS), 0);
}

START_TEST(a_server_that_ends_closes_its_connections) {
        struct world world;
        PROCESS client;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "1", NULL);
        hold(&world, &client);
        ck_assert_int_eq(kill(world.server.pid, SIGKILL), 0);
        ck_assert_int_eq(process_finish(&world.server, PATIENCE_MS), 128 + SIGKILL);
        process_expect(&client, "stream: ", PATIENCE_MS);
        expect_end_of(&client, "accept: notconn\ncreate: notconn\n");
        world_end(&world);
}
END_TEST

/* Two daemons: the client's hears of the other's end at once, and not when it has been idle for too long. */
START_TEST(a_daemon_that_is_stopped_closes_its_connections) {
        struct world world, other;
        PROCESS client;

        world_start(&world, SERVES, CONNECTS);
        world_start(&other, SERVES, CONNECTS);
        start_server(&other, "0", NULL);
        memcpy(world.address, other.address, sizeof(world.address));
        hold(&world, &client);
        ck_assert_int_eq(kill(other.server.pid, SIGSTOP), 0); /* it would close them itself */
        daemon_stop(&other.daemon);
        expect_end_of(&client, "stream: connreset\naccept: notconn\ncreate: notconn\n");
        ck_assert_int_eq(kill(other.server.pid, SIGKILL), 0);
        ck_assert_int_eq(process_finish(&other.server, PATIENCE_MS), 128 + SIGKILL);
        process_deinit(&other.server);
        daemon_deinit(&other.daemon);
        world_end(&world);
}
END_TEST

/* The kernel says to the relay's own guest that it is gone; to the peer it is the next relay that says so, when it is asked. */
START_TEST(a_relay_that_dies_is_a_reset_on_both_sides) {
        struct world world;
        PROCESS client;
        pid_t relay;

        world_start(&world, SERVES, CONNECTS "KeepAlive=1s\n");
        start_server(&world, "0", NULL);
        relay = harness_only_child(world.daemon.pid); /* the server's */
        hold(&world, &client);
        ck_assert_int_eq(kill(relay, SIGKILL), 0);
        process_expect(&world.server, "ended: connreset", PATIENCE_MS);
        expect_end_of(&client, "stream: connreset\naccept: connreset\ncreate: connreset\n");
        run_client(&world, "echo", "10", "1000", "10 streams of 1000 bytes");
        ck_assert_int_eq(process_stop(&world.server), 128 + SIGTERM);
        world_end(&world);
}
END_TEST

START_TEST(a_connection_that_is_idle_times_out) {
        struct world world;
        PROCESS client;

        world_start(&world, SERVES "IdleTimeout=1s\n", CONNECTS);
        start_server(&world, "1", NULL);
        hold(&world, &client);
        expect_server_end(&world, "ended: timedout");
        expect_end_of(&client, "stream: connreset\naccept: timedout\ncreate: timedout\n");
        world_end(&world);
}
END_TEST

/* Two clients that do nothing, of which one keeps its connection alive: it hears of the server's end, when the other has long been told that nothing was heard. */
START_TEST(a_connection_that_is_kept_alive_stays) {
        const char *arguments[] = { "quic_client", NULL, "hold", NULL };
        struct world world;
        PROCESS keeper;
        PROCESS client;

        world_start(&world, SERVES "IdleTimeout=2s\n", CONNECTS);
        write_policy(&world, "keeper", CONNECTS "KeepAlive=1s\n");
        daemon_reload(&world.daemon);
        start_server(&world, "0", NULL);
        arguments[1] = world.address;
        start_guest(&world, &keeper, "keeper", arguments);
        process_expect(&keeper, "held\n", PATIENCE_MS);
        hold(&world, &client);
        expect_end_of(&client, "accept: timedout\n");
        ck_assert_int_eq(kill(world.server.pid, SIGKILL), 0);
        ck_assert_int_eq(process_finish(&world.server, PATIENCE_MS), 128 + SIGKILL);
        expect_end_of(&keeper, "accept: notconn\n");
        world_end(&world);
}
END_TEST

START_TEST(a_policy_takes_connections_back) {
        struct world world;
        PROCESS client;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "1", NULL);
        hold(&world, &client);
        write_policy(&world, "client", "Connect=127.0.0.2:*\nTLSALPN=echo\nTLSTrust=@/root.pem\n");
        daemon_reload(&world.daemon);
        expect_end_of(&client, "stream: connreset\naccept: connreset\ncreate: connreset\n");
        expect_server_end(&world, "ended: ");
        world_end(&world);
}
END_TEST

/* ---- what is refused ---- */

static const struct {
        const char *server;
        const char *client;
        const char *error;
        const char *reason;
} refusals[] = {
        { "Listen=127.0.0.1:*\nTLSALPN=echo\nTLSCertificate=@/elsewhere.chain @/elsewhere.key\n", CONNECTS,
          "connect: access\n", "reason: " },
        { SERVES, "Connect=127.0.0.1:*\nTLSALPN=echo\nTLSTrust=@/stranger.pem\n", "connect: access\n", "reason: " },
        { SERVES, "Connect=127.0.0.1:*\nTLSALPN=other\nTLSTrust=@/root.pem\n", "connect: proto\n", "" },
        { SERVES "TLSTrust=@/root.pem\nTLSClientAuth=require\nTLSClientNames=*.example.net\n", CONNECTS,
          "connect: proto\n", "" },
        { SERVES, "Connect=127.0.0.1:1\nTLSALPN=echo\nTLSTrust=@/root.pem\n", "connect: access\n", "reason: " },
};

#define N_REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

/* The server's guest hears nothing of who is refused. */
START_TEST(peers_are_refused) {
        struct world world;
        PROCESS client;

        world_start(&world, refusals[_i].server, refusals[_i].client);
        start_server(&world, "0", NULL);
        start_client(&world, &client, "connect", NULL, NULL);
        process_expect(&client, refusals[_i].error, PATIENCE_MS);
        process_expect(&client, refusals[_i].reason, PATIENCE_MS);
        ck_assert_int_eq(process_finish(&client, PATIENCE_MS), 1);
        ck_assert_int_eq(process_stop(&world.server), 128 + SIGTERM);
        ck_assert_ptr_null(strstr(world.server.text, "accepted"));
        world_end(&world);
}
END_TEST

START_TEST(clients_show_certificates) {
        struct world world;

        world_start(&world, SERVES "TLSTrust=@/root.pem\nTLSClientAuth=require\nTLSClientNames=*.example.net\n",
                    CONNECTS "TLSClientCertificate=@/worker.chain @/worker.key\n");
        start_server(&world, "1", NULL);
        run_client(&world, "blocking", "1", "10", "1 streams of 10 bytes");
        expect_server_end(&world, "ended: notconn");
        world_end(&world);
}
END_TEST

/* ---- what is left ---- */

START_TEST(nothing_is_left_of_connections) {
        struct world world;
        unsigned n_fds;

        world_start(&world, SERVES, CONNECTS);
        start_server(&world, "4", NULL);
        run_client(&world, "echo", "10", "1000", "10 streams of 1000 bytes");
        process_expect(&world.server, "ended: notconn", PATIENCE_MS);
        n_fds = daemon_count_fds_at_rest(&world.daemon);
        for (unsigned i = 0; i < 2; ++i) {
                run_client(&world, "echo", "10", "1000", "10 streams of 1000 bytes");
                process_expect(&world.server, "ended: notconn", PATIENCE_MS);
        }
        daemon_wait_fds(&world.daemon, n_fds);
        run_client(&world, "connect", NULL, NULL, "remote: ");
        expect_server_end(&world, "ended: notconn");
        world_end(&world);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
        TCase *tcase = tcase_create(name);

        tcase_add_unchecked_fixture(tcase, make_certificates, remove_certificates);
        tcase_set_timeout(tcase, 240);
        suite_add_tcase(suite, tcase);
        return tcase;
}

static void add_streams(TCase *tcase) {
        tcase_add_test(tcase, streams_carry_bytes_and_ends);
        tcase_add_test(tcase, streams_beyond_the_limit_wait_for_their_turn);
        tcase_add_test(tcase, small_windows_carry_much);
        tcase_add_test(tcase, what_was_written_arrives);
        tcase_add_test(tcase, what_was_written_arrives_before_a_private_broker_ends);
        tcase_add_test(tcase, datagrams_come_back);
        tcase_add_test(tcase, a_posix_server_serves_streams);
        tcase_add_test(tcase, nothing_is_left_of_connections);
}

static void add_ends(TCase *tcase) {
        tcase_add_test(tcase, a_server_that_ends_closes_its_connections);
        tcase_add_test(tcase, a_daemon_that_is_stopped_closes_its_connections);
        tcase_add_test(tcase, a_relay_that_dies_is_a_reset_on_both_sides);
        tcase_add_test(tcase, a_connection_that_is_idle_times_out);
        tcase_add_test(tcase, a_connection_that_is_kept_alive_stays);
        tcase_add_test(tcase, a_policy_takes_connections_back);
}

static void add_handshakes(TCase *tcase) {
        tcase_add_test(tcase, guests_are_told_of_tls);
        tcase_add_loop_test(tcase, peers_are_refused, 0, N_REFUSALS);
        tcase_add_test(tcase, clients_show_certificates);
}

int main(void) {
        Suite *suite = suite_create("quic");

        add_streams(add_case(suite, "streams"));
        add_ends(add_case(suite, "ends"));
        add_handshakes(add_case(suite, "handshakes"));
        return run_suite(suite);
}
