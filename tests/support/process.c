/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/process.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

#define CHUNK 65536
#define SHOWN_MAX 3000 /* bytes of its end, in a message */

static void run(const char *const *arguments, int out) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
                _exit(127);
        execvp(arguments[0], (char *const *)arguments);
        fprintf(stderr, "%s: %s\n", arguments[0], strerror(errno));
        _exit(127);
}

void process_start(struct process *process, const char *const *arguments) {
        NB_CLEANUP_FD int theirs = -1;
        int pipe_fds[2];

        *process = (struct process){ .name = arguments[0], .pid = -1, .out = -1, .allocated = CHUNK };
        process->text = calloc(1, process->allocated);
        ck_assert_ptr_nonnull(process->text);
        ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
        process->out = pipe_fds[0];
        theirs = pipe_fds[1];

        process->pid = fork();
        ck_assert_int_ge(process->pid, 0);
        if (process->pid == 0)
                run(arguments, theirs);
}

static void give_up(const struct process *process, const char *what, const char *detail) {
        size_t skipped = process->length > SHOWN_MAX ? process->length - SHOWN_MAX : 0;

        ck_abort_msg("%s %s%s; it wrote:\n%s", process->name, what, detail, process->text + skipped);
}

static void grow(struct process *process) {
        char *text;

        if (process->allocated - process->length > CHUNK)
                return;
        ck_assert_uint_lt(process->allocated, PROCESS_TEXT_MAX);
        text = realloc(process->text, process->allocated * 2);
        ck_assert_ptr_nonnull(text);
        process->text = text;
        process->allocated *= 2;
}

/* Reads what is there, or its end. @param deadline  of the clock of harness_now_ms() */
static void pump(struct process *process, uint64_t deadline, const char *awaited) {
        uint64_t now = harness_now_ms();
        ssize_t n;

        if (now >= deadline || harness_poll(process->out, POLLIN, (int)(deadline - now)) == 0)
                give_up(process, "was waited for in vain, for ", awaited);
        grow(process);
        n = read(process->out, process->text + process->length, process->allocated - process->length - 1);
        ck_assert_int_ge(n, 0);
        process->length += (size_t)n;
        process->text[process->length] = '\0';
        if (n == 0)
                process->out = nb_fd_close(process->out);
}

static bool take(struct process *process, const char *text) {
        const char *from = process->text + process->taken;
        const char *found = memmem(from, process->length - process->taken, text, strlen(text));

        if (found)
                process->taken = (size_t)(found - process->text) + strlen(text);
        return found != NULL;
}

void process_expect(struct process *process, const char *text, int timeout_ms) {
        uint64_t deadline = harness_now_ms() + (uint64_t)timeout_ms;

        while (!take(process, text)) {
                if (process->out < 0)
                        give_up(process, "ended without writing ", text);
                pump(process, deadline, text);
        }
}

int process_finish(struct process *process, int timeout_ms) {
        uint64_t deadline = harness_now_ms() + (uint64_t)timeout_ms;
        int status;

        while (process->out >= 0)
                pump(process, deadline, "its end");
        ck_assert_int_eq(waitpid(process->pid, &status, 0), process->pid);
        process->pid = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int process_stop(struct process *process) {
        ck_assert_int_eq(kill(process->pid, SIGTERM), 0);
        return process_finish(process, HARNESS_DEADLINE_MS);
}

void process_deinit(struct process *process) {
        ck_assert_int_eq(process->pid, -1);
        free(process->text);
        process->text = NULL;
}

void process_expect_no_leak_check(void) {
        const char *options = getenv("ASAN_OPTIONS");
        char text[256];

        snprintf(text, sizeof(text), "%s:detect_leaks=0", options ? options : "");
        (void)setenv("ASAN_OPTIONS", text, 1);
}
