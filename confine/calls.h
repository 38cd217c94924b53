/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls that a process makes, declared beside the code that makes them, each with its reason.
 *
 * A module has a list; a program gathers those of its modules, and confine/filter.h makes one filter of them.
 */
#ifndef NB_CONFINE_CALLS_H
#define NB_CONFINE_CALLS_H

#include <stddef.h>
#include <stdint.h>

/** What an argument must be, as an int. */
struct confine_where {
        unsigned argument; /* counts from 0 */
        uint32_t value;
};

#define CONFINE_WHERE_MAX 2

/** One system call. */
struct confine_call {
        int number; /* SCMP_SYS(...) */
        const char *why;
        unsigned n_where; /* all of which hold */
        struct confine_where where[CONFINE_WHERE_MAX];
};

#define CONFINE_CALL(name, reason)                                                                                     \
        { .number = SCMP_SYS(name), .why = reason }
#define CONFINE_CALL_WHERE(name, which, what, reason)                                                                  \
        {                                                                                                              \
                .number = SCMP_SYS(name), .why = reason, .n_where = 1, .where = { { which, what } }                    \
        }

/** One option of sockets: numbers mean others at other levels. */
#define CONFINE_OPTION(level, option, reason)                                                                          \
        {                                                                                                              \
                .number = SCMP_SYS(setsockopt), .why = reason, .n_where = 2, .where = { { 1, level }, { 2, option } }  \
        }

/** What one module needs. */
struct confine_list {
        const struct confine_call *calls;
        size_t n_calls;
};

#define CONFINE_LIST(array)                                                                                            \
        { array, sizeof(array) / sizeof((array)[0]) }

#endif
