/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager hears from netbrokerd; the test is the manager.
 */
#include <check.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"

#define MESSAGE_MAX 1024

/* @return false when nothing comes */
static bool receive(const struct scene *scene, char text[static MESSAGE_MAX], int timeout_ms) {
        ssize_t n;

        if (harness_poll(scene->daemon.notify_fd, POLLIN, timeout_ms) == 0)
                return false;
        n = recv(scene->daemon.notify_fd, text, MESSAGE_MAX - 1, 0);
        ck_assert_int_gt(n, 0);
        text[n] = '\0';
        return true;
}

static void expect(const struct scene *scene, const char *part, char text[static MESSAGE_MAX]) {
        do
                ck_assert_msg(receive(scene, text, HARNESS_DEADLINE_MS), "nobody says '%s'", part);
        while (!strstr(text, part));
}

START_TEST(a_sentence_says_how_much_there_is) {
        struct scene scene;
        struct wire control;
        char text[MESSAGE_MAX];

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        expect(&scene, "STATUS=1 tenants; 1 sessions, 0 listeners, 0 connections", text);
        /* Nothing has changed, nothing is said. */
        control = wire_open_control(scene.web, "127.0.0.1:0");
        ck_assert(!receive(&scene, text, 1500));
        (void)wire_listen(&control, 1, text);
        expect(&scene, "STATUS=1 tenants; 1 sessions, 1 listeners, 0 connections", text);
        (void)wire_close(&control);
        expect(&scene, "1 sessions, 0 listeners", text);
        scene_end(&scene);
}
END_TEST

START_TEST(a_reload_is_told_with_its_time) {
        struct scene scene;
        char text[MESSAGE_MAX];
        uint64_t time_us;

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGHUP), 0);
        expect(&scene, "RELOADING=1", text);
        ck_assert_ptr_nonnull(strstr(text, "MONOTONIC_USEC="));
        ck_assert_int_eq(sscanf(strstr(text, "MONOTONIC_USEC="), "MONOTONIC_USEC=%" SCNu64, &time_us), 1);
        ck_assert_uint_le(time_us / 1000, harness_now_ms());
        ck_assert_uint_ge(time_us / 1000 + HARNESS_DEADLINE_MS, harness_now_ms());
        expect(&scene, "READY=1", text);
        daemon_write_policy(&scene.daemon, "[Nonsense]\n");
        ck_assert_int_eq(kill(scene.daemon.pid, SIGHUP), 0);
        expect(&scene, "RELOADING=1", text);
        expect(&scene, "READY=1", text);
        expect(&scene, "the last reload failed", text);
        scene_end(&scene);
}
END_TEST

START_TEST(the_end_is_told) {
        struct scene scene;
        char text[MESSAGE_MAX];

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        wire_session_close(&scene.session);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGTERM), 0);
        expect(&scene, "STOPPING=1", text);
        daemon_expect_end(&scene.daemon);
        daemon_deinit(&scene.daemon);
}
END_TEST

#define WATCHDOG_MS 400

START_TEST(a_broker_that_hangs_is_silent) {
        struct scene scene;
        char text[MESSAGE_MAX];
        uint64_t start;

        ck_assert_int_eq(setenv("WATCHDOG_USEC", "400000", 1), 0);
        scene_start(&scene, NULL, SCENE_LOOPBACK);
        start = harness_now_ms();
        for (int i = 0; i < 5; ++i)
                expect(&scene, "WATCHDOG=1", text);
        /* Twice in its time, and not more: the first came with READY. */
        ck_assert_uint_ge(harness_now_ms() - start + WATCHDOG_MS / 2, 4 * WATCHDOG_MS / 2);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGSTOP), 0);
        while (receive(&scene, text, 3 * WATCHDOG_MS))
                ;
        ck_assert_int_eq(kill(scene.daemon.pid, SIGCONT), 0);
        expect(&scene, "WATCHDOG=1", text);
        scene_end(&scene);
}
END_TEST

START_TEST(the_watchdog_of_another_process_is_not_ours) {
        struct scene scene;
        char text[MESSAGE_MAX];

        ck_assert_int_eq(setenv("WATCHDOG_USEC", "100000", 1), 0);
        ck_assert_int_eq(setenv("WATCHDOG_PID", "1", 1), 0);
        scene_start(&scene, NULL, SCENE_LOOPBACK);
        while (receive(&scene, text, 500))
                ck_assert_ptr_null(strstr(text, "WATCHDOG"));
        scene_end(&scene);
}
END_TEST

/* Its queue is full: guests do not wait for that. */
START_TEST(a_manager_that_does_not_read_holds_up_nobody) {
        struct scene scene;
        uint64_t start;

        /* A word in 10 ms: in between it comes to rest, which the scene waits for. */
        ck_assert_int_eq(setenv("WATCHDOG_USEC", "20000", 1), 0);
        scene_start(&scene, NULL, SCENE_LOOPBACK);
        start = harness_now_ms();
        /* Ten times the queue's length. */
        while (harness_now_ms() - start < 1000)
                wire_settle(scene.web);
        scene_end(&scene);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("notify");
        TCase *tcase = tcase_create("notify");

        tcase_add_test(tcase, a_sentence_says_how_much_there_is);
        tcase_add_test(tcase, a_reload_is_told_with_its_time);
        tcase_add_test(tcase, the_end_is_told);
        tcase_add_test(tcase, a_broker_that_hangs_is_silent);
        tcase_add_test(tcase, the_watchdog_of_another_process_is_not_ours);
        tcase_add_test(tcase, a_manager_that_does_not_read_holds_up_nobody);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
