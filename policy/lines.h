/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a policy file before inih sees them.
 *
 * inih is generous where a policy must not be: it cuts long lines, takes an indented line for more of the value before, `:` for `=`,
 * a `;` behind a blank for a comment, and cuts section names at 49 bytes, all silently. So each line is judged first, and what inih
 * would change is refused. What is left means the same to inih and to who wrote it.
 */
#ifndef NB_POLICY_LINES_H
#define NB_POLICY_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/error.h"

/** The longest line that is not a comment, in bytes: inih's buffer holds 200, with the newline and a NUL. */
#define POLICY_LINE_MAX 198

enum policy_line_kind {
        POLICY_LINE_NOTHING, /* blank, or a comment */
        POLICY_LINE_SECTION, /* begins with a bracket */
        POLICY_LINE_ASSIGNMENT,
};

/** One line, borrowed from the text, without its newline. */
struct policy_line {
        const char *text;
        size_t length;
        unsigned number; /* from 1 */
};

/**
 * Steps to the next line.
 * @param line  the line before; all zeros to begin
 * @return whether there is one.
 */
bool policy_line_next(const char *text, size_t length, struct policy_line *line);

/** Says what kind of line it is. @return 0, or -EINVAL for one that is none. */
int policy_line_classify(const struct policy_line *line, enum policy_line_kind *ret_kind,
                         struct policy_complaint *ret_complaint);

/** @return where the value of an assignment begins: behind the `=` and blanks. */
size_t policy_line_value_offset(const struct policy_line *line);

static inline bool policy_is_blank(char c) {
        return c == ' ' || c == '\t';
}

#endif
