/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process can do no more behind the broker's walls: each attempt in a child of its own.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sanitized.h"
#include "broker/confine.h"
#include "confine/landlock.h"
#include "tests/support/runner.h"

/* How an attempt ends. */
enum { DONE = 0, REFUSED = 1, OTHERWISE = 2, NOT_CONFINED = 3 };

/* Of one test. */
struct place {
        char folder[40];
        char audit[64];
        char elsewhere[64]; /* in another folder */
        char socket_path[64];
};

static void place_init(struct place *place) {
        *place = (struct place){ .folder = "/tmp/netbroker-confine-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(place->folder));
        (void)snprintf(place->audit, sizeof(place->audit), "%s/audit", place->folder);
        (void)snprintf(place->elsewhere, sizeof(place->elsewhere), "%s.file", place->folder);
        (void)snprintf(place->socket_path, sizeof(place->socket_path), "%s/socket", place->folder);
}

static void place_deinit(const struct place *place) {
        (void)unlink(place->audit);
        ck_assert_int_eq(rmdir(place->folder), 0);
}

static int verdict(long r) {
        if (r >= 0)
                return DONE;
        return errno == EPERM || errno == EACCES ? REFUSED : OTHERWISE;
}

/* @return how it ended; a call that ends the process is refused, too: so it is where sanitizers watch */
static int attempt(const struct place *place, const char *program, int (*function)(const struct place *place)) {
        int status;
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                const struct broker_needs needs = { .audit = place->audit, .relay_program = program };
                struct broker_walls walls;
                struct nb_log log;

                nb_log_init(&log, "test", NB_LOG_WARNING);
                (void)prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
                if (confine_broker(&log, &needs, &walls) < 0)
                        _exit(NOT_CONFINED);
                _exit(walls.calls && walls.hidden ? function(place) : NOT_CONFINED);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
                return REFUSED;
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int try_execute(const struct place *place) {
        char program[] = "/bin/true", *const arguments[] = { program, NULL };

        (void)place;
        (void)execv(program, arguments);
        return verdict(-1);
}

static int try_trace(const struct place *place) {
        (void)place;
        return verdict(syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL));
}

static int try_namespace(const struct place *place) {
        (void)place;
        return verdict(unshare(CLONE_NEWUSER));
}

static int try_packets(const struct place *place) {
        (void)place;
        return verdict(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int try_bpf(const struct place *place) {
        char attributes[128] = { 0 };

        /* BPF_PROG_LOAD. */
        (void)place;
        return verdict(syscall(SYS_bpf, 5, attributes, sizeof(attributes)));
}

static int try_io_uring(const struct place *place) {
        char parameters[256] = { 0 };

        (void)place;
        return verdict(syscall(SYS_io_uring_setup, 1, parameters));
}

static int try_to_make_a_file(const struct place *place) {
        return verdict(open(place->elsewhere, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int try_to_write_a_file(const struct place *place) {
        (void)place;
        return verdict(open("/etc/hostname", O_WRONLY | O_CLOEXEC));
}

static int make_the_audit(const struct place *place) {
        return verdict(open(place->audit, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
}

static int read_a_file(const struct place *place) {
        (void)place;
        return verdict(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int make_a_socket(const struct place *place) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, place->socket_path, strlen(place->socket_path));
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return verdict(-1);
        return verdict(unlink(place->socket_path));
}

START_TEST(what_it_does_not_need_is_refused) {
        struct place place;

        place_init(&place);
        ck_assert_int_eq(attempt(&place, NULL, try_execute), REFUSED);
        ck_assert_int_eq(attempt(&place, NULL, try_namespace), REFUSED);
        ck_assert_int_eq(attempt(&place, NULL, try_packets), REFUSED);
        ck_assert_int_eq(attempt(&place, NULL, try_bpf), REFUSED);
        ck_assert_int_eq(attempt(&place, NULL, try_io_uring), REFUSED);
        place_deinit(&place);
}
END_TEST

/* Sanitizers need that call themselves. */
START_TEST(it_does_not_trace) {
        struct place place;

        place_init(&place);
        ck_assert_int_eq(attempt(&place, NULL, try_trace), NB_SANITIZED ? DONE : REFUSED);
        place_deinit(&place);
}
END_TEST

START_TEST(files_are_read_only) {
        struct place place;

        if (confine_landlock_abi() < 1) {
                (void)fprintf(stderr, "skipped: the kernel has no Landlock\n");
                return;
        }
        place_init(&place);
        ck_assert_int_eq(attempt(&place, NULL, try_to_make_a_file), REFUSED);
        ck_assert_int_eq(attempt(&place, NULL, try_to_write_a_file), REFUSED);
        ck_assert_int_eq(attempt(&place, NULL, make_the_audit), DONE);
        ck_assert_int_eq(attempt(&place, NULL, read_a_file), DONE);
        ck_assert_int_eq(attempt(&place, NULL, make_a_socket), DONE);
        place_deinit(&place);
}
END_TEST

START_TEST(one_program_can_be_started) {
        struct place place;

        if (confine_landlock_abi() < 1) {
                (void)fprintf(stderr, "skipped: the kernel has no Landlock\n");
                return;
        }
        place_init(&place);
        ck_assert_int_eq(attempt(&place, "/bin/true", try_execute), DONE);
        ck_assert_int_eq(attempt(&place, "/bin/false", try_execute), REFUSED);
        ck_assert_int_eq(attempt(&place, "/nonexistent", try_execute), REFUSED);
        place_deinit(&place);
}
END_TEST

/* In a child, for a limit. */
static _Noreturn void raise_without_descriptors(void) {
        const struct broker_needs needs = { .audit = "/tmp/audit" };
        const struct rlimit none = { 0 };
        struct broker_walls walls;
        struct nb_log log;

        nb_log_init(&log, "test", NB_LOG_ERROR);
        if (setrlimit(RLIMIT_NOFILE, &none) < 0)
                _exit(OTHERWISE);
        _exit(confine_broker(&log, &needs, &walls) == -EMFILE ? REFUSED : DONE);
}

START_TEST(a_wall_is_not_left_out_for_want_of_descriptors) {
        int status;
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                raise_without_descriptors();
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), REFUSED);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("broker_confine");
        TCase *tcase = tcase_create("broker_confine");

        tcase_add_test(tcase, what_it_does_not_need_is_refused);
        tcase_add_test(tcase, it_does_not_trace);
        tcase_add_test(tcase, files_are_read_only);
        tcase_add_test(tcase, one_program_can_be_started);
        tcase_add_test(tcase, a_wall_is_not_left_out_for_want_of_descriptors);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
