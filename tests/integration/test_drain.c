/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerctl drain and undrain, with the real daemon.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "tests/support/operator.h"
#include "tests/support/runner.h"

#define RULES SCENE_LOOPBACK

/* Runs it, and wants a status and a part of what it writes. */
static void expect(const struct operator_scene *world, int status, const char *part, const char *const *arguments) {
        NB_CLEANUP_FREE char *written = NULL;
        int r = operator_run(world->admin_socket, arguments, &written);

        ck_assert_msg(r == status, "%s ended with status %d, and not %d, and wrote:\n%s", arguments[0], r, status,
                      written);
        operator_expect(written, part);
}
#define EXPECT(world, status, part, ...) expect((world), (status), (part), (const char *const[]){ __VA_ARGS__, NULL })

static uint32_t try_session(const struct operator_scene *world) {
        struct wire wire = wire_connect(world->scene.daemon.socket_path);
        struct wire_session session;
        uint32_t error = wire_hello(&wire, "acme", &session);

        if (error == 0)
                wire_session_close(&session);
        else
                (void)wire_close(&wire);
        return error;
}

START_TEST(sessions_are_refused_and_the_rest_goes_on) {
        struct operator_scene world;

        operator_start(&world, RULES, false);
        EXPECT(&world, 0, "left: sessions 1, listeners 0, connections 0", "drain");
        ck_assert_uint_eq(try_session(&world), NB_WASI_ECONNREFUSED);
        daemon_expect_audit(&world.scene.daemon, "\"hello\"", "\"denied\"", "an operator drains this broker");
        EXPECT(&world, 0, "an operator drains this broker", "status");
        EXPECT(&world, 0, "netbroker_draining 1", "metrics");
        wire_settle(world.scene.web);
        daemon_reload(&world.scene.daemon);
        ck_assert_uint_eq(try_session(&world), NB_WASI_ECONNREFUSED);
        EXPECT(&world, 0, "all tenants: new sessions are admitted", "undrain");
        ck_assert_uint_eq(try_session(&world), 0);
        EXPECT(&world, 0, "netbroker_draining 0", "metrics");
        scene_expect_baseline(&world.scene);
        operator_end(&world);
}
END_TEST

START_TEST(one_tenant_is_drained) {
        struct operator_scene world;

        operator_start(&world, RULES, false);
        EXPECT(&world, 2, "nobody", "drain", "--tenant", "nobody");
        EXPECT(&world, 0, "acme: new sessions are refused", "drain", "--tenant", "acme");
        EXPECT(&world, 0, "acme: new sessions are refused", "drain", "--tenant", "acme");
        EXPECT(&world, 0, "the tenant acme: new sessions are refused", "status");
        EXPECT(&world, 0, "netbroker_draining_tenants 1", "metrics");
        ck_assert_uint_eq(try_session(&world), NB_WASI_ECONNREFUSED);
        EXPECT(&world, 0, "new sessions are refused", "drain");
        EXPECT(&world, 0, "netbrokerctl undrain", "undrain", "--tenant", "acme");
        ck_assert_uint_eq(try_session(&world), NB_WASI_ECONNREFUSED);
        EXPECT(&world, 0, "admitted", "undrain");
        ck_assert_uint_eq(try_session(&world), 0);
        EXPECT(&world, 0, "refused", "drain", "--tenant", "acme");
        EXPECT(&world, 0, "admitted", "undrain", "--tenant", "acme");
        ck_assert_uint_eq(try_session(&world), 0);
        EXPECT(&world, 2, "--wait", "undrain", "--wait");
        operator_end(&world);
}
END_TEST

START_TEST(waiting_ends_when_nothing_is_left) {
        const char *program = getenv("NETBROKERCTL");
        struct operator_scene world;
        struct process ctl;

        operator_start(&world, RULES, false);
        PROCESS_START(&ctl, program, "--admin-socket", world.admin_socket, "drain", "--wait");
        /* It waits once this is said. */
        daemon_expect_log(&world.scene.daemon, "drains: new sessions are refused");
        wire_settle(world.scene.web);
        wire_session_close(&world.scene.session);
        ck_assert_int_eq(process_finish(&ctl, HARNESS_DEADLINE_MS), 0);
        operator_expect(ctl.text, "left: sessions 0, listeners 0, connections 0");
        process_deinit(&ctl);
        EXPECT(&world, 0, "left: sessions 0, listeners 0, connections 0", "drain", "--wait", "--tenant", "acme");
        daemon_stop(&world.scene.daemon);
        daemon_deinit(&world.scene.daemon);
        ck_assert_int_eq(rmdir(world.folder), 0);
}
END_TEST

START_TEST(waiting_ends_with_draining) {
        const char *program = getenv("NETBROKERCTL");
        struct operator_scene world;
        struct process ctl;

        operator_start(&world, RULES, false);
        PROCESS_START(&ctl, program, "--admin-socket", world.admin_socket, "drain", "--wait");
        daemon_expect_log(&world.scene.daemon, "drains: new sessions are refused");
        EXPECT(&world, 0, "admitted", "undrain");
        ck_assert_int_eq(process_finish(&ctl, HARNESS_DEADLINE_MS), 1);
        operator_expect(ctl.text, "ended meanwhile");
        process_deinit(&ctl);
        /* One that goes away while it waits leaves nothing. */
        PROCESS_START(&ctl, program, "--admin-socket", world.admin_socket, "drain", "--wait");
        while (try_session(&world) == 0)
                ;
        ck_assert_int_eq(kill(ctl.pid, SIGKILL), 0);
        ck_assert_int_eq(process_finish(&ctl, HARNESS_DEADLINE_MS), 128 + SIGKILL);
        process_deinit(&ctl);
        EXPECT(&world, 0, "admitted", "undrain");
        scene_expect_baseline(&world.scene);
        operator_end(&world);
}
END_TEST

START_TEST(draining_outlives_a_broker) {
        const char *program = getenv("NETBROKER_KEEPER");
        uint64_t start_ms = harness_now_ms();
        struct operator_scene world = { .folder = "/tmp/netbroker-drain-XXXXXX" };
        struct process keeper;
        char path[64];
        const char *arguments[] = { "--admin-socket", world.admin_socket, "--keeper", path, NULL };
        const struct daemon_options options = { .arguments = arguments };

        ck_assert_ptr_nonnull(mkdtemp(world.folder));
        (void)snprintf(path, sizeof(path), "%s/keeper", world.folder);
        (void)snprintf(world.admin_socket, sizeof(world.admin_socket), "%s/admin", world.folder);
        PROCESS_START(&keeper, program, "--socket", path);
        while (access(path, F_OK) < 0)
                harness_wait_a_moment(start_ms, "netbroker-keeper");
        daemon_init(&world.scene.daemon);
        scene_write_policy(&world.scene, RULES);
        daemon_start(&world.scene.daemon, &options);
        EXPECT(&world, 0, "keeper:      ready", "status");
        EXPECT(&world, 0, "refused", "drain");
        EXPECT(&world, 0, "refused", "drain", "--tenant", "acme");
        daemon_stop(&world.scene.daemon);

        daemon_start(&world.scene.daemon, &options);
        EXPECT(&world, 0, "netbroker_draining 1", "metrics");
        EXPECT(&world, 0, "netbroker_draining_tenants 1", "metrics");
        ck_assert_uint_eq(try_session(&world), NB_WASI_ECONNREFUSED);
        EXPECT(&world, 0, "admitted", "undrain");
        daemon_stop(&world.scene.daemon);

        daemon_start(&world.scene.daemon, &options);
        ck_assert_uint_eq(try_session(&world), 0);
        daemon_stop(&world.scene.daemon);
        (void)process_stop(&keeper);
        process_deinit(&keeper);
        daemon_deinit(&world.scene.daemon);
        (void)unlink(path);
        (void)unlink(world.admin_socket);
        ck_assert_int_eq(rmdir(world.folder), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("drain");
        TCase *tcase = tcase_create("drain");

        tcase_add_test(tcase, sessions_are_refused_and_the_rest_goes_on);
        tcase_add_test(tcase, one_tenant_is_drained);
        tcase_add_test(tcase, waiting_ends_when_nothing_is_left);
        tcase_add_test(tcase, waiting_ends_with_draining);
        tcase_add_test(tcase, draining_outlives_a_broker);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
