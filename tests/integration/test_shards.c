/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerd of several processes (--shards), with the real daemon: three tenants on two shards.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "tests/support/harness.h"
#include "tests/support/keeper.h"
#include "tests/support/operator.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

/* Tenants red and green are shard 1's, blue is shard 2's. */
static const struct {
        const char *name;
        const char *file;
        unsigned shard;
} tenants[] = {
        { "red", "red.conf", 1 },
        { "blue", "blue.conf", 2 },
        { "green", "green.conf", 1 },
};

#define N_TENANTS (sizeof(tenants) / sizeof(tenants[0]))
#define N_SHARDS 2
#define KEEPERS (N_SHARDS + 1)
#define ARGUMENTS_MAX 8

#define LOOPBACK "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\n"

struct world {
        struct daemon daemon;
        struct keeper keepers[KEEPERS]; /* of the front, and of each shard */
        bool has_keepers;
        const char *arguments[ARGUMENTS_MAX];
        size_t n_arguments;
        struct daemon_options options;
};

static void write_tenant(const struct world *world, size_t i, unsigned shard, const char *rules) {
        daemon_write_policy_file(&world->daemon, tenants[i].file,
                                 "[Tenant]\nName=%s\nUser=%u\nShard=%u\nExplainDenials=yes\nMaxSessions=3\n"
                                 "[Protocol web]\nFamily=ip\nDataPath=direct\n%s",
                                 tenants[i].name, (unsigned)getuid(), shard, rules);
}

static void prepare(struct world *world) {
        *world = (struct world){ .has_keepers = false };
        daemon_init(&world->daemon);
        for (size_t i = 0; i < N_TENANTS; ++i)
                write_tenant(world, i, tenants[i].shard, LOOPBACK);
        world->arguments[world->n_arguments++] = "--shards";
        world->arguments[world->n_arguments++] = "2";
        world->options.arguments = world->arguments;
}

/* The first keeper's socket has the name that the others' begin with. */
static void give_keepers(struct world *world) {
        keeper_start(&world->keepers[0], world->daemon.folder);
        for (unsigned i = 1; i < KEEPERS; ++i)
                keeper_start_of_shard(&world->keepers[i], world->daemon.folder, i);
        world->arguments[world->n_arguments++] = "--keeper";
        world->arguments[world->n_arguments++] = world->keepers[0].path;
        world->has_keepers = true;
}

static void start(struct world *world) {
        daemon_start(&world->daemon, &world->options);
}

static void end(struct world *world) {
        daemon_stop(&world->daemon);
        for (unsigned i = 0; world->has_keepers && i < KEEPERS; ++i)
                keeper_kill(&world->keepers[i]);
        daemon_deinit(&world->daemon);
}

/* ---- what a session can do ---- */

/* A connect of the session's, to a listener of the test's. @return 0, or the WASI errno */
static uint32_t connect_through(struct wire_session *session) {
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        NB_CLEANUP_FD int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        NB_CLEANUP_FD int stream = -1;
        socklen_t length = sizeof(sa);
        struct wire control;
        char address[32];
        uint32_t error;

        ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(listener, 1), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &length), 0);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)ntohs(sa.sin_port));
        control = wire_open_control(&session->protocols[0], "0.0.0.0:0");
        error = wire_connect_to(&control, address, &stream);
        (void)wire_close(&control);
        return error;
}

static void expect_works(struct wire_session *session) {
        ck_assert_uint_eq(connect_through(session), 0);
}

static uint32_t try_tenant(const struct world *world, const char *name) {
        struct wire wire = wire_connect(world->daemon.socket_path);
        struct wire_session session;
        uint32_t error = wire_hello(&wire, name, &session);

        if (error == 0)
                wire_session_close(&session);
        else
                (void)wire_close(&wire);
        return error;
}

/* ---- which process is which ---- */

/* The last that the log names. */
static pid_t pid_of(const struct world *world, unsigned shard) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);
        const char *found = NULL;
        char text[64];

        (void)snprintf(text, sizeof(text), "shard %u serves, as process ", shard);
        for (const char *p = log; (p = strstr(p, text)); ++p)
                found = p + strlen(text);
        ck_assert_msg(found, "shard %u is not named in the log:\n%s", shard, log);
        return (pid_t)strtol(found, NULL, 10);
}

static unsigned count_log(const struct world *world, const char *text) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);
        unsigned n = 0;

        for (const char *p = log; (p = strstr(p, text)); ++p)
                n++;
        return n;
}

/* Kills a shard, and waits until it serves again. */
static void kill_shard(const struct world *world, unsigned shard) {
        uint64_t start_ms = harness_now_ms();
        char text[64];
        unsigned n;

        (void)snprintf(text, sizeof(text), "shard %u serves, as process ", shard);
        n = count_log(world, text);
        ck_assert_int_eq(kill(pid_of(world, shard), SIGKILL), 0);
        while (count_log(world, text) == n)
                harness_wait_a_moment(start_ms, "a shard to serve again");
}

static void open_all(const struct world *world, struct wire_session sessions[static N_TENANTS]) {
        for (size_t i = 0; i < N_TENANTS; ++i)
                wire_session_open(world->daemon.socket_path, tenants[i].name, &sessions[i]);
}

static void close_all(struct wire_session sessions[static N_TENANTS]) {
        for (size_t i = 0; i < N_TENANTS; ++i)
                wire_session_close(&sessions[i]);
}

/* The session's own channel and its protocol's. */
static void expect_resumed(const struct wire_session *session) {
        restart_expect_resumed(&session->channel);
        restart_expect_resumed(&session->protocols[0]);
}

static void expect_all_work(struct wire_session sessions[static N_TENANTS]) {
        for (size_t i = 0; i < N_TENANTS; ++i)
                expect_works(&sessions[i]);
}

static void expect_all_resumed(struct wire_session sessions[static N_TENANTS]) {
        for (size_t i = 0; i < N_TENANTS; ++i)
                expect_resumed(&sessions[i]);
        expect_all_work(sessions);
}

/* ---- the tests ---- */

START_TEST(each_tenant_is_served) {
        struct wire_session sessions[N_TENANTS];
        struct world world;

        prepare(&world);
        start(&world);
        open_all(&world, sessions);
        expect_all_work(sessions);
        ck_assert_int_ne(pid_of(&world, 1), pid_of(&world, 2));
        ck_assert_uint_eq(try_tenant(&world, "nobody"), NB_WASI_EACCES);
        /* Several fit, and the front sees all of them. */
        ck_assert_uint_eq(try_tenant(&world, ""), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "\"hello\"", "several tenants fit");
        close_all(sessions);
        end(&world);
}
END_TEST

START_TEST(quotas_are_exact) {
        struct wire_session sessions[N_TENANTS], more[2];
        struct world world;

        prepare(&world);
        start(&world);
        open_all(&world, sessions);
        wire_session_open(world.daemon.socket_path, "red", &more[0]);
        wire_session_open(world.daemon.socket_path, "red", &more[1]);
        ck_assert_uint_eq(try_tenant(&world, "red"), NB_WASI_EMFILE);
        ck_assert_uint_eq(try_tenant(&world, "green"), 0);
        ck_assert_uint_eq(try_tenant(&world, "blue"), 0);
        wire_session_close(&more[0]);
        wire_session_close(&more[1]);
        close_all(sessions);
        end(&world);
}
END_TEST

START_TEST(a_tenants_own_socket_leads_to_its_shard) {
        char path[HARNESS_PATH_MAX], rules[2 * HARNESS_PATH_MAX];
        struct wire_session session;
        struct world world;
        struct wire wire;

        prepare(&world);
        ck_assert_int_lt(snprintf(path, sizeof(path), "%s/blue.sock", world.daemon.folder), sizeof(path));
        (void)snprintf(rules, sizeof(rules), "[Tenant]\nName=blue\nSocket=%s\nShard=2\n[Protocol web]\nFamily=ip\n",
                       path);
        daemon_write_policy_file(&world.daemon, "blue.conf", "%sDataPath=direct\n%s", rules, LOOPBACK);
        start(&world);
        wire_session_open(path, "", &session);
        expect_works(&session);
        wire_session_close(&session);
        wire = wire_connect(path);
        ck_assert_uint_eq(wire_hello(&wire, "red", &session), NB_WASI_EACCES);
        (void)wire_close(&wire);
        ck_assert_uint_eq(try_tenant(&world, "blue"), NB_WASI_EACCES);
        end(&world);
}
END_TEST

START_TEST(a_shard_that_is_killed_takes_its_tenants_only) {
        struct wire_session sessions[N_TENANTS], again;
        struct world world;

        prepare(&world);
        start(&world);
        open_all(&world, sessions);
        kill_shard(&world, 1);
        wire_expect_end(&sessions[0].channel);
        wire_expect_end(&sessions[2].channel);
        expect_works(&sessions[1]);
        wire_session_open(world.daemon.socket_path, "red", &again);
        expect_works(&again);
        wire_session_close(&again);
        close_all(sessions);
        end(&world);
}
END_TEST

START_TEST(who_comes_while_a_shard_is_down_waits) {
        struct wire_session session;
        struct world world;
        struct wire wire;

        prepare(&world);
        start(&world);
        wire = wire_connect(world.daemon.socket_path);
        ck_assert_int_eq(kill(pid_of(&world, 1), SIGKILL), 0);
        daemon_expect_log(&world.daemon, "shard 1 has ended");
        ck_assert_uint_eq(wire_hello(&wire, "red", &session), 0);
        expect_works(&session);
        wire_session_close(&session);
        end(&world);
}
END_TEST

/* What is sent to the shard is the frame and more: a frame of the greatest length must not stand before all others' for ever. */
START_TEST(a_hello_that_is_too_long_holds_nobody_up) {
        static const uint8_t token[NB_CHANNEL_MESSAGE_MAX - 64] = { 1 };
        struct wire_session session;
        struct world world;
        struct wire wire;

        prepare(&world);
        start(&world);
        wire = wire_connect(world.daemon.socket_path);
        ck_assert_uint_eq(wire_hello_with(&wire, "red", token, _i == 0 ? sizeof(token) : NB_TOKEN_LENGTH_MAX, &session),
                          NB_WASI_EACCES);
        (void)wire_close(&wire);
        wire_session_open(world.daemon.socket_path, "green", &session);
        expect_works(&session);
        wire_session_close(&session);
        end(&world);
}
END_TEST

START_TEST(with_a_keeper_a_killed_shard_loses_nothing) {
        struct wire_session sessions[N_TENANTS];
        struct world world;

        prepare(&world);
        give_keepers(&world);
        start(&world);
        open_all(&world, sessions);
        kill_shard(&world, 1);
        expect_resumed(&sessions[0]);
        expect_resumed(&sessions[2]);
        wire_expect_silence(&sessions[1].channel);
        expect_all_work(sessions);
        close_all(sessions);
        end(&world);
}
END_TEST

/* By SIGTERM, and by SIGKILL of the front, whose end all others see. */
START_TEST(with_a_keeper_a_restart_loses_nothing) {
        struct wire_session sessions[N_TENANTS];
        struct world world;

        prepare(&world);
        give_keepers(&world);
        start(&world);
        open_all(&world, sessions);
        if (_i == 0)
                daemon_stop(&world.daemon);
        else
                daemon_kill(&world.daemon);
        start(&world);
        expect_all_resumed(sessions);
        close_all(sessions);
        end(&world);
}
END_TEST

/* Red's shard refuses red a session more than there may be, and records it. */
static void refuse_red(const struct world *world, unsigned n_records) {
        struct wire_session sessions[3];
        uint64_t start_ms;

        for (size_t i = 0; i < 3; ++i)
                wire_session_open(world->daemon.socket_path, "red", &sessions[i]);
        ck_assert_uint_eq(try_tenant(world, "red"), NB_WASI_EMFILE);
        for (size_t i = 0; i < 3; ++i)
                wire_session_close(&sessions[i]);
        start_ms = harness_now_ms();
        while (daemon_count_audit(&world->daemon, (const char *const[]){ "\"hello\"", "as many sessions", NULL }) <
               n_records)
                harness_wait_a_moment(start_ms, "a record of the shard's in the audit");
}

/* logrotate(8) tells the process that was started, which is the front. A shard that is started later is no fork of the front. */
START_TEST(an_audit_that_was_rotated_is_every_shards) {
        char before[2 * HARNESS_PATH_MAX];
        struct world world;
        uint64_t start_ms;

        prepare(&world);
        start(&world);
        refuse_red(&world, 1);
        (void)snprintf(before, sizeof(before), "%s.1", world.daemon.audit_path);
        ck_assert_int_eq(rename(world.daemon.audit_path, before), 0);
        ck_assert_int_eq(kill(world.daemon.pid, SIGUSR1), 0);
        start_ms = harness_now_ms();
        while (access(world.daemon.audit_path, F_OK) < 0)
                harness_wait_a_moment(start_ms, "the audit to be made again");
        refuse_red(&world, 1);
        kill_shard(&world, 1);
        refuse_red(&world, 2);
        (void)unlink(before);
        end(&world);
}
END_TEST

START_TEST(another_number_of_shards_is_refused_and_loses_nothing) {
        struct wire_session sessions[N_TENANTS];
        NB_CLEANUP_FREE char *written = NULL;
        struct world world;

        prepare(&world);
        give_keepers(&world);
        start(&world);
        open_all(&world, sessions);
        daemon_stop(&world.daemon);
        ck_assert_int_eq(daemon_run_once(&world.daemon,
                                         (const char *const[]){ "--policy", world.daemon.policy_path, "--socket",
                                                                world.daemon.socket_path, "--keeper",
                                                                world.keepers[0].path, "--shards", "3", NULL },
                                         &written),
                         69);
        ck_assert_msg(strstr(written, "as many --shards as before"), "%s", written);
        start(&world);
        expect_all_resumed(sessions);
        close_all(sessions);
        end(&world);
}
END_TEST

/* @return whether a process has that socket */
static bool has_socket(pid_t pid, int fd) {
        struct stat socket, other;
        char path[64];

        ck_assert_int_eq(fstat(fd, &socket), 0);
        for (int i = 0; i < 64; ++i) {
                (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, i);
                if (stat(path, &other) == 0 && other.st_dev == socket.st_dev && other.st_ino == socket.st_ino)
                        return true;
        }
        return false;
}

/* A shard that had it could accept what is for others. */
START_TEST(systemds_sockets_are_the_fronts_only) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        NB_CLEANUP_FD int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct wire_session session;
        struct world world;

        prepare(&world);
        memcpy(sa.sun_path, world.daemon.socket_path, strlen(world.daemon.socket_path));
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(listener, 8), 0);
        world.options.activation_fd = listener;
        start(&world);
        wire_session_open(world.daemon.socket_path, "red", &session);
        expect_works(&session);
        ck_assert(has_socket(world.daemon.pid, listener));
        ck_assert(!has_socket(pid_of(&world, 1), listener));
        ck_assert(!has_socket(pid_of(&world, 2), listener));
        wire_session_close(&session);
        end(&world);
}
END_TEST

START_TEST(a_reload_is_for_all_or_for_none) {
        struct wire_session sessions[N_TENANTS];
        struct world world;

        prepare(&world);
        start(&world);
        open_all(&world, sessions);
        write_tenant(&world, 0, 1, "Connect=192.0.2.1:*\n");
        daemon_reload(&world.daemon);
        ck_assert_uint_eq(connect_through(&sessions[0]), NB_WASI_EACCES);
        expect_works(&sessions[1]);
        /* Shard 2 cannot have it: a file is not there, which the front does not open. */
        write_tenant(&world, 0, 1, LOOPBACK);
        write_tenant(&world, 1, 2, LOOPBACK "TLS=client\nTLSTrust=/nonexistent/ca.pem\n");
        daemon_reload(&world.daemon);
        daemon_expect_log(&world.daemon, "shard 2: ");
        ck_assert_uint_eq(connect_through(&sessions[0]), NB_WASI_EACCES);
        expect_works(&sessions[1]);
        /* Nobody is moved. */
        write_tenant(&world, 1, 1, LOOPBACK);
        daemon_reload(&world.daemon);
        daemon_expect_log(&world.daemon, "Shard= moves tenant blue from shard 2 to shard 1");
        ck_assert_uint_eq(connect_through(&sessions[0]), NB_WASI_EACCES);
        write_tenant(&world, 1, 2, LOOPBACK);
        daemon_reload(&world.daemon);
        expect_all_work(sessions);
        close_all(sessions);
        end(&world);
}
END_TEST

/* The one that is started again has read what the others have not: they do, too. */
START_TEST(a_shard_that_is_started_again_brings_its_policy_to_all) {
        struct wire_session session;
        struct world world;

        prepare(&world);
        start(&world);
        wire_session_open(world.daemon.socket_path, "blue", &session);
        write_tenant(&world, 1, 2, "Connect=192.0.2.1:*\n");
        kill_shard(&world, 1);
        daemon_expect_log(&world.daemon, " reloaded");
        ck_assert_uint_eq(connect_through(&session), NB_WASI_EACCES);
        wire_session_close(&session);
        end(&world);
}
END_TEST

/* Each shard answers for its own tenants. @return what was written, owned by the caller */
static char *ask_shard(const struct world *world, unsigned shard, int status, const char *verb) {
        char path[HARNESS_PATH_MAX];
        char *written = NULL;

        ck_assert_int_lt(snprintf(path, sizeof(path), "%s/admin.%u", world->daemon.folder, shard), sizeof(path));
        ck_assert_int_eq(operator_run(path, (const char *const[]){ verb, NULL }, &written), status);
        return written;
}

START_TEST(operators_ask_each_shard) {
        NB_CLEANUP_FREE char *first = NULL, *second = NULL, *refused = NULL;
        struct wire_session session;
        char path[HARNESS_PATH_MAX];
        struct world world;

        prepare(&world);
        ck_assert_int_lt(snprintf(path, sizeof(path), "%s/admin", world.daemon.folder), sizeof(path));
        world.arguments[world.n_arguments++] = "--admin-socket";
        world.arguments[world.n_arguments++] = path;
        start(&world);
        wire_session_open(world.daemon.socket_path, "blue", &session);
        first = ask_shard(&world, 1, 0, "tenants");
        ck_assert_msg(strstr(first, "red") && strstr(first, "green") && !strstr(first, "blue"), "%s", first);
        second = ask_shard(&world, 2, 0, "sessions");
        /* Its number says which shard's it is: 2 in the bits from 40 up. */
        ck_assert_msg(strstr(second, "blue") && strstr(second, "2199023255553"), "%s", second);
        refused = ask_shard(&world, 2, 1, "reload");
        ck_assert_msg(strstr(refused, "which reload together"), "%s", refused);
        wire_session_close(&session);
        end(&world);
}
END_TEST

START_TEST(what_only_one_process_can_have_is_refused) {
        static const char *const refused[][2] = { { "--seal", "/nonexistent" }, { "--metrics", "127.0.0.1:0" } };
        struct world world;

        prepare(&world);
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
                NB_CLEANUP_FREE char *written = NULL;
                int status = daemon_run_once(&world.daemon,
                                             (const char *const[]){ "--policy", world.daemon.policy_path, "--socket",
                                                                    world.daemon.socket_path, "--shards", "2",
                                                                    refused[i][0], refused[i][1], NULL },
                                             &written);

                ck_assert_int_ne(status, 0);
                ck_assert_msg(strstr(written, "cannot be used with --shards"), "%s", written);
        }
        daemon_deinit(&world.daemon);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("shards");
        TCase *tcase = tcase_create("shards");

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, each_tenant_is_served);
        tcase_add_test(tcase, quotas_are_exact);
        tcase_add_test(tcase, a_tenants_own_socket_leads_to_its_shard);
        tcase_add_test(tcase, a_shard_that_is_killed_takes_its_tenants_only);
        tcase_add_test(tcase, who_comes_while_a_shard_is_down_waits);
        tcase_add_loop_test(tcase, a_hello_that_is_too_long_holds_nobody_up, 0, 2);
        tcase_add_test(tcase, with_a_keeper_a_killed_shard_loses_nothing);
        tcase_add_loop_test(tcase, with_a_keeper_a_restart_loses_nothing, 0, 2);
        tcase_add_test(tcase, an_audit_that_was_rotated_is_every_shards);
        tcase_add_test(tcase, another_number_of_shards_is_refused_and_loses_nothing);
        tcase_add_test(tcase, systemds_sockets_are_the_fronts_only);
        tcase_add_test(tcase, a_reload_is_for_all_or_for_none);
        tcase_add_test(tcase, a_shard_that_is_started_again_brings_its_policy_to_all);
        tcase_add_test(tcase, operators_ask_each_shard);
        tcase_add_test(tcase, what_only_one_process_can_have_is_refused);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
