/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that ends itself by a signal says so, and ends by that signal.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/last_words.h"
#include "tests/support/runner.h"

/* What the child does not get back to. */
#define GONE_ON 77

static void keep_handler(int number) {
        (void)number;
        _exit(GONE_ON);
}

static _Noreturn void end(int number, bool has_handler, int output) {
        if (dup2(output, STDERR_FILENO) < 0)
                _exit(126);
        (void)signal(number, has_handler ? keep_handler : SIG_DFL);
        nb_last_words();
        errno = ENOMEM;
        if (number == SIGABRT)
                abort();
        (void)raise(number);
        _exit(GONE_ON);
}

/* @return the wait status. @param ret  what it has said, with a NUL */
static int end_by(int number, bool has_handler, char *ret, size_t size) {
        NB_CLEANUP_FD int in = -1, out = -1;
        int ends[2], status;
        ssize_t n;
        pid_t pid;

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        in = ends[0];
        out = ends[1];
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                end(number, has_handler, out);
        out = nb_fd_close(out);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        n = read(in, ret, size - 1);
        ck_assert_int_ge(n, 0);
        ret[n] = '\0';
        return status;
}

static const struct {
        int number;
        const char *text;
} signals[] = {
        { SIGABRT, ": ended by SIGABRT; the last errno was ENOMEM\n" },
        { SIGSEGV, ": ended by SIGSEGV; the last errno was ENOMEM\n" },
        { SIGBUS, ": ended by SIGBUS; the last errno was ENOMEM\n" },
        { SIGVTALRM, ": ended by SIGVTALRM; the last errno was ENOMEM\n" },
};

START_TEST(it_says_which_signal_and_ends_by_it) {
        const size_t length = strlen(program_invocation_short_name);
        char said[256];
        int status = end_by(signals[_i].number, false, said, sizeof(said));

        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), signals[_i].number);
        ck_assert_uint_gt(strlen(said), length);
        ck_assert_int_eq(strncmp(said, program_invocation_short_name, length), 0);
        ck_assert_str_eq(said + length, signals[_i].text);
}
END_TEST

START_TEST(who_has_a_handler_keeps_it) {
        char said[256];
        int status = end_by(signals[_i].number, true, said, sizeof(said));

        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), GONE_ON);
        ck_assert_str_eq(said, "");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("last_words");
        TCase *tcase = tcase_create("last_words");

        tcase_add_loop_test(tcase, it_says_which_signal_and_ends_by_it, 0, (int)(sizeof(signals) / sizeof(signals[0])));
        tcase_add_loop_test(tcase, who_has_a_handler_keeps_it, 0, (int)(sizeof(signals) / sizeof(signals[0])));
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
