/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of keys that are not rules: words from a list, times, names. What is wrong comes back as a complaint about the value.
 */
#ifndef NB_POLICY_VALUE_H
#define NB_POLICY_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "policy/error.h"

/** The longest name of a tenant or protocol, in bytes. */
#define POLICY_NAME_MAX 63

/** The longest name of a user, a group or a unit, in bytes (LOGIN_NAME_MAX less its NUL; systemd's UNIT_NAME_MAX is the same). */
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

/** Enough for every time that policy_timeout_format() prints, with its NUL. */
#define POLICY_TIMEOUT_TEXT_MAX 24

/** Prints what policy_timeout_parse() reads, in the largest unit that is exact. @return `buffer`. */
const char *policy_timeout_format(uint64_t ms, char buffer[static POLICY_TIMEOUT_TEXT_MAX]);

/** Parses a file's mode, three or four octal digits up to 0777. @return 0, or -EINVAL. */
int policy_mode_parse(const char *text, uint32_t *ret, struct policy_complaint *ret_complaint);

/** Checks the name of a tenant or protocol: letters, digits, `-`, `_` and `.`. @return 0, or -EINVAL. */
int policy_name_check(const char *text, struct policy_complaint *ret_complaint);

/** Checks a user's name or number, as far as that goes without asking the system. @return 0, or -EINVAL. */
int policy_user_check(const char *text, struct policy_complaint *ret_complaint);

/** The same for a group. @return 0, or -EINVAL. */
int policy_group_check(const char *text, struct policy_complaint *ret_complaint);

/** Checks the name of a unit of systemd's that has processes: a service or a scope. @return 0, or -EINVAL. */
int policy_unit_check(const char *text, struct policy_complaint *ret_complaint);

/** Checks the path of a tenant's own socket. @return 0, or -EINVAL. */
int policy_socket_path_check(const char *text, struct policy_complaint *ret_complaint);

/** Parses `yes` or `no`. @return 0, or -EINVAL. */
int policy_yes_no_parse(const char *text, bool *ret, struct policy_complaint *ret_complaint);

/**
 * Parses the address of a name server: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]` or `[2001:db8::53]:5353`. Without a port it is
 * POLICY_RESOLVER_PORT.
 * @return 0, or -EINVAL.
 */
int policy_resolver_parse(const char *text, struct nb_address *ret, struct policy_complaint *ret_complaint);

/** Prints what policy_resolver_parse() reads, without a port that is the default. @return `buffer`. */
const char *policy_resolver_format(const struct nb_address *address, char buffer[static NB_ADDRESS_TEXT_MAX]);

#endif
