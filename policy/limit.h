/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a tenant: their keys, units and defaults, in one table.
 *
 * A limit is a count (`MaxSessions=200`), a rate (`ConnectRate=500/s`) or bytes (`MaxMemory=64M`), or `infinity`. There is no limit of 0: who
 * wants a tenant to have none of something grants it none.
 */
#ifndef NB_POLICY_LIMIT_H
#define NB_POLICY_LIMIT_H

#include "policy/error.h"
#include "policy/policy.h"

/** Enough for every limit that policy_limit_format() prints, with its NUL. */
#define POLICY_LIMIT_TEXT_MAX 24

enum policy_limit_unit {
        POLICY_UNIT_COUNT,
        POLICY_UNIT_RATE, /* a second */
        POLICY_UNIT_BYTES,
};

struct policy_limit_kind {
        const char *key;
        enum policy_limit_unit unit;
        uint64_t initial; /* the default; may be POLICY_UNLIMITED */
};

/** @return what a limit is; lives for ever. */
const struct policy_limit_kind *policy_limit_kind(enum policy_limit limit);

/** Parses a positive number of a unit, where `infinity` is none. @return 0, or -EINVAL without a complaint. */
int policy_number_parse(const char *text, enum policy_limit_unit unit, uint64_t *ret);

/** Prints what policy_number_parse() reads, in the largest suffix that is exact. @return `buffer`. */
const char *policy_number_format(enum policy_limit_unit unit, uint64_t value,
                                 char buffer[static POLICY_LIMIT_TEXT_MAX]);

/** Parses a limit's value. @return 0, or -EINVAL. */
int policy_limit_parse(enum policy_limit limit, const char *text, uint64_t *ret,
                       struct policy_complaint *ret_complaint);

/** Prints what policy_limit_parse() reads, in the largest unit that is exact. @return `buffer`. */
const char *policy_limit_format(enum policy_limit limit, uint64_t value, char buffer[static POLICY_LIMIT_TEXT_MAX]);

#endif
