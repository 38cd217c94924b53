/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of keys that are not rules: words from a list, times, names. What is wrong comes back as a complaint about the value.
 */
#ifndef NB_POLICY_VALUE_H
#define NB_POLICY_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/error.h"

/** The longest name of a tenant or protocol, in bytes. */
#define POLICY_NAME_MAX 63

/** The longest name of a user, in bytes (LOGIN_NAME_MAX less its NUL). */
#define POLICY_USER_MAX 255

/** One word that a key takes. */
struct policy_word {
        const char *text;    /* NULL ends a list */
        const char *not_yet; /* why it is refused although it is spelt right; NULL: it is taken */
        int value;
};

/** Finds a word in a list. @return 0, or -EINVAL with the nearest word as the correction. */
int policy_word_parse(const char *text, const struct policy_word *words, int *ret,
                      struct policy_complaint *ret_complaint);

/** Parses `500ms`, `30s` or `2min`, from 1 ms to 10 min. @return 0 and milliseconds, or -EINVAL. */
int policy_timeout_parse(const char *text, uint64_t *ret, struct policy_complaint *ret_complaint);

/** Parses a file's mode, three or four octal digits up to 0777. @return 0, or -EINVAL. */
int policy_mode_parse(const char *text, uint32_t *ret, struct policy_complaint *ret_complaint);

/** Checks the name of a tenant or protocol: letters, digits, `-`, `_` and `.`. @return 0, or -EINVAL. */
int policy_name_check(const char *text, struct policy_complaint *ret_complaint);

/** Checks a user's name or number, as far as that goes without asking the system. @return 0, or -EINVAL. */
int policy_user_check(const char *text, struct policy_complaint *ret_complaint);

#endif
