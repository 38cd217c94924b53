/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/syscalls.h"

#include <check.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

#define NAMES_MAX 64
#define CALL_NAME_MAX 32

/* Calls of no operation. */
static const char *const left_out[] = {
        "rt_sigreturn", "timer_settime", "restart_syscall", /* the broker's nudge (loop/nudge.h) comes by the clock */
        "brk",          "mmap",          "munmap",
        "mremap",       "madvise",       "mprotect", /* the allocator's, now and then */
};

struct count {
        char name[CALL_NAME_MAX];
        unsigned n;
};

struct counts {
        struct count items[NAMES_MAX];
        size_t n;
};

void syscalls_watch(struct syscalls *syscalls, pid_t pid, const char *folder) {
        char number[16];

        *syscalls = (struct syscalls){ .pid = pid };
        (void)snprintf(syscalls->path, sizeof(syscalls->path), "%s/trace", folder);
        (void)snprintf(number, sizeof(number), "%d", (int)pid);
        PROCESS_START(&syscalls->strace, "strace", "-f", "-s", "0", "-e", "signal=none", "-o", syscalls->path, "-p",
                      number);
        process_expect(&syscalls->strace, "attached", HARNESS_DEADLINE_MS);
}

/* ---- reading a trace ---- */

static bool has_text(const char *line, size_t length, const char *text) {
        return memmem(line, length, text, strlen(text)) != NULL;
}

/* "1234  name(...) = result": finds the name. @return whether the line is a call that is over */
static bool parse_call(const char *line, size_t length, char name[CALL_NAME_MAX]) {
        size_t at = 0, end;

        while (at < length && (isdigit((unsigned char)line[at]) || line[at] == ' '))
                ++at;
        for (end = at; end < length && (isalnum((unsigned char)line[end]) || line[end] == '_');)
                ++end;
        if (end == at || end == length || line[end] != '(' || !has_text(line + end, length - end, " = "))
                return false;
        ck_assert_uint_lt(end - at, CALL_NAME_MAX);
        memcpy(name, line + at, end - at);
        name[end - at] = '\0';
        return true;
}

/* A wait that ended because its time was over, or by a signal; one that was not to wait at all counts. */
static bool ended_by_time(const char *name, const char *line, size_t length) {
        if (has_text(line, length, " = -1 EINTR") || has_text(line, length, " = ? ERESTART"))
                return true;
        return strcmp(name, "epoll_wait") == 0 && has_text(line, length, ") = 0") &&
               !has_text(line, length, ", 0) = 0");
}

static bool is_left_out(const char *name) {
        for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); ++i) {
                if (strcmp(name, left_out[i]) == 0)
                        return true;
        }
        return false;
}

/* Takes the next call that counts out of `*text`. @return false: there are no more */
static bool next_call(const char **text, char name[CALL_NAME_MAX]) {
        for (;;) {
                const char *line = *text, *end = strchr(line, '\n');

                if (!end)
                        return false;
                *text = end + 1;
                if (parse_call(line, (size_t)(end - line), name) && !is_left_out(name) &&
                    !ended_by_time(name, line, (size_t)(end - line)))
                        return true;
        }
}

static unsigned count_of(const char *text, const char *wanted) {
        char name[CALL_NAME_MAX];
        unsigned n = 0;

        while (next_call(&text, name))
                n += strcmp(name, wanted) == 0;
        return n;
}

/* ---- waiting ---- */

/* Asleep in a call, and not stopped by strace. */
static bool sleeps(pid_t pid) {
        NB_CLEANUP_FREE char *text = NULL;
        const char *state;
        char path[32];

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        text = daemon_read(path);
        state = strrchr(text, ')');
        return state && strncmp(state, ") S", 3) == 0;
}

void syscalls_wait_asleep(pid_t pid) {
        uint64_t start = harness_now_ms();

        while (!sleeps(pid))
                harness_wait_a_moment(start, "sleep");
}

/* strace writes a call's beginning when it begins; so a trace that ends within a line is up to date. */
static bool is_settled(const struct syscalls *syscalls, const char *anchor, unsigned n) {
        NB_CLEANUP_FREE char *text = NULL;
        size_t length;

        if (!sleeps(syscalls->pid))
                return false;
        text = daemon_read(syscalls->path);
        length = strlen(text);
        return length > 0 && text[length - 1] != '\n' && count_of(text, anchor) >= n && sleeps(syscalls->pid);
}

void syscalls_settle(const struct syscalls *syscalls, const char *anchor, unsigned n) {
        uint64_t start = harness_now_ms();

        while (!is_settled(syscalls, anchor, n))
                harness_wait_a_moment(start, anchor);
}

/* ---- comparing ---- */

static void count(struct counts *counts, const char *name, unsigned n) {
        for (size_t i = 0; i < counts->n; ++i) {
                if (strcmp(counts->items[i].name, name) == 0) {
                        counts->items[i].n += n;
                        return;
                }
        }
        ck_assert_uint_lt(counts->n, NAMES_MAX);
        (void)snprintf(counts->items[counts->n].name, CALL_NAME_MAX, "%s", name);
        counts->items[counts->n++].n = n;
}

/* What lies between the first anchor and the one that is `n` anchors behind it, with the latter. @return whether there are as many */
static bool count_between(const char *text, const char *anchor, unsigned n, struct counts *ret) {
        char name[CALL_NAME_MAX];
        bool begun = false;

        while (next_call(&text, name)) {
                bool is_anchor = strcmp(name, anchor) == 0;

                if (begun)
                        count(ret, name, 1);
                if (is_anchor && begun && --n == 0)
                        return true;
                begun = begun || is_anchor;
        }
        return false;
}

static unsigned expected_of(const struct syscalls_expected *expected, const char *name) {
        for (; expected->name; ++expected) {
                if (strcmp(expected->name, name) == 0)
                        return expected->n;
        }
        return 0;
}

static char *describe(const struct counts *counts, unsigned n, const struct syscalls_expected *expected) {
        size_t size = 0;
        char *text = NULL;
        FILE *stream = open_memstream(&text, &size);

        ck_assert_ptr_nonnull(stream);
        for (size_t i = 0; i < counts->n; ++i) {
                unsigned wanted = expected_of(expected, counts->items[i].name);

                if (counts->items[i].n != wanted * n)
                        (void)fprintf(stream, "%s: %u for %u operations, and the table has %u for one\n",
                                      counts->items[i].name, counts->items[i].n, n, wanted);
        }
        ck_assert_int_eq(fclose(stream), 0);
        if (size > 0)
                return text;
        free(text);
        return NULL;
}

char *syscalls_compare(struct syscalls *syscalls, const char *anchor, unsigned n,
                       const struct syscalls_expected *expected) {
        NB_CLEANUP_FREE char *text = NULL;
        struct counts counts = { 0 };

        (void)process_stop(&syscalls->strace);
        process_deinit(&syscalls->strace);
        text = daemon_read(syscalls->path);
        ck_assert_int_eq(unlink(syscalls->path), 0);
        ck_assert_msg(count_between(text, anchor, n, &counts), "too few calls of %s for %u operations:\n%s", anchor, n,
                      text);
        /* What is in the table and was not seen at all. */
        for (const struct syscalls_expected *e = expected; e->name; ++e)
                count(&counts, e->name, 0);
        return describe(&counts, n, expected);
}
