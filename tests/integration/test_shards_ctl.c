/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerctl and a netbrokerd of several processes (--shards): one view of all, whichever process has what is asked for.
 */
#include <check.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/admin.h"
#include "proto/wasi.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/sharded.h"

/* What the ids of a shard begin above. */
#define FIRST_ID(shard) (((json_int_t)(shard) << 40) + 1)

struct view {
        struct sharded world;
        struct wire_session sessions[SHARDED_TENANTS];
};

static void view_begin(struct view *view) {
        sharded_prepare(&view->world);
        sharded_give_admin_socket(&view->world);
        sharded_start(&view->world);
        sharded_open_all(&view->world, view->sessions);
}

static void view_finish(struct view *view) {
        sharded_close_all(view->sessions);
        sharded_end(&view->world);
}

/* @return what was written, owned by the caller */
static char *run(const struct view *view, int status, const char *const *arguments) {
        char *written = NULL;
        int r = operator_run(view->world.admin_socket, arguments, &written);

        ck_assert_msg(r == status, "%s ended with status %d, and not %d, and wrote:\n%s", arguments[0], r, status,
                      written);
        return written;
}
#define RUN(view, status, ...) run((view), (status), (const char *const[]){ __VA_ARGS__, NULL })

static void expect(const struct view *view, int status, const char *part, const char *const *arguments) {
        NB_CLEANUP_FREE char *written = run(view, status, arguments);

        operator_expect(written, part);
}
#define EXPECT(view, status, part, ...) expect((view), (status), (part), (const char *const[]){ __VA_ARGS__, NULL })

/* One document, and nothing else. @return owned by the caller */
static json_t *ask(const struct view *view, const char *const *arguments) {
        NB_CLEANUP_FREE char *written = run(view, 0, arguments);
        json_t *json = json_loads(written, JSON_REJECT_DUPLICATES, NULL);

        ck_assert_msg(json != NULL, "%s", written);
        return json;
}
#define JSON(view, ...) ask((view), (const char *const[]){ __VA_ARGS__, "--json", NULL })

static json_int_t number(const json_t *object, const char *key) {
        const json_t *value = json_object_get(object, key);

        ck_assert_msg(json_is_integer(value), "no number '%s'", key);
        return json_integer_value(value);
}

static const char *text(const json_t *object, const char *key) {
        const char *value = json_string_value(json_object_get(object, key));

        ck_assert_msg(value != NULL, "no text '%s'", key);
        return value;
}

static const json_t *row_of(const json_t *array, const char *tenant) {
        for (size_t i = 0; i < json_array_size(array); ++i) {
                const json_t *row = json_array_get(array, i);

                if (strcmp(text(row, "tenant"), tenant) == 0)
                        return row;
        }
        ck_abort_msg("no row of %s", tenant);
        return NULL;
}

/* ---- lists ---- */

START_TEST(lists_are_of_all_shards) {
        struct view view;
        json_t *json;

        view_begin(&view);
        json = JSON(&view, "tenants");
        ck_assert_uint_eq(json_array_size(json), SHARDED_TENANTS);
        for (size_t i = 0; i < SHARDED_TENANTS; ++i) {
                const json_t *row = row_of(json, sharded_tenants[i].name);

                ck_assert_int_eq(number(row, "sessions"), 1);
                ck_assert_int_eq(number(row, "shard"), sharded_tenants[i].shard);
        }
        json_decref(json);
        EXPECT(&view, 0, "SHARD\n", "tenants");
        json = JSON(&view, "sessions");
        ck_assert_uint_eq(json_array_size(json), SHARDED_TENANTS);
        /* By their numbers, as one process has them. */
        ck_assert_int_eq(number(json_array_get(json, 0), "session"), FIRST_ID(1));
        ck_assert_int_eq(number(json_array_get(json, 1), "session"), FIRST_ID(1) + 1);
        ck_assert_int_eq(number(json_array_get(json, 2), "session"), FIRST_ID(2));
        json_decref(json);
        EXPECT(&view, 0, "[]\n", "connections", "--json");
        EXPECT(&view, 0, "[]\n", "relays", "--json");
        EXPECT(&view, 0, "[]\n", "certificates", "--json");
        json = JSON(&view, "dump");
        ck_assert_uint_eq(json_array_size(json), SHARDED_TENANTS);
        json_decref(json);
        view_finish(&view);
}
END_TEST

START_TEST(one_tenant_is_asked_of_its_shard) {
        struct view view;
        json_t *json;

        view_begin(&view);
        for (size_t i = 0; i < SHARDED_TENANTS; ++i) {
                const char *name = sharded_tenants[i].name;

                json = JSON(&view, "sessions", "--tenant", name);
                ck_assert_uint_eq(json_array_size(json), 1);
                ck_assert_str_eq(text(json_array_get(json, 0), "tenant"), name);
                json_decref(json);
                json = JSON(&view, "quota", name);
                ck_assert_int_eq(number(json_array_get(json, 0), "used"), 1);
                json_decref(json);
                EXPECT(&view, 0, name, "dump", name);
                EXPECT(&view, 0, "[Protocol web]", "suggest", name);
                EXPECT(&view, 0, "allowed", "explain", name, "web", "connect", "127.0.0.1:80");
                EXPECT(&view, 1, "denied", "explain", name, "web", "connect", "192.0.2.1:80");
        }
        /* Said once, and not by each. */
        EXPECT(&view, 2, "netbrokerctl: there is no tenant 'nobody'; netbrokerctl tenants lists them\n", "quota",
               "nobody");
        EXPECT(&view, 2, "there is no tenant 'nobody'", "explain", "nobody", "web", "connect", "127.0.0.1:80");
        view_finish(&view);
}
END_TEST

/* A reload takes it from the policy, so the front no longer knows whose it is; what it holds is there all the same. */
START_TEST(a_tenant_that_the_policy_no_longer_has_is_found) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct view view;
        struct wire control;
        json_t *json;
        int stream;

        view_begin(&view);
        daemon_write_policy_file(&view.world.daemon, sharded_tenants[1].file,
                                 "[Tenant]\nName=blue\nUser=%u\nShard=2\nExisting=keep\n"
                                 "[Protocol web]\nFamily=ip\nDataPath=direct\n" SHARDED_LOOPBACK,
                                 (unsigned)getuid());
        EXPECT(&view, 0, "reloaded", "reload");
        control = wire_open_control(&view.sessions[1].protocols[0], "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &stream), 0);
        daemon_remove_policy(&view.world.daemon, sharded_tenants[1].file);
        EXPECT(&view, 0, "tenants: 2\n", "reload");
        json = JSON(&view, "connections", "--tenant", "blue");
        ck_assert_uint_eq(json_array_size(json), 1);
        json_decref(json);
        EXPECT(&view, 2, "netbrokerctl: there is no tenant 'blue'", "dump", "blue");
        EXPECT(&view, 0, "left: sessions 0, listeners 0, connections 1\n", "drain", "--tenant", "blue");
        EXPECT(&view, 0, "blue: new sessions are admitted", "undrain", "--tenant", "blue");
        EXPECT(&view, 2, "netbrokerctl: there is no tenant 'nobody'", "drain", "--tenant", "nobody");
        (void)nb_fd_close(stream);
        (void)wire_close(&control);
        peer_close(&peer);
        view_finish(&view);
}
END_TEST

/* ---- status ---- */

START_TEST(status_has_sums_and_a_line_for_each) {
        struct view view;
        const json_t *shards;
        char line[128];
        json_t *json;

        view_begin(&view);
        json = JSON(&view, "status");
        ck_assert_int_eq(number(json, "pid"), view.world.daemon.pid);
        ck_assert_int_eq(number(json_object_get(json, "counts"), "sessions"), SHARDED_TENANTS);
        ck_assert_int_eq(number(json_object_get(json, "policy"), "tenants"), SHARDED_TENANTS);
        shards = json_object_get(json, "shards");
        ck_assert_uint_eq(json_array_size(shards), SHARDED_SHARDS);
        for (unsigned i = 0; i < SHARDED_SHARDS; ++i) {
                const json_t *shard = json_array_get(shards, i), *status = json_object_get(shard, "status");

                ck_assert_int_eq(number(shard, "shard"), i + 1);
                ck_assert_str_eq(text(shard, "state"), "ready");
                ck_assert_int_eq(number(shard, "pid"), sharded_pid(&view.world, i + 1));
                ck_assert_int_eq(number(status, "pid"), sharded_pid(&view.world, i + 1));
                ck_assert_int_eq(number(json_object_get(status, "counts"), "sessions"), i == 0 ? 2 : 1);
        }
        json_decref(json);
        EXPECT(&view, 0, "\nsessions:    3\n", "status");
        (void)snprintf(line, sizeof(line), "\nshard 2:     ready, pid %d, starts: 1, tenants: 1, sessions: 1,",
                       (int)sharded_pid(&view.world, 2));
        EXPECT(&view, 0, line, "status");
        view_finish(&view);
}
END_TEST

/* Only a process that forks relays may: where a service manager starts them that is none, and never the front, which has all that strangers say first. */
START_TEST(the_front_starts_no_program) {
        struct view view;
        json_t *json, *walls;

        sharded_prepare(&view.world);
        sharded_give_admin_socket(&view.world);
        view.world.arguments[view.world.n_arguments++] = "--relay-socket";
        view.world.arguments[view.world.n_arguments++] = "/nobody/serves/it";
        sharded_start(&view.world);
        json = JSON(&view, "status");
        walls = json_object_get(json, "walls");
        ck_assert(json_is_true(json_object_get(walls, "system_calls")));
        ck_assert(json_is_false(json_object_get(walls, "starts_programs")));
        json_decref(json);
        sharded_end(&view.world);
}
END_TEST

/* ---- one that is not there ---- */

/* Stopped, it takes connections and answers nothing; without its socket, not even that. */
START_TEST(one_that_is_not_there_is_said_and_the_others_are_told) {
        NB_CLEANUP_FREE char *written = NULL, *status = NULL;
        char path[2 * HARNESS_PATH_MAX];
        json_t *array;
        struct view view;
        const char *end;

        view_begin(&view);
        (void)snprintf(path, sizeof(path), "%s.1", view.world.admin_socket);
        ck_assert_int_eq(unlink(path), 0);
        written = RUN(&view, 3, "sessions", "--json");
        operator_expect(written, "cannot reach shard 1 at ");
        operator_expect(written, "what it has is missing\n");
        /* What is on standard output is one document all the same. */
        end = strstr(written, "[");
        ck_assert_ptr_nonnull(end);
        array = json_loads(end, JSON_DISABLE_EOF_CHECK, NULL);
        ck_assert_uint_eq(json_array_size(array), 1);
        ck_assert_str_eq(text(json_array_get(array, 0), "tenant"), "blue");
        json_decref(array);
        EXPECT(&view, 0, "blue", "sessions", "--tenant", "blue");
        EXPECT(&view, 3, "cannot reach shard 1", "sessions", "--tenant", "red");
        status = RUN(&view, 3, "status");
        operator_expect(status, "\nsessions:    1\n");
        operator_expect(status, "; it has not answered\n");
        EXPECT(&view, 3, "cannot reach shard 1", "metrics");
        EXPECT(&view, 3, "cannot reach shard 1", "drain", "--wait");
        view_finish(&view);
}
END_TEST

START_TEST(a_shard_that_was_killed_is_asked_again) {
        struct view view;
        json_t *json;

        view_begin(&view);
        sharded_kill(&view.world, 1);
        json = JSON(&view, "sessions");
        ck_assert_uint_eq(json_array_size(json), 1);
        json_decref(json);
        json = JSON(&view, "status");
        ck_assert_int_eq(number(json_array_get(json_object_get(json, "shards"), 0), "starts"), 2);
        json_decref(json);
        view_finish(&view);
}
END_TEST

/* ---- what changes something ---- */

START_TEST(what_has_a_number_is_revoked_where_it_is) {
        struct view view;
        char id[32];

        view_begin(&view);
        (void)snprintf(id, sizeof(id), "%lld", (long long)FIRST_ID(2));
        EXPECT(&view, 0, "sessions concerned: 1", "revoke", "session", id);
        wire_expect_end(&view.sessions[1].channel);
        EXPECT(&view, 1, "there is no session", "revoke", "session", id);
        EXPECT(&view, 1, "netbrokerctl: there is no session 7 any more, or none yet\n", "revoke", "session", "7");
        EXPECT(&view, 0, "sessions concerned: 1", "revoke", "protocol", "green", "web");
        wire_expect_silence(&view.sessions[0].channel);
        view_finish(&view);
}
END_TEST

START_TEST(a_reload_is_asked_of_all_at_once) {
        struct view view;

        view_begin(&view);
        sharded_write_tenant(&view.world, 1, 2, "Connect=192.0.2.1:*\n");
        EXPECT(&view, 0, ", tenants: 3\n", "reload");
        ck_assert_uint_eq(sharded_connect(&view.sessions[1]), NB_WASI_EACCES);
        ck_assert_uint_eq(sharded_connect(&view.sessions[0]), 0);
        sharded_write_tenant(&view.world, 1, 2, "Connect=nonsense\n");
        EXPECT(&view, 1, "not reloaded; the policy before stays in force", "reload");
        EXPECT(&view, 0, "warning:     the last reload failed", "status");
        view_finish(&view);
}
END_TEST

/* Also one that is started again, and has not heard of it, gets no new session. */
START_TEST(all_are_drained) {
        struct wire_session session;
        struct view view;
        struct wire wire;

        view_begin(&view);
        EXPECT(&view, 0, "left: sessions 3, listeners 0, connections 0\n", "drain");
        sharded_kill(&view.world, 1);
        for (size_t i = 0; i < SHARDED_TENANTS; ++i) {
                wire = wire_connect(view.world.daemon.socket_path);
                ck_assert_uint_eq(wire_hello(&wire, sharded_tenants[i].name, &session), NB_WASI_ECONNREFUSED);
                (void)wire_close(&wire);
        }
        sharded_close_all(view.sessions);
        EXPECT(&view, 0, "left: sessions 0, listeners 0, connections 0\n", "drain", "--wait");
        EXPECT(&view, 0, "all tenants: new sessions are admitted", "undrain");
        EXPECT(&view, 0, "red: new sessions are refused", "drain", "--tenant", "red");
        wire_session_open(view.world.daemon.socket_path, "blue", &session);
        wire_session_close(&session);
        wire = wire_connect(view.world.daemon.socket_path);
        ck_assert_uint_eq(wire_hello(&wire, "red", &session), NB_WASI_ECONNREFUSED);
        (void)wire_close(&wire);
        sharded_end(&view.world);
}
END_TEST

START_TEST(the_level_of_the_log_is_every_ones) {
        NB_CLEANUP_FREE char *before = NULL, *after = NULL;
        struct view view;

        view_begin(&view);
        EXPECT(&view, 0, "debug\n", "log-level", "debug");
        before = RUN(&view, 0, "log-level");
        ck_assert_str_eq(before, "debug\n");
        sharded_kill(&view.world, 2);
        after = RUN(&view, 0, "log-level");
        ck_assert_str_eq(after, "front: debug\nshard 1: debug\nshard 2: info\n");
        view_finish(&view);
}
END_TEST

/* ---- metrics ---- */

START_TEST(metrics_are_one_page) {
        NB_CLEANUP_FREE char *page = NULL;
        char path[2 * HARNESS_PATH_MAX];
        struct view view;
        PROCESS process;
        FILE *file;
        int status;

        view_begin(&view);
        page = RUN(&view, 0, "metrics");
        operator_expect(page, "\nnetbroker_policy_tenants{process=\"front\"} 3\n"
                              "netbroker_policy_tenants{process=\"shard-1\"} 2\n"
                              "netbroker_policy_tenants{process=\"shard-2\"} 1\n");
        operator_expect(page, "\nnetbroker_shard_ready{process=\"front\",shard=\"1\"} 1\n");
        operator_expect(page, "\nnetbroker_shard_starts_total{process=\"front\",shard=\"2\"} 1\n");
        for (size_t i = 0; i < SHARDED_TENANTS; ++i) {
                char sample[96];

                (void)snprintf(sample, sizeof(sample), "\nnetbroker_objects{tenant=\"%s\",kind=\"sessions\"} 1\n",
                               sharded_tenants[i].name);
                operator_expect(page, sample);
        }
        (void)snprintf(path, sizeof(path), "%s/page", view.world.daemon.folder);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(page, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        /* It complains of doubled samples, and of families in two pieces. */
        PROCESS_START(&process, "sh", "-c", "exec promtool check metrics <\"$1\"", "sh", path);
        status = process_finish(&process, HARNESS_DEADLINE_MS);
        ck_assert_msg(status == 0 && process.length == 0, "%d: %s", status, process.text);
        ck_assert_int_eq(unlink(path), 0);
        view_finish(&view);
}
END_TEST

/* ---- watch ---- */

static void watch(const struct view *view, struct process *process) {
        PROCESS_START(process, getenv("NETBROKERCTL"), "--admin-socket", view->world.admin_socket, "watch", "--json");
        /* The front's own, and each shard's. */
        for (unsigned i = 0; i <= SHARDED_SHARDS; ++i)
                process_expect(process, "\"watching\":true", HARNESS_DEADLINE_MS);
}

/* The front's, who refuses those that fit nobody, and each shard's. */
START_TEST(all_are_watched_at_once) {
        struct wire_session session;
        struct view view;
        struct wire wire;
        PROCESS process;

        view_begin(&view);
        watch(&view, &process);
        wire = wire_connect(view.world.daemon.socket_path);
        ck_assert_uint_eq(wire_hello(&wire, "nobody", &session), NB_WASI_EACCES);
        (void)wire_close(&wire);
        process_expect(&process, "\"hello\"", HARNESS_DEADLINE_MS);
        ck_assert_uint_eq(sharded_connect(&view.sessions[0]), 0);
        process_expect(&process, "\"tenant\":\"red\"", HARNESS_DEADLINE_MS);
        ck_assert_uint_eq(sharded_connect(&view.sessions[1]), 0);
        process_expect(&process, "\"tenant\":\"blue\"", HARNESS_DEADLINE_MS);
        /* The one that ends is missed, and found again. */
        sharded_kill(&view.world, 1);
        process_expect(&process, "shard 1 has gone away", HARNESS_DEADLINE_MS);
        process_expect(&process, "shard 1 is watched again", HARNESS_DEADLINE_MS);
        wire_session_open(view.world.daemon.socket_path, "green", &session);
        ck_assert_uint_eq(sharded_connect(&session), 0);
        process_expect(&process, "\"tenant\":\"green\"", HARNESS_DEADLINE_MS);
        (void)process_stop(&process);
        wire_session_close(&session);
        view_finish(&view);
}
END_TEST

/* A shard that is there, and says why it has no room: that is said once, and is the end. */
START_TEST(watch_ends_where_a_shard_turns_it_away) {
        static const char reason[] = "too many clients; end one";
        NB_CLEANUP_FREE char *written = NULL;
        int fds[ADMIN_CLIENTS_MAX];
        char path[2 * HARNESS_PATH_MAX];
        struct view view;

        view_begin(&view);
        (void)snprintf(path, sizeof(path), "%s.1", view.world.admin_socket);
        for (size_t i = 0; i < ADMIN_CLIENTS_MAX; ++i)
                fds[i] = peer_unix_connect(NULL, path);
        written = RUN(&view, 1, "watch", "--json");
        ck_assert_msg(harness_count_text(written, reason) == 1, "%s", written);
        ck_assert_msg(!strstr(written, "watched again"), "%s", written);
        nb_fds_close(fds, ADMIN_CLIENTS_MAX);
        view_finish(&view);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("shards_ctl");
        TCase *tcase = tcase_create("shards_ctl");

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, lists_are_of_all_shards);
        tcase_add_test(tcase, one_tenant_is_asked_of_its_shard);
        tcase_add_test(tcase, a_tenant_that_the_policy_no_longer_has_is_found);
        tcase_add_test(tcase, status_has_sums_and_a_line_for_each);
        tcase_add_test(tcase, the_front_starts_no_program);
        tcase_add_test(tcase, one_that_is_not_there_is_said_and_the_others_are_told);
        tcase_add_test(tcase, a_shard_that_was_killed_is_asked_again);
        tcase_add_test(tcase, what_has_a_number_is_revoked_where_it_is);
        tcase_add_test(tcase, a_reload_is_asked_of_all_at_once);
        tcase_add_test(tcase, all_are_drained);
        tcase_add_test(tcase, the_level_of_the_log_is_every_ones);
        tcase_add_test(tcase, metrics_are_one_page);
        tcase_add_test(tcase, all_are_watched_at_once);
        tcase_add_test(tcase, watch_ends_where_a_shard_turns_it_away);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
