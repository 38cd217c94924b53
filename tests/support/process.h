/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that a test starts, and what it writes: standard output and standard error in one text, in the order in which it was written.
 *
 * Functions fail the test (ck_abort) instead of returning errors, with what the program wrote.
 */
#ifndef NB_TESTS_SUPPORT_PROCESS_H
#define NB_TESTS_SUPPORT_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

/** More than this from one program fails the test. */
#define PROCESS_TEXT_MAX (8 * 1024 * 1024)

struct process {
        const char *name; /* borrowed from the arguments */
        pid_t pid;        /* -1: it has ended */
        int out;          /* -1: read to its end */
        char *text;       /* ends with a NUL, and may hold others */
        size_t length;
        size_t allocated;
        size_t taken; /* see process_expect() */
};

/**
 * Starts a program; its standard input is empty.
 * @param arguments  up to a NULL; the first one is the program, which is looked for in PATH
 */
void process_start(struct process *process, const char *const *arguments);

/** The same with the arguments themselves. */
#define PROCESS_START(process, ...) process_start((process), (const char *const[]){ __VA_ARGS__, NULL })

/** Waits until it wrote `text`, behind where the last such call found its own. */
void process_expect(struct process *process, const char *text, int timeout_ms);

/** Waits for its end. @return its exit status, or 128 and the signal's number */
int process_finish(struct process *process, int timeout_ms);

/** Sends SIGTERM and waits for its end. @return as process_finish() */
int process_stop(struct process *process);

/** Frees what it wrote; it must have ended. */
void process_deinit(struct process *process);

/** A process that is freed at the end of its block. */
#define PROCESS __attribute__((cleanup(process_deinit))) struct process

/**
 * For programs that lock themselves down: LeakSanitizer would trace them by ptrace(2), which they do not allow. Sets ASAN_OPTIONS for what is
 * started from now on; the other sanitizers go on looking.
 */
void process_expect_no_leak_check(void);

#endif
