/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nb_lockdown() as a call: its options, its results, threads, and kernels that lack something. What the walls keep out is in
 * test_lockdown_sockets.c, test_lockdown_files.c and test_lockdown_processes.c.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netbroker/lockdown.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/walled.h"

/* ---- threads ---- */

struct early_thread {
        int go[2];
        int result;
};

static void *try_socket(void *data) {
        struct early_thread *thread = data;
        char byte;

        REQUIRE(read(thread->go[0], &byte, 1) == 1);
        thread->result = walled_result(socket(AF_INET, SOCK_STREAM, 0));
        return NULL;
}

static int socket_in_early_thread(struct walled *walled, void (*lock)(struct walled *)) {
        struct early_thread thread = { .result = -1 };
        pthread_t id;

        REQUIRE(pipe2(thread.go, O_CLOEXEC) == 0);
        REQUIRE(pthread_create(&id, NULL, try_socket, &thread) == 0);
        lock(walled);
        REQUIRE(write(thread.go[1], "x", 1) == 1);
        REQUIRE(pthread_join(id, NULL) == 0);
        return thread.result;
}

/* Landlock stands around this thread only, so that none of its walls is told of. */
static void lock_down_what_can_be(struct walled *walled) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;
        char path[128];

        options.flags = NB_LOCKDOWN_BEST_EFFORT;
        REQUIRE(nb_lockdown(&options) == NB_WALL_SECCOMP);
        (void)snprintf(path, sizeof(path), "%s/file", walled->hidden);
        REQUIRE(open(path, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
}

/* Nothing has been done when it is refused, and the next call, alone, goes through. */
static void be_busy(struct walled *walled) {
        REQUIRE(walled_lock_down(walled) == -EBUSY);
        REQUIRE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
        REQUIRE(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
}

static int lock_down_beside_thread(struct walled *walled) {
        return socket_in_early_thread(walled, lock_down_what_can_be);
}

static int be_busy_beside_thread(struct walled *walled) {
        int error = socket_in_early_thread(walled, be_busy);

        return error == WORKED && walled_lock_down(walled) < 0 ? SETUP_FAILED : error;
}

START_TEST(threads_that_exist_are_an_error_unless_best_effort) {
        ck_assert_int_eq(walled_run(NULL, be_busy_beside_thread, false), WORKED);
        ck_assert_int_eq(walled_run(NULL, lock_down_beside_thread, false), EPERM);
}
END_TEST

/* ---- options and results ---- */

static int with_options(const struct nb_lockdown_options *options) {
        int walls = nb_lockdown(options);

        return walls < 0 ? -walls : 0;
}

static int with_directory(struct nb_lockdown_directory directory) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        options.directories = &directory;
        options.n_directories = 1;
        return with_options(&options);
}

static int bad_size(struct walled *walled) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)walled;
        options.size--;
        return with_options(&options);
}

static int newer_options(struct walled *walled) {
        struct {
                struct nb_lockdown_options options;
                uint64_t field;
        } newer = { NB_LOCKDOWN_OPTIONS_INIT, 1 };

        (void)walled;
        newer.options.size = sizeof(newer);
        if (with_options(&newer.options) != EINVAL)
                return 1;
        newer.field = 0;
        return with_options(&newer.options);
}

static int bad_flags(struct walled *walled) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)walled;
        options.flags = 0x80;
        return with_options(&options);
}

static int bad_array(struct walled *walled) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)walled;
        options.n_directories = 1;
        return with_options(&options);
}

static int bad_access(struct walled *walled) {
        return with_directory((struct nb_lockdown_directory){ .path = walled->readable });
}

static int no_directory(struct walled *walled) {
        (void)walled;
        return with_directory((struct nb_lockdown_directory){ .path = "/nonexistent", .access = NB_LOCKDOWN_READ });
}

static int no_descriptor(struct walled *walled) {
        (void)walled;
        return with_directory((struct nb_lockdown_directory){ .fd = -1, .access = NB_LOCKDOWN_READ });
}

static int file_as_directory(struct walled *walled) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", walled->readable);
        return with_directory((struct nb_lockdown_directory){ .path = path, .access = NB_LOCKDOWN_READ });
}

static int twice(struct walled *walled) {
        (void)walled;
        return with_options(NULL) ? 1 : with_options(NULL);
}

static const struct {
        int (*attempt)(struct walled *);
        int expected;
} results[] = {
        { bad_size, EINVAL },     { newer_options, 0 },           { bad_flags, EINVAL },
        { bad_array, EINVAL },    { bad_access, EINVAL },         { no_directory, ENOENT },
        { no_descriptor, EBADF }, { file_as_directory, ENOTDIR }, { twice, 0 },
};

START_TEST(options_are_checked) {
        ck_assert_int_eq(walled_run(NULL, results[_i].attempt, false), results[_i].expected);
}
END_TEST

/* Plays a kernel without Landlock. */
static void hide_landlock(struct walled *walled) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        (void)walled;
        REQUIRE(filter);
        REQUIRE(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(landlock_create_ruleset), 0) == 0);
        REQUIRE(seccomp_load(filter) == 0);
        seccomp_release(filter);
}

static int strict(struct walled *walled) {
        (void)walled;
        return with_options(NULL);
}

static int best_effort(struct walled *walled) {
        struct nb_lockdown_options options = NB_LOCKDOWN_OPTIONS_INIT;

        (void)walled;
        options.flags = NB_LOCKDOWN_BEST_EFFORT;
        if (nb_lockdown(&options) != NB_WALL_SECCOMP)
                return 1;
        return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 1;
}

START_TEST(a_kernel_without_landlock_is_an_error_unless_best_effort) {
        ck_assert_int_eq(walled_run(hide_landlock, strict, false), EOPNOTSUPP);
        ck_assert_int_eq(walled_run(hide_landlock, best_effort, false), EPERM);
}
END_TEST

/* Plays a machine where /proc is not mounted, as far as nb_lockdown() looks there. */
static void hide_proc(struct walled *walled) {
        static const int calls_of_stat[] = { SCMP_SYS(stat), SCMP_SYS(newfstatat), SCMP_SYS(statx) };

        (void)walled;
        walled_fail_calls(calls_of_stat, sizeof(calls_of_stat) / sizeof(calls_of_stat[0]), ENOENT);
}

/* And a container that does not let one ask in the other way. */
static void hide_threads(struct walled *walled) {
        hide_proc(walled);
        walled_fail_calls((const int[]){ SCMP_SYS(unshare) }, 1, EPERM);
}

static void *wait_for_end(void *data) {
        char byte;

        (void)!read(*(int *)data, &byte, 1);
        return NULL;
}

static int strict_beside_thread(struct walled *walled) {
        pthread_t thread;
        int ends[2];

        (void)walled;
        REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
        REQUIRE(pthread_create(&thread, NULL, wait_for_end, &ends[0]) == 0);
        return with_options(NULL); /* the thread ends with the process */
}

START_TEST(threads_are_counted_without_proc) {
        ck_assert_int_eq(walled_run(hide_proc, strict, false), WORKED);
        ck_assert_int_eq(walled_run(hide_proc, strict_beside_thread, false), EBUSY);
        ck_assert_int_eq(walled_run(hide_threads, strict, false), EBUSY);
}
END_TEST

static int leak(struct walled *walled) {
        int before = count_fds();

        return walled_lock_down(walled) > 0 && count_fds() == before ? 0 : 1;
}

START_TEST(no_descriptor_is_left_open) {
        ck_assert_int_eq(walled_run(NULL, leak, false), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lockdown");
        TCase *tcase = tcase_create("lockdown");

        tcase_add_test(tcase, threads_that_exist_are_an_error_unless_best_effort);
        tcase_add_loop_test(tcase, options_are_checked, 0, (int)(sizeof(results) / sizeof(results[0])));
        tcase_add_test(tcase, a_kernel_without_landlock_is_an_error_unless_best_effort);
        tcase_add_test(tcase, threads_are_counted_without_proc);
        tcase_add_test(tcase, no_descriptor_is_left_open);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
