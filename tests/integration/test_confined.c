/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walls that netbrokerd raises around itself. That it can do its work within them all the other tests show.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/operator.h"
#include "tests/support/runner.h"

/* A line of /proc/PID/status, without its name. */
static void status_of(const struct scene *scene, const char *name, char *text, size_t size) {
        NB_CLEANUP_FREE char *all = NULL;
        char path[64];
        const char *line;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)scene->daemon.pid);
        all = daemon_read(path);
        line = strstr(all, name);
        ck_assert_ptr_nonnull(line);
        line += strlen(name) + strspn(line + strlen(name), ":\t ");
        (void)snprintf(text, size, "%.*s", (int)strcspn(line, "\n"), line);
}

static void expect_status(const struct scene *scene, const char *name, const char *expected) {
        char text[128];

        status_of(scene, name, text, sizeof(text));
        ck_assert_msg(strcmp(text, expected) == 0, "%s is %s, and not %s", name, text, expected);
}

START_TEST(the_kernel_says_so) {
        struct operator_scene world;
        NB_CLEANUP_FREE char *text = NULL;
        char limits[64], capabilities[64];

        operator_start(&world, SCENE_LOOPBACK, false);
        expect_status(&world.scene, "\nSeccomp", "2");
        expect_status(&world.scene, "\nNoNewPrivs", "1");
        status_of(&world.scene, "\nCapEff", capabilities, sizeof(capabilities));
        /* CAP_NET_BIND_SERVICE, or nothing. */
        ck_assert_int_eq(strtoull(capabilities, NULL, 16) & ~UINT64_C(0x400), 0);
        (void)snprintf(limits, sizeof(limits), "/proc/%d/limits", (int)world.scene.daemon.pid);
        text = daemon_read(limits);
        ck_assert_ptr_nonnull(strstr(text, "Max core file size        0                    0"));
        operator_end(&world);
}
END_TEST

/* What is its own is root's, for who is not dumpable. */
START_TEST(nobody_looks_in) {
        struct scene scene;
        struct stat st;
        char path[64];

        if (geteuid() != 0) {
                (void)fprintf(stderr, "skipped: needs root, to be another user\n");
                return;
        }
        scene_start(&scene, &(const struct daemon_options){ .user = "nobody" }, SCENE_LOOPBACK);
        (void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)scene.daemon.pid);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_uid, 0);
        scene_end(&scene);
}
END_TEST

START_TEST(status_tells_the_walls) {
        struct operator_scene world;
        json_t *status, *walls;

        operator_start(&world, SCENE_LOOPBACK, false);
        status = CTL_JSON(&world, "status");
        walls = json_object_get(status, "walls");
        ck_assert(json_is_true(json_object_get(walls, "system_calls")));
        ck_assert(json_is_true(json_object_get(walls, "hidden")));
        ck_assert(json_is_true(json_object_get(walls, "starts_programs")));
        ck_assert(json_is_true(json_object_get(walls, "files")) || json_is_string(json_object_get(walls, "missing")));
        json_decref(status);
        operator_end(&world);
}
END_TEST

/* Whoever rotates the audit finds the next one made by the broker, and it is the only file that it makes. */
START_TEST(the_audit_can_be_rotated) {
        struct scene scene;
        char old[HARNESS_PATH_MAX + 8];
        uint64_t start_ms = harness_now_ms();

        scene_start(&scene, NULL, SCENE_LOOPBACK);
        (void)snprintf(old, sizeof(old), "%s.1", scene.daemon.audit_path);
        ck_assert_int_eq(rename(scene.daemon.audit_path, old), 0);
        ck_assert_int_eq(kill(scene.daemon.pid, SIGUSR1), 0);
        while (access(scene.daemon.audit_path, F_OK) < 0)
                harness_wait_a_moment(start_ms, "the next audit");
        ck_assert_int_eq(unlink(old), 0);
        scene_end(&scene);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("confined");
        TCase *tcase = tcase_create("confined");

        tcase_add_test(tcase, the_kernel_says_so);
        tcase_add_test(tcase, nobody_looks_in);
        tcase_add_test(tcase, status_tells_the_walls);
        tcase_add_test(tcase, the_audit_can_be_rotated);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
