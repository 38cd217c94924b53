/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expectations of a policy, for an operator's CI (netbrokerctl test FILE). A file is lines of words:
 *
 *     # a comment
 *     allow TENANT PROTOCOL connect|listen|accept TARGET [=> ADDRESS] [rule FILE:LINE]
 *     deny  TENANT PROTOCOL connect|listen|accept TARGET [=> ADDRESS] [rule FILE:LINE|none]
 *
 * `=> ADDRESS` judges the name of TARGET as if it had that address and no other. `rule` says which rule must have decided: the end of its file's
 * name suffices, from a whole component on; `none` that no rule matched.
 */
#ifndef NB_CTL_EXPECT_H
#define NB_CTL_EXPECT_H

#include <stdbool.h>
#include <stddef.h>

/** Longest line, in bytes. */
#define EXPECT_LINE_MAX 1024

/** One line. Texts are owned by `line`. */
struct expectation {
        char line[EXPECT_LINE_MAX + 1]; /* its words, each with a NUL behind it */
        bool allow;
        const char *tenant;
        const char *protocol;
        const char *operation;
        const char *target;
        const char *address; /* NULL: none is said */
        const char *rule;    /* NULL: none is said */
};

/**
 * Reads a line.
 * @param text     without its newline
 * @param ret      filled in if it is an expectation
 * @param message  gets what is wrong
 * @return 1 for an expectation; 0 for a blank line or a comment; -EINVAL
 */
int expect_parse(const char *text, size_t length, struct expectation *ret, const char **message);

/** Whether a rule's place, "/etc/netbroker/tenants/acme.conf:7" or NULL, is the one that is expected, "acme.conf:7" or "none". */
bool expect_place(const char *expected, const char *place);

#endif
