/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match.h"

#include <string.h>

#include "policy/group.h"
#include "policy/unix_pattern.h"

/** Whether a prefix holds the address and lies in `within`, where that is given. */
static bool prefix_holds(const struct nb_prefix *prefix, const struct nb_ip *ip, const struct nb_prefix *within) {
        return nb_prefix_contains(prefix, ip) && (!within || nb_prefix_covers(within, prefix));
}

static bool group_holds(enum policy_group group, const struct nb_ip *ip, const struct nb_prefix *within) {
        const struct nb_prefix *prefixes;
        size_t n = policy_group_prefixes(group, &prefixes);

        for (size_t i = 0; i < n; ++i)
                if (prefix_holds(&prefixes[i], ip, within))
                        return true;
        return !prefixes && !within && policy_group_contains(group, ip);
}

static bool rule_holds(const struct policy_rule *rule, const struct nb_ip *ip, const struct nb_prefix *within) {
        if (rule->target == POLICY_TARGET_PREFIX)
                return prefix_holds(&rule->prefix, ip, within);
        return rule->target == POLICY_TARGET_GROUP && group_holds(rule->group, ip, within);
}

const struct policy_rule *policy_match(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                       const struct nb_ip *ip, uint16_t port, const struct nb_prefix *within) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == kind && nb_port_range_contains(&rule->ports, port) && rule_holds(rule, ip, within))
                        return rule;
        }
        return NULL;
}

static bool rule_is(const struct policy_rule *rule, const struct nb_prefix *prefix) {
        const struct nb_prefix *prefixes = &rule->prefix;
        size_t n = 1;

        if (rule->target == POLICY_TARGET_NAME)
                return false;
        if (rule->target == POLICY_TARGET_GROUP)
                n = policy_group_prefixes(rule->group, &prefixes);
        for (size_t i = 0; i < n; ++i)
                if (prefixes[i].length == prefix->length && nb_ip_equal(&prefixes[i].ip, &prefix->ip))
                        return true;
        return false;
}

const struct policy_rule *policy_match_exactly(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                               const struct nb_prefix *prefix, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == kind && nb_port_range_contains(&rule->ports, port) && rule_is(rule, prefix))
                        return rule;
        }
        return NULL;
}

const struct policy_rule *policy_match_family(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                              sa_family_t family, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind != kind || !nb_port_range_contains(&rule->ports, port))
                        continue;
                if (rule->target == POLICY_TARGET_GROUP ||
                    (rule->target == POLICY_TARGET_PREFIX && rule->prefix.ip.family == family))
                        return rule;
        }
        return NULL;
}

static bool pattern_holds(const struct policy_name_pattern *pattern, const char *name) {
        size_t length = strlen(name), tail = strlen(pattern->text);

        if (!pattern->below)
                return strcmp(pattern->text, name) == 0;
        return length > tail + 1 && name[length - tail - 1] == '.' && strcmp(name + length - tail, pattern->text) == 0;
}

const struct policy_rule *policy_match_host(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                            const struct policy_host_name *name) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == kind && rule->target == POLICY_TARGET_NAME &&
                    nb_port_range_contains(&rule->ports, name->port) && pattern_holds(&rule->name, name->text))
                        return rule;
        }
        return NULL;
}

static const struct policy_range default_range = {
        .target = POLICY_TARGET_GROUP,
        .group = POLICY_GROUP_PUBLIC,
        .text = (char *)"public",
};

const struct policy_range *policy_match_range(const struct policy_protocol *protocol, const struct nb_ip *ip,
                                              const struct nb_prefix *within) {
        const struct policy_range *ranges = protocol->n_addresses > 0 ? protocol->addresses : &default_range;
        size_t n = protocol->n_addresses > 0 ? protocol->n_addresses : 1;

        for (size_t i = 0; i < n; ++i) {
                const struct policy_range *range = &ranges[i];

                if (range->target == POLICY_TARGET_PREFIX ? prefix_holds(&range->prefix, ip, within)
                                                          : group_holds(range->group, ip, within))
                        return range;
        }
        return NULL;
}

const struct policy_rule *policy_match_unix(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                            const struct nb_unix_name *name) {
        /* Who forbids all of a folder means what is hidden there as well; who grants it does not. */
        bool dots = kind == POLICY_RULE_DENY;

        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == kind && policy_unix_pattern_matches(&rule->pattern, name, dots))
                        return rule;
        }
        return NULL;
}
