/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nb_lockdown() and files: content, what they are besides, and what a host goes on doing with them.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/support/runner.h"
#include "tests/unit/walled.h"

static int open_elsewhere(struct walled *walled) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", walled->hidden);
        return walled_result(openat(AT_FDCWD, path, O_RDONLY));
}

static int open_by_dots(struct walled *walled) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/../hidden/file", walled->readable);
        return walled_result(openat(AT_FDCWD, path, O_RDONLY));
}

static int open_by_symlink(struct walled *walled) {
        char target[128], path[128];

        (void)snprintf(target, sizeof(target), "%s/file", walled->hidden);
        (void)snprintf(path, sizeof(path), "%s/link", walled->writable);
        REQUIRE(symlink(target, path) == 0);
        return walled_result(open(path, O_RDONLY));
}

static int write_to_readable(struct walled *walled) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", walled->readable);
        return walled_result(open(path, O_WRONLY));
}

static int make_unix_socket_file(struct walled *walled) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/socket", walled->writable);
        return walled_result(mknod(path, S_IFSOCK | 0600, 0));
}

/* ---- files beyond their content ---- */

static int change_mode(struct walled *walled) {
        char path[128];

        return walled_result(chmod(walled_hidden_file(walled, path), 0755));
}

static int change_mode_at(struct walled *walled) {
        char path[128];

        return walled_result(fchmodat(AT_FDCWD, walled_hidden_file(walled, path), 0755, 0));
}

/* What is only read can be changed by its descriptor. */
static int change_mode_of_descriptor(struct walled *walled) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/file", walled->readable);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        REQUIRE(fd >= 0);
        return walled_result(fchmod(fd, 0));
}

static int change_owner(struct walled *walled) {
        char path[128];

        return walled_result(chown(walled_hidden_file(walled, path), getuid(), getgid()));
}

static int change_owner_at(struct walled *walled) {
        char path[128];

        return walled_result(
                fchownat(AT_FDCWD, walled_hidden_file(walled, path), getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
}

/* On a socket it is no more than ENOTTY. */
static int change_flags(struct walled *walled) {
        return walled_result(ioctl(walled->tcp, FS_IOC_SETFLAGS, &(int){ 0 }));
}

static int truncate_elsewhere(struct walled *walled) {
        char path[128];

        return walled_result(truncate(walled_hidden_file(walled, path), 0));
}

static const struct escape escapes[] = {
        { "open outside", NULL, open_elsewhere, WORKED, EACCES },
        { "open by ..", NULL, open_by_dots, WORKED, EACCES },
        { "open by a symlink", NULL, open_by_symlink, WORKED, EACCES },
        { "write where reading is granted", NULL, write_to_readable, WORKED, EACCES },
        { "make a socket's file", NULL, make_unix_socket_file, WORKED, EACCES },
        { "chmod", NULL, change_mode, WORKED, EPERM },
        { "fchmodat", NULL, change_mode_at, WORKED, EPERM },
        { "fchmod of what is readable", NULL, change_mode_of_descriptor, WORKED, EPERM },
        { "chown", NULL, change_owner, WORKED, EPERM },
        { "fchownat", NULL, change_owner_at, WORKED, EPERM },
        { "FS_IOC_SETFLAGS", NULL, change_flags, ENOTTY, EPERM },
        { "truncate", NULL, truncate_elsewhere, WORKED, EPERM },
};

START_TEST(escape_works_without_the_walls_and_not_behind_them) {
        walled_check_escape(&escapes[_i]);
}
END_TEST

/* ---- an older kernel ---- */

#ifdef __x86_64__
static void answer_abi(int signal, siginfo_t *info, void *data) {
        ucontext_t *context = data;

        (void)signal;
        (void)info;
        context->uc_mcontext.gregs[REG_RAX] = 2;
}

/* Plays a kernel whose Landlock does not know truncation: its ABI, which is asked for by a flag, is 2. */
static void age_landlock(struct walled *walled) {
        struct sigaction action = { .sa_sigaction = answer_abi, .sa_flags = SA_SIGINFO };
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

        (void)walled;
        REQUIRE(filter && sigaction(SIGSYS, &action, NULL) == 0);
        REQUIRE(seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(landlock_create_ruleset), 1,
                                 SCMP_A2(SCMP_CMP_EQ, 1, 0)) == 0);
        REQUIRE(seccomp_load(filter) == 0);
        seccomp_release(filter);
}

static int open_with(const char *folder, int flags) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/file", folder);
        return walled_result(openat(AT_FDCWD, path, flags | O_CLOEXEC));
}

static int truncate_by_reading(struct walled *walled) {
        return open_with(walled->readable, O_RDONLY | O_TRUNC);
}

static int truncate_by_neither(struct walled *walled) {
        return open_with(walled->readable, O_ACCMODE | O_TRUNC);
}

static int open_by_structure(struct walled *walled) {
        struct {
                uint64_t flags, mode, resolve;
        } how = { O_RDONLY | O_TRUNC, 0, 0 };

        return walled_result(syscall(SYS_openat2, AT_FDCWD, walled->readable, &how, sizeof(how)));
}

static int truncate_by_writing(struct walled *walled) {
        REQUIRE(open_with(walled->readable, O_RDONLY) == WORKED);
        return open_with(walled->writable, O_WRONLY | O_TRUNC);
}

START_TEST(an_older_kernel_truncates_nothing_that_is_read) {
        ck_assert_int_eq(walled_run(age_landlock, truncate_by_reading, false), WORKED);
        ck_assert_int_eq(walled_run(age_landlock, truncate_by_reading, true), EPERM);
        ck_assert_int_eq(walled_run(age_landlock, truncate_by_neither, false), WORKED);
        ck_assert_int_eq(walled_run(age_landlock, truncate_by_neither, true), EPERM);
        ck_assert_int_eq(walled_run(age_landlock, open_by_structure, false), EISDIR);
        ck_assert_int_eq(walled_run(age_landlock, open_by_structure, true), ENOSYS);
        ck_assert_int_eq(walled_run(age_landlock, truncate_by_writing, true), WORKED);
        ck_assert_int_eq(walled_run(NULL, truncate_by_reading, true), EACCES);
        ck_assert_int_eq(walled_run(NULL, truncate_by_neither, true), EACCES);
}
END_TEST
#endif

/* ---- what goes on working ---- */

static int use_files(struct walled *walled) {
        char path[128], other[128];
        struct stat status;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/file", walled->readable);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        MUST(fd >= 0 && read(fd, other, sizeof(other)) == 4);
        close(fd);
        fd = open(walled->readable, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        MUST(fd >= 0);
        close(fd);
        (void)snprintf(path, sizeof(path), "%s/new", walled->writable);
        (void)snprintf(other, sizeof(other), "%s/folder", walled->writable);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        MUST(fd >= 0 && write(fd, "text", 4) == 4 && ftruncate(fd, 2) == 0 && close(fd) == 0);
        MUST(mkdir(other, 0700) == 0 && rmdir(other) == 0);
        MUST(rename(path, other) == 0);
        fd = open(other, O_WRONLY | O_TRUNC | O_CLOEXEC);
        MUST(fd >= 0 && futimens(fd, NULL) == 0 && fstat(fd, &status) == 0 && status.st_size == 0 && close(fd) == 0);
        MUST(unlink(other) == 0);
        return 0;
}

START_TEST(what_a_host_needs_goes_on_working) {
        ck_assert_int_eq(walled_run(NULL, use_files, false), 0);
        ck_assert_int_eq(walled_run(NULL, use_files, true), 0);
}
END_TEST

/* The header says that these are not covered: who needs them is WASI. */
static int touch_elsewhere(struct walled *walled) {
        struct stat status;
        char path[128];

        (void)walled_hidden_file(walled, path);
        REQUIRE(stat(path, &status) == 0 && access(path, R_OK) == 0);
        return walled_result(utimensat(AT_FDCWD, path, NULL, 0));
}

START_TEST(times_and_status_are_the_hole_that_is_documented) {
        ck_assert_int_eq(walled_run(NULL, touch_elsewhere, true), WORKED);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lockdown_files");
        TCase *tcase = tcase_create("files");

        tcase_add_loop_test(tcase, escape_works_without_the_walls_and_not_behind_them, 0,
                            (int)(sizeof(escapes) / sizeof(escapes[0])));
#ifdef __x86_64__
        tcase_add_test(tcase, an_older_kernel_truncates_nothing_that_is_read);
#endif
        tcase_add_test(tcase, what_a_host_needs_goes_on_working);
        tcase_add_test(tcase, times_and_status_are_the_hole_that_is_documented);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
