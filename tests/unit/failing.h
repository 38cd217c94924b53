/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that fail in the test's own process: those of the code that is linked into it, which the linker leads here (-Wl,--wrap, failing_link in
 * Makefile.am). Unlike tests/faults it goes with sanitizers, which say what was not freed, and needs no process; what libraries call does not fail.
 *
 *      failing_arm(FAILING_memory, n, ENOMEM); r = function(); if (!failing_disarm()) ... it made fewer than n such calls
 */
#ifndef NB_TESTS_UNIT_FAILING_H
#define NB_TESTS_UNIT_FAILING_H

#include <stdbool.h>

/** Calls that can fail; memory stands for all that allocate. */
#define FAILING_CALLS(X)                                                                                               \
        X(memory)                                                                                                      \
        X(connect)                                                                                                     \
        X(fcntl)                                                                                                       \
        X(getsockopt)                                                                                                  \
        X(ioctl)                                                                                                       \
        X(read)                                                                                                        \
        X(readv)                                                                                                       \
        X(recv)                                                                                                        \
        X(recvmsg)                                                                                                     \
        X(send)                                                                                                        \
        X(sendmsg)                                                                                                     \
        X(sendto)                                                                                                      \
        X(setsockopt)                                                                                                  \
        X(socket)                                                                                                      \
        X(socketpair)                                                                                                  \
        X(writev)

enum failing_call {
#define FAILING_ENTRY(name) FAILING_##name,
        FAILING_CALLS(FAILING_ENTRY)
#undef FAILING_ENTRY
                FAILING_N_CALLS,
};

/** @return the call's name */
const char *failing_name(enum failing_call call);

/** Has the call number `n`, counted from now, fail once with `error`. */
void failing_arm(enum failing_call call, unsigned n, int error);

/** Nothing fails any more. @return whether something did since failing_arm() */
bool failing_disarm(void);

/** What the test's own part does in between does not fail, and is not counted. Pauses do not nest. */
void failing_pause(void);
void failing_resume(void);

/**
 * Has each allocation of a function fail, one in each call of it. Fails the test unless the function says -ENOMEM where one has failed and 0 where none has,
 * makes at least one, and fewer than `most`.
 * @param name  what it does, for the message @param data  for the function
 */
void failing_each_allocation(const char *name, int (*function)(void *data), void *data, unsigned most);

#endif
