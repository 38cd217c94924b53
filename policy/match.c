/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match.h"

#include "policy/unix_pattern.h"

const struct policy_rule *policy_match(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                       const struct nb_ip *ip, uint16_t port, const struct nb_prefix *within) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind != kind || !nb_port_range_contains(&rule->ports, port))
                        continue;
                if (!nb_prefix_contains(&rule->prefix, ip))
                        continue;
                if (!within || nb_prefix_covers(within, &rule->prefix))
                        return rule;
        }
        return NULL;
}

const struct policy_rule *policy_match_exactly(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                               const struct nb_prefix *prefix, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind != kind || !nb_port_range_contains(&rule->ports, port))
                        continue;
                if (rule->prefix.length == prefix->length && nb_ip_equal(&rule->prefix.ip, &prefix->ip))
                        return rule;
        }
        return NULL;
}

const struct policy_rule *policy_match_family(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                              sa_family_t family, uint16_t port) {
        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == kind && rule->prefix.ip.family == family &&
                    nb_port_range_contains(&rule->ports, port))
                        return rule;
        }
        return NULL;
}

const struct policy_rule *policy_match_name(const struct policy_protocol *protocol, enum policy_rule_kind kind,
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
