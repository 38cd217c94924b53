/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerd of several processes (--shards), with the real daemon: three tenants on two shards.
 */
#include <check.h>
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
#include "tests/support/operator.h"
#include "tests/support/runner.h"
#include "tests/support/sharded.h"

/* ---- what a session can do ---- */

static void expect_works(struct wire_session *session) {
        ck_assert_uint_eq(sharded_connect(session), 0);
}

static uint32_t try_tenant(const struct sharded *world, const char *name) {
        struct wire wire = wire_connect(world->daemon.socket_path);
        struct wire_session session;
        uint32_t error = wire_hello(&wire, name, &session);

        if (error == 0)
                wire_session_close(&session);
        else
                (void)wire_close(&wire);
        return error;
}

/* The session's own channel and its protocol's. */
static void expect_resumed(struct wire_session *session) {
        restart_expect_resumed(&session->channel);
        restart_expect_resumed(&session->protocols[0]);
}

static void expect_all_work(struct wire_session sessions[static SHARDED_TENANTS]) {
        for (size_t i = 0; i < SHARDED_TENANTS; ++i)
                expect_works(&sessions[i]);
}

static void expect_all_resumed(struct wire_session sessions[static SHARDED_TENANTS]) {
        for (size_t i = 0; i < SHARDED_TENANTS; ++i)
                expect_resumed(&sessions[i]);
        expect_all_work(sessions);
}

/* ---- the tests ---- */

START_TEST(each_tenant_is_served) {
        struct wire_session sessions[SHARDED_TENANTS];
        struct sharded world;

        sharded_prepare(&world);
        sharded_start(&world);
        sharded_open_all(&world, sessions);
        expect_all_work(sessions);
        ck_assert_int_ne(sharded_pid(&world, 1), sharded_pid(&world, 2));
        ck_assert_uint_eq(try_tenant(&world, "nobody"), NB_WASI_EACCES);
        /* Several fit, and the front sees all of them. */
        ck_assert_uint_eq(try_tenant(&world, ""), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "\"hello\"", "several tenants fit");
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

START_TEST(quotas_are_exact) {
        struct wire_session sessions[SHARDED_TENANTS], more[2];
        struct sharded world;

        sharded_prepare(&world);
        sharded_start(&world);
        sharded_open_all(&world, sessions);
        wire_session_open(world.daemon.socket_path, "red", &more[0]);
        wire_session_open(world.daemon.socket_path, "red", &more[1]);
        ck_assert_uint_eq(try_tenant(&world, "red"), NB_WASI_EMFILE);
        ck_assert_uint_eq(try_tenant(&world, "green"), 0);
        ck_assert_uint_eq(try_tenant(&world, "blue"), 0);
        wire_session_close(&more[0]);
        wire_session_close(&more[1]);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

START_TEST(a_tenants_own_socket_leads_to_its_shard) {
        char path[HARNESS_PATH_MAX], rules[2 * HARNESS_PATH_MAX];
        struct wire_session session;
        struct sharded world;
        struct wire wire;

        sharded_prepare(&world);
        ck_assert_int_lt(snprintf(path, sizeof(path), "%s/blue.sock", world.daemon.folder), sizeof(path));
        (void)snprintf(rules, sizeof(rules), "[Tenant]\nName=blue\nSocket=%s\nShard=2\n[Protocol web]\nFamily=ip\n",
                       path);
        daemon_write_policy_file(&world.daemon, "blue.conf", "%sDataPath=direct\n%s", rules, SHARDED_LOOPBACK);
        sharded_start(&world);
        wire_session_open(path, "", &session);
        expect_works(&session);
        wire_session_close(&session);
        wire = wire_connect(path);
        ck_assert_uint_eq(wire_hello(&wire, "red", &session), NB_WASI_EACCES);
        (void)wire_close(&wire);
        ck_assert_uint_eq(try_tenant(&world, "blue"), NB_WASI_EACCES);
        sharded_end(&world);
}
END_TEST

START_TEST(a_shard_that_is_killed_takes_its_tenants_only) {
        struct wire_session sessions[SHARDED_TENANTS], again;
        struct sharded world;

        sharded_prepare(&world);
        sharded_start(&world);
        sharded_open_all(&world, sessions);
        sharded_kill(&world, 1);
        wire_expect_end(&sessions[0].channel);
        wire_expect_end(&sessions[2].channel);
        expect_works(&sessions[1]);
        wire_session_open(world.daemon.socket_path, "red", &again);
        expect_works(&again);
        wire_session_close(&again);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

/* It is alive to the kernel, and its channel has room: only that it says nothing tells. */
START_TEST(a_shard_that_hangs_is_ended_and_started_again) {
        struct wire_session sessions[SHARDED_TENANTS], again;
        struct sharded world;
        pid_t hung;

        sharded_prepare(&world);
        sharded_start(&world);
        sharded_open_all(&world, sessions);
        hung = sharded_pid(&world, 1);
        ck_assert_int_eq(kill(hung, SIGSTOP), 0);
        daemon_expect_log(&world.daemon, "shard 1 has ended: it does not answer");
        wire_expect_end(&sessions[0].channel);
        wire_session_open(world.daemon.socket_path, "red", &again);
        expect_works(&again);
        expect_works(&sessions[1]);
        ck_assert_int_ne(sharded_pid(&world, 1), hung);
        ck_assert_int_eq(kill(hung, 0), -1);
        wire_session_close(&again);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

START_TEST(who_comes_while_a_shard_is_down_waits) {
        struct wire_session session;
        struct sharded world;
        struct wire wire;

        sharded_prepare(&world);
        sharded_start(&world);
        wire = wire_connect(world.daemon.socket_path);
        ck_assert_int_eq(kill(sharded_pid(&world, 1), SIGKILL), 0);
        daemon_expect_log(&world.daemon, "shard 1 has ended");
        ck_assert_uint_eq(wire_hello(&wire, "red", &session), 0);
        expect_works(&session);
        wire_session_close(&session);
        sharded_end(&world);
}
END_TEST

/* What is sent to the shard is the frame and more: a frame of the greatest length must not stand before all others' for ever. */
START_TEST(a_hello_that_is_too_long_holds_nobody_up) {
        static const uint8_t token[NB_CHANNEL_MESSAGE_MAX - 64] = { 1 };
        struct wire_session session;
        struct sharded world;
        struct wire wire;

        sharded_prepare(&world);
        sharded_start(&world);
        wire = wire_connect(world.daemon.socket_path);
        ck_assert_uint_eq(wire_hello_with(&wire, "red", token, _i == 0 ? sizeof(token) : NB_TOKEN_LENGTH_MAX, &session),
                          NB_WASI_EACCES);
        (void)wire_close(&wire);
        wire_session_open(world.daemon.socket_path, "green", &session);
        expect_works(&session);
        wire_session_close(&session);
        sharded_end(&world);
}
END_TEST

/* Each process has a keeper, each tenant a session. */
static void start_with_keepers(struct sharded *world, struct wire_session sessions[static SHARDED_TENANTS]) {
        sharded_prepare(world);
        sharded_give_keepers(world);
        sharded_start(world);
        sharded_open_all(world, sessions);
}

START_TEST(with_a_keeper_a_killed_shard_loses_nothing) {
        struct wire_session sessions[SHARDED_TENANTS];
        struct sharded world;

        start_with_keepers(&world, sessions);
        sharded_kill(&world, 1);
        expect_resumed(&sessions[0]);
        expect_resumed(&sessions[2]);
        wire_expect_silence(&sessions[1].channel);
        expect_all_work(sessions);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

/* By SIGTERM, and by SIGKILL of the front, whose end all others see. */
START_TEST(with_a_keeper_a_restart_loses_nothing) {
        struct wire_session sessions[SHARDED_TENANTS];
        struct sharded world;

        start_with_keepers(&world, sessions);
        if (_i == 0)
                daemon_stop(&world.daemon);
        else
                daemon_kill(&world.daemon);
        sharded_start(&world);
        expect_all_resumed(sessions);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

/* That another has ended may not have reached the shard yet. */
static void open_when_there_is_room(const struct sharded *world, const char *name, struct wire_session *ret) {
        uint64_t start_ms = harness_now_ms();

        for (;;) {
                struct wire wire = wire_connect(world->daemon.socket_path);
                uint32_t error = wire_hello(&wire, name, ret);

                if (error == 0)
                        return;
                ck_assert_uint_eq(error, NB_WASI_EMFILE);
                (void)wire_close(&wire);
                harness_wait_a_moment(start_ms, "room for a session");
        }
}

/* Red's shard refuses red a session more than there may be, and records it. */
static void refuse_red(const struct sharded *world, unsigned n_records) {
        struct wire_session sessions[3];
        uint64_t start_ms;

        for (size_t i = 0; i < 3; ++i)
                open_when_there_is_room(world, "red", &sessions[i]);
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
        struct sharded world;
        uint64_t start_ms;

        sharded_prepare(&world);
        sharded_start(&world);
        refuse_red(&world, 1);
        (void)snprintf(before, sizeof(before), "%s.1", world.daemon.audit_path);
        ck_assert_int_eq(rename(world.daemon.audit_path, before), 0);
        ck_assert_int_eq(kill(world.daemon.pid, SIGUSR1), 0);
        start_ms = harness_now_ms();
        while (access(world.daemon.audit_path, F_OK) < 0)
                harness_wait_a_moment(start_ms, "the audit to be made again");
        refuse_red(&world, 1);
        sharded_kill(&world, 1);
        refuse_red(&world, 2);
        (void)unlink(before);
        sharded_end(&world);
}
END_TEST

/* A start with keepers, which ends as EX_UNAVAILABLE, and says why. */
static void expect_refused_start(const struct sharded *world, const char *n_shards, const char *why) {
        const char *const arguments[] = {
                "--policy", world->daemon.policy_path, "--socket", world->daemon.socket_path,
                "--keeper", world->keepers[0].path,    "--shards", n_shards,
                NULL,
        };
        NB_CLEANUP_FREE char *written = NULL;

        ck_assert_int_eq(daemon_run_once(&world->daemon, arguments, &written), 69);
        ck_assert_msg(strstr(written, why), "%s", written);
}

START_TEST(another_number_of_shards_is_refused_and_loses_nothing) {
        struct wire_session sessions[SHARDED_TENANTS];
        struct sharded world;

        start_with_keepers(&world, sessions);
        daemon_stop(&world.daemon);
        expect_refused_start(&world, "3", "as many --shards as before");
        sharded_start(&world);
        expect_all_resumed(sessions);
        sharded_close_all(sessions);
        sharded_end(&world);
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
        struct sharded world;

        sharded_prepare(&world);
        memcpy(sa.sun_path, world.daemon.socket_path, strlen(world.daemon.socket_path));
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(listener, 8), 0);
        world.options.activation_fd = listener;
        sharded_start(&world);
        wire_session_open(world.daemon.socket_path, "red", &session);
        expect_works(&session);
        ck_assert(has_socket(world.daemon.pid, listener));
        ck_assert(!has_socket(sharded_pid(&world, 1), listener));
        ck_assert(!has_socket(sharded_pid(&world, 2), listener));
        wire_session_close(&session);
        sharded_end(&world);
}
END_TEST

START_TEST(a_reload_is_for_all_or_for_none) {
        struct wire_session sessions[SHARDED_TENANTS];
        struct sharded world;

        sharded_prepare(&world);
        sharded_start(&world);
        sharded_open_all(&world, sessions);
        sharded_write_tenant(&world, 0, 1, "Connect=192.0.2.1:*\n");
        daemon_reload(&world.daemon);
        ck_assert_uint_eq(sharded_connect(&sessions[0]), NB_WASI_EACCES);
        expect_works(&sessions[1]);
        /* Shard 2 cannot have it: a file is not there, which the front does not open. */
        sharded_write_tenant(&world, 0, 1, SHARDED_LOOPBACK);
        sharded_write_tenant(&world, 1, 2, SHARDED_LOOPBACK "TLS=client\nTLSTrust=/nonexistent/ca.pem\n");
        daemon_reload(&world.daemon);
        daemon_expect_log(&world.daemon, "shard 2: ");
        ck_assert_uint_eq(sharded_connect(&sessions[0]), NB_WASI_EACCES);
        expect_works(&sessions[1]);
        /* Nobody is moved. */
        sharded_write_tenant(&world, 1, 1, SHARDED_LOOPBACK);
        daemon_reload(&world.daemon);
        daemon_expect_log(&world.daemon, "Shard= moves tenant blue from shard 2 to shard 1");
        ck_assert_uint_eq(sharded_connect(&sessions[0]), NB_WASI_EACCES);
        sharded_write_tenant(&world, 1, 2, SHARDED_LOOPBACK);
        daemon_reload(&world.daemon);
        expect_all_work(sessions);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

/* ---- Shard= of a tenant that is served ---- */

static void write_blue(const struct sharded *world, unsigned shard, const char *existing) {
        daemon_write_policy_file(&world->daemon, sharded_tenants[1].file,
                                 "[Tenant]\nName=blue\nUser=%u\nShard=%u\nExisting=%s\n"
                                 "[Protocol web]\nFamily=ip\nDataPath=direct\n" SHARDED_LOOPBACK,
                                 (unsigned)getuid(), shard, existing);
}

static const char *const existing_values[] = { "keep", "close" };

/* What it has is of its shard, and would end: that is refused, whatever is said of what is open, and also of one that has nothing open. */
START_TEST(no_reload_moves_a_tenant) {
        struct wire_session sessions[SHARDED_TENANTS];
        NB_CLEANUP_FREE char *written = NULL;
        struct sharded world;

        sharded_prepare(&world);
        sharded_give_admin_socket(&world);
        write_blue(&world, 2, existing_values[_i]);
        sharded_start(&world);
        sharded_open_all(&world, sessions);
        write_blue(&world, 1, existing_values[_i]);
        ck_assert_int_eq(operator_run(world.admin_socket, (const char *const[]){ "reload", NULL }, &written), 1);
        operator_expect(written, "Shard= moves tenant blue from shard 2 to shard 1");
        expect_all_work(sessions);
        sharded_close_all(sessions);
        ck_assert_int_eq(operator_run(world.admin_socket, (const char *const[]){ "reload", NULL }, NULL), 1);
        ck_assert_uint_eq(try_tenant(&world, "blue"), 0);
        sharded_end(&world);
}
END_TEST

static void expect_counted_once(const struct sharded *world) {
        static const char sample[] = "\nnetbroker_objects{tenant=\"blue\",kind=\"sessions\"} ";
        NB_CLEANUP_FREE char *page = NULL;
        const char *found;

        ck_assert_int_eq(operator_run(world->admin_socket, (const char *const[]){ "metrics", NULL }, &page), 0);
        found = strstr(page, sample);
        ck_assert_ptr_nonnull(found);
        ck_assert_msg(!strstr(found + 1, sample), "%s", page);
}

/* By a reload without it, which ends its sessions, and one that has it again; but not while its shard has connections of it, which count there. */
START_TEST(a_tenant_is_moved_by_two_reloads) {
        struct wire_session sessions[SHARDED_TENANTS], moved;
        NB_CLEANUP_FREE char *written = NULL;
        NB_CLEANUP_FD int held = -1;
        struct sharded world;
        uint64_t start_ms;

        sharded_prepare(&world);
        sharded_give_admin_socket(&world);
        write_blue(&world, 2, existing_values[_i]);
        sharded_start(&world);
        sharded_open_all(&world, sessions);
        ck_assert_uint_eq(sharded_connect_and_hold(&sessions[1], &held), 0);
        daemon_remove_policy(&world.daemon, sharded_tenants[1].file);
        daemon_reload(&world.daemon);
        wire_expect_end(&sessions[1].channel);
        ck_assert_uint_ne(try_tenant(&world, "blue"), 0);
        write_blue(&world, 1, existing_values[_i]);
        ck_assert_int_eq(operator_run(world.admin_socket, (const char *const[]){ "reload", NULL }, &written), 1);
        operator_expect(written, "shard 2: connections of tenant blue live on here");
        held = nb_fd_close(held);
        /* The kernel tells that it is closed, some time. */
        start_ms = harness_now_ms();
        for (daemon_reload(&world.daemon); try_tenant(&world, "blue") != 0; daemon_reload(&world.daemon))
                harness_wait_a_moment(start_ms, "a reload to pass");
        wire_session_open(world.daemon.socket_path, "blue", &moved);
        expect_works(&moved);
        expect_counted_once(&world);
        wire_session_close(&moved);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

/* A restart that would move it is refused, too, and what it has is there for the next. */
START_TEST(a_restart_moves_no_tenant_that_has_sessions) {
        struct wire_session sessions[SHARDED_TENANTS];
        struct sharded world;

        start_with_keepers(&world, sessions);
        daemon_stop(&world.daemon);
        sharded_write_tenant(&world, 1, 1, SHARDED_LOOPBACK);
        expect_refused_start(&world, "2", "sessions of tenant blue, which another shard serves now");
        sharded_write_tenant(&world, 1, 2, SHARDED_LOOPBACK);
        sharded_start(&world);
        /* Those of the other shard may have been resumed by the start that failed, too. */
        expect_resumed(&sessions[1]);
        expect_works(&sessions[1]);
        sharded_close_all(sessions);
        sharded_end(&world);
}
END_TEST

/* The one that is started again has read what the others have not: they do, too. */
START_TEST(a_shard_that_is_started_again_brings_its_policy_to_all) {
        struct wire_session session;
        struct sharded world;

        sharded_prepare(&world);
        sharded_start(&world);
        wire_session_open(world.daemon.socket_path, "blue", &session);
        sharded_write_tenant(&world, 1, 2, "Connect=192.0.2.1:*\n");
        sharded_kill(&world, 1);
        daemon_expect_log(&world.daemon, " reloaded");
        ck_assert_uint_eq(sharded_connect(&session), NB_WASI_EACCES);
        wire_session_close(&session);
        sharded_end(&world);
}
END_TEST

/* Each shard answers for its own tenants. @return what was written, owned by the caller */
static char *ask_shard(const struct sharded *world, unsigned shard, int status, const char *verb) {
        char path[HARNESS_PATH_MAX];
        char *written = NULL;

        ck_assert_int_lt(snprintf(path, sizeof(path), "%s.%u", world->admin_socket, shard), sizeof(path));
        ck_assert_int_eq(operator_run(path, (const char *const[]){ verb, NULL }, &written), status);
        return written;
}

START_TEST(operators_ask_each_shard) {
        NB_CLEANUP_FREE char *first = NULL, *second = NULL, *refused = NULL;
        struct wire_session session;
        struct sharded world;

        sharded_prepare(&world);
        sharded_give_admin_socket(&world);
        sharded_start(&world);
        wire_session_open(world.daemon.socket_path, "blue", &session);
        first = ask_shard(&world, 1, 0, "tenants");
        ck_assert_msg(strstr(first, "red") && strstr(first, "green") && !strstr(first, "blue"), "%s", first);
        second = ask_shard(&world, 2, 0, "sessions");
        /* Its number says which shard's it is: 2 in the bits from 40 up. */
        ck_assert_msg(strstr(second, "blue") && strstr(second, "2199023255553"), "%s", second);
        refused = ask_shard(&world, 2, 1, "reload");
        ck_assert_msg(strstr(refused, "which reload together"), "%s", refused);
        wire_session_close(&session);
        sharded_end(&world);
}
END_TEST

static void expect_in_status(pid_t pid, const char *line) {
        NB_CLEANUP_FREE char *text = NULL;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        text = daemon_read(path);
        ck_assert_msg(strstr(text, line), "process %d lacks%sin:\n%s", (int)pid, line, text);
}

/* That for ports below 1024 comes through the execution of a shard, and goes no further; also to one that is started again. */
START_TEST(a_shard_has_one_capability) {
        struct sharded world;

        if (geteuid() != 0) {
                (void)fprintf(stderr, "skipped: needs root, to have capabilities\n");
                return;
        }
        sharded_prepare(&world);
        world.options.user = _i == 0 ? "nobody" : NULL;
        sharded_start(&world);
        sharded_kill(&world, 2);
        for (unsigned shard = 1; shard <= SHARDED_SHARDS; ++shard) {
                expect_in_status(sharded_pid(&world, shard), "\nCapPrm:\t0000000000000400\n");
                expect_in_status(sharded_pid(&world, shard), "\nCapEff:\t0000000000000400\n");
                expect_in_status(sharded_pid(&world, shard), "\nCapInh:\t0000000000000000\n");
                expect_in_status(sharded_pid(&world, shard), "\nCapAmb:\t0000000000000000\n");
                expect_in_status(sharded_pid(&world, shard), "\nNoNewPrivs:\t1\n");
        }
        sharded_end(&world);
}
END_TEST

START_TEST(what_only_one_process_can_have_is_refused) {
        static const char *const refused[][2] = { { "--seal", "/nonexistent" }, { "--metrics", "127.0.0.1:0" } };
        struct sharded world;

        sharded_prepare(&world);
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
        tcase_add_test(tcase, a_shard_that_hangs_is_ended_and_started_again);
        tcase_add_test(tcase, who_comes_while_a_shard_is_down_waits);
        tcase_add_loop_test(tcase, a_hello_that_is_too_long_holds_nobody_up, 0, 2);
        tcase_add_test(tcase, with_a_keeper_a_killed_shard_loses_nothing);
        tcase_add_loop_test(tcase, with_a_keeper_a_restart_loses_nothing, 0, 2);
        tcase_add_test(tcase, an_audit_that_was_rotated_is_every_shards);
        tcase_add_test(tcase, another_number_of_shards_is_refused_and_loses_nothing);
        tcase_add_test(tcase, systemds_sockets_are_the_fronts_only);
        tcase_add_test(tcase, a_reload_is_for_all_or_for_none);
        tcase_add_loop_test(tcase, no_reload_moves_a_tenant, 0, 2);
        tcase_add_loop_test(tcase, a_tenant_is_moved_by_two_reloads, 0, 2);
        tcase_add_test(tcase, a_restart_moves_no_tenant_that_has_sessions);
        tcase_add_test(tcase, a_shard_that_is_started_again_brings_its_policy_to_all);
        tcase_add_test(tcase, operators_ask_each_shard);
        tcase_add_loop_test(tcase, a_shard_has_one_capability, 0, 2);
        tcase_add_test(tcase, what_only_one_process_can_have_is_refused);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
