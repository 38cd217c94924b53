/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a rule for Unix sockets: a path from the root, or an abstract name behind an `@`, with `*` as the only
 * wildcard.
 *
 * What other languages of patterns give a meaning to (`**`, `?`, brackets, braces, backslashes, `%` and `$`) is refused
 * instead of taken as it stands: a Deny rule that its author reads as a pattern, and that we took for a name, would deny
 * nothing.
 */
#ifndef NB_POLICY_UNIX_PATTERN_H
#define NB_POLICY_UNIX_PATTERN_H

#include "policy/error.h"
#include "policy/policy.h"

/** Whether a rule's text is meant to name Unix sockets: it begins with `/` or `@`. */
bool policy_unix_pattern_is_meant(const char *text);

/**
 * Checks a pattern.
 * @param ret_complaint  filled in on failure; its correction, if there is one, is a valid pattern
 * @return 0, or -EINVAL.
 */
int policy_unix_pattern_check(const char *text, size_t length, struct policy_complaint *ret_complaint);

/** The pattern of a text that has been checked; `text` is borrowed and ends in NUL. */
struct policy_unix_pattern policy_unix_pattern_of(const char *text);

/**
 * Whether a pattern matches a name. The time is bounded by the product of their lengths.
 * @param dots  whether a `*` at the beginning of a component also stands for a leading dot
 */
bool policy_unix_pattern_matches(const struct policy_unix_pattern *pattern, const struct nb_unix_name *name, bool dots);

#endif
