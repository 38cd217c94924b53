/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of one rule: `ADDRESS:PORTS` or `PREFIX/LENGTH:PORTS`.
 *
 * PORTS is one port, an inclusive range `5432-5433`, or `*`. IPv6 stands in brackets, with the length behind them: `[2001:db8::]/32:443`.
 * An address without a length is the address alone. What cannot work is an error here, as far as the
 * rule itself shows it; whether it fits the protocol's family is the parser's business.
 */
#ifndef NB_POLICY_RULE_H
#define NB_POLICY_RULE_H

#include "policy/error.h"
#include "policy/policy.h"

/** Enough for any rule that policy_rule_format() prints, with its NUL: `[ADDRESS]/LENGTH:FIRST-LAST`. */
#define POLICY_RULE_TEXT_MAX 80

/** "Connect", "Listen" or "Deny". */
const char *policy_rule_kind_name(enum policy_rule_kind kind);

/**
 * Parses a rule.
 * @param ret_complaint  filled in on failure; its correction, if there is one, is a valid rule of that kind
 * @return 0, or -EINVAL.
 */
int policy_rule_parse(enum policy_rule_kind kind, const char *text, size_t length, struct nb_prefix *ret_prefix,
                      struct nb_port_range *ret_ports, struct policy_complaint *ret_complaint);

/** Prints the rule for one address and one port, `192.0.2.1:443`; port 0, which the kernel fills in, becomes `*`. @return `buffer`. */
const char *policy_rule_format(const struct nb_ip *ip, uint16_t port, char buffer[static POLICY_RULE_TEXT_MAX]);

#endif
