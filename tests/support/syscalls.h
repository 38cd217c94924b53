/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process asks of the kernel, counted by strace(1) for as many operations as a test does, one after the other.
 *
 * The calls of one operation are those from one anchor to the next: one that each operation makes once. So nothing that belongs to the beginning
 * or the end of a trace is counted, and what is counted is a multiple of the operations or a difference.
 *
 * What only shows that time passes, or that memory is got from the kernel now and then, belongs to no operation and is left out
 * (tests/support/syscalls.c).
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_SYSCALLS_H
#define NB_TESTS_SUPPORT_SYSCALLS_H

#include <sys/types.h>

#include "tests/support/process.h"

#define SYSCALLS_PATH_MAX 64

/** A process that is watched. */
struct syscalls {
        struct process strace;
        pid_t pid;
        char path[SYSCALLS_PATH_MAX]; /* of the trace */
};

/** What one operation costs. Lists end with one that has no name. */
struct syscalls_expected {
        const char *name; /* of the system call */
        unsigned n;       /* for one operation */
        const char *why;  /* it is needed */
};

/** Begins to watch a process, also of another user's for root. @param folder  borrowed; where the trace is kept meanwhile */
void syscalls_watch(struct syscalls *syscalls, pid_t pid, const char *folder);

/** Waits until a call was made at least `n` times since it is watched, and the process sleeps. @param anchor  the call's name */
void syscalls_settle(const struct syscalls *syscalls, const char *anchor, unsigned n);

/** Waits until a process that nobody watches sleeps. */
void syscalls_wait_asleep(pid_t pid);

/**
 * Ends the watch and compares.
 * @param anchor  the call that each operation makes once
 * @param n       how many operations are looked at; there must have been more
 * @return the differences, one a line, owned by the caller; NULL: there are none
 */
char *syscalls_compare(struct syscalls *syscalls, const char *anchor, unsigned n,
                       const struct syscalls_expected *expected);

#endif
