/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of one rule: `TARGET:PORTS`, and of one word of `Addresses=`: `TARGET` alone.
 *
 *     192.0.2.1:443   10.0.0.0/8:5432-5433   [2001:db8::]/32:*    an address, or a prefix
 *     public:443   any:*                                          a group (policy/group.h)
 *     api.example.com:443                                         a name, and no address
 *     *.example.com:443                                           every name below, but not example.com
 *
 * PORTS is one port, an inclusive range, or `*`. An address without a length is the address alone. What cannot work is an error here, as far
 * as the rule itself shows it; whether it fits the protocol's family is the parser's business. One text a rule is printed and
 * read again as the same rule.
 *
 * A host that is named like a group is written with a dot at its end: `public.:443`.
 */
#ifndef NB_POLICY_RULE_H
#define NB_POLICY_RULE_H

#include "policy/error.h"
#include "policy/policy.h"

/** Enough for any rule that policy_rule_format() prints, with its NUL: `*.NAME:FIRST-LAST`. */
#define POLICY_RULE_TEXT_MAX (POLICY_HOST_NAME_MAX + sizeof("*.:65535-65535"))

/** Enough for any prefix or group, with its NUL: `[ADDRESS]/LENGTH`. */
#define POLICY_RANGE_TEXT_MAX (NB_ADDRESS_TEXT_MAX + sizeof("[]/128"))

/** "Connect", "Listen" or "Deny". */
const char *policy_rule_kind_name(enum policy_rule_kind kind);

/**
 * Parses a rule for addresses or names; rules for Unix sockets are policy/unix_pattern.h's.
 * @param ret            gets kind, target, ports and what the target is; its text, file and line stay as they are. A name's text is owned
 *                       by the rule: free(). Untouched on failure.
 * @param ret_complaint  filled in on -EINVAL; its correction, if there is one, is a valid rule of that kind
 * @return 0, -EINVAL, or -ENOMEM.
 */
int policy_rule_parse(enum policy_rule_kind kind, const char *text, size_t length, struct policy_rule *ret,
                      struct policy_complaint *ret_complaint);

/**
 * Parses a word of `Addresses=`: a prefix or a group, without ports.
 * @param ret            gets target and what the target is; its text, file and line stay as they are. Untouched on failure.
 * @param ret_complaint  filled in on failure; its correction, if there is one, is a valid word
 * @return 0, or -EINVAL.
 */
int policy_range_parse(const char *text, size_t length, struct policy_range *ret,
                       struct policy_complaint *ret_complaint);

/** Prints a rule as policy_rule_parse() reads it, without its kind. Not for Unix sockets. @return `buffer`. */
const char *policy_rule_format(const struct policy_rule *rule, char buffer[static POLICY_RULE_TEXT_MAX]);

/** Prints a prefix as rules have it; one of full length is the address alone. @return `buffer`. */
const char *policy_prefix_format(const struct nb_prefix *prefix, char buffer[static POLICY_RANGE_TEXT_MAX]);

/** Prints a word of `Addresses=` as policy_range_parse() reads it. @return `buffer`. */
const char *policy_range_format(const struct policy_range *range, char buffer[static POLICY_RANGE_TEXT_MAX]);

/** The rule for one address and one port; port 0, which the kernel fills in, becomes any. It has no text, and owns nothing. */
struct policy_rule policy_rule_for_address(enum policy_rule_kind kind, const struct nb_ip *ip, uint16_t port);

#endif
