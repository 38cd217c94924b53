/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser of a file knows while it reads, shared by its parts: policy/parse.c reads lines, policy/section.c begins
 * and ends sections, policy/keys.c sets keys.
 *
 * The first error stands and ends it: the functions that fill it in return what their caller returns.
 */
#ifndef NB_POLICY_PARSER_H
#define NB_POLICY_PARSER_H

#include "policy/error.h"
#include "policy/lines.h"
#include "policy/policy.h"

/** How much of names from the file messages quote. */
#define PARSER_QUOTE_MAX 64

/** A section, as a bit for keys that several take. */
enum parser_section {
        PARSER_NONE = 0,
        PARSER_TENANT = 0x1,
        PARSER_PROTOCOL = 0x2,
        PARSER_PREOPEN = 0x4,
        PARSER_GRANTING = PARSER_PROTOCOL | PARSER_PREOPEN, /* what rules stand in */
};

/** The keys, by the index of their place in parser.set_in. */
enum parser_key {
        PARSER_KEY_NAME,
        PARSER_KEY_USER,
        PARSER_KEY_EXPLAIN_DENIALS,
        PARSER_KEY_FAMILY,
        PARSER_KEY_DATA_PATH,
        PARSER_KEY_SOCKET_TYPES,
        PARSER_KEY_SOCKET_MODE,
        PARSER_KEY_CONNECT_TIMEOUT,
        PARSER_KEY_NONBLOCK,
        PARSER_KEY_CONNECT,
        PARSER_KEY_LISTEN,
        PARSER_KEY_DENY,
        PARSER_KEY_PREOPEN_CONNECT,
        PARSER_KEY_PREOPEN_LISTEN,
        PARSER_N_KEYS,
};

struct parser {
        struct policy *policy;
        const struct policy_defaults *defaults;
        const char *caller_file; /* the caller's name of the file, for the error */
        const char *file;        /* the policy's copy of it */
        const char *text;
        size_t length;
        struct policy_line line; /* that is being read */

        struct policy_tenant *tenant;
        struct policy_protocol *protocol; /* whose section this is, or NULL; a preopened socket has one, too */
        struct policy_preopen *preopen;   /* whose section this is, or NULL */
        enum parser_section section;
        unsigned set_in
                [PARSER_N_KEYS]; /* the line in which this section sets a key, by the key's index; 0: it does not */

        struct policy_complaint complaint; /* of a setter, about the value */
        struct policy_error *error;
        int result; /* what policy_add_file() will return */
};

/**
 * About a line, with the column and the correction of the complaint, which is about the whole line.
 * @param line  NULL: it is about the file
 * @return -EINVAL.
 */
int parser_fail(struct parser *p, const struct policy_line *line, const struct policy_complaint *complaint);

/** About the line `number` as a whole, or with 0 the file; `correct` is the line to write. @return -EINVAL. */
int parser_fail_whole(struct parser *p, unsigned number, const char *correct, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/** About the current line from an offset on. @return -EINVAL. */
int parser_fail_at(struct parser *p, size_t offset, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** About the bytes from `from` to `to` of the current line. @return -EINVAL. */
int parser_fail_part(struct parser *p, struct policy_complaint *complaint, size_t from, size_t to);

/** About the value that the line `number` sets. @return -EINVAL. */
int parser_fail_value(struct parser *p, unsigned number, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** @return -ENOMEM. */
int parser_fail_memory(struct parser *p);

/** Makes room for one more element: doubles when the count is a power of two. @return NULL without memory. */
void *parser_grow(void *array, size_t n, size_t size);

#endif
