/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match.h"

#include <assert.h>
#include <string.h>

#include "policy/group.h"
#include "policy/index.h"
#include "policy/unix_pattern.h"

/** What `Addresses=` is where it does not stand. */
static const struct policy_range default_range = {
        .target = POLICY_TARGET_GROUP,
        .group = POLICY_GROUP_PUBLIC,
        .text = (char *)"public",
};

static const struct rule_set *rules_of(const struct policy_protocol *protocol, enum policy_rule_kind kind) {
        assert(protocol->index);
        return &protocol->index->rules[kind];
}

static const struct policy_rule *rule_at(const struct policy_protocol *protocol, uint32_t number) {
        return number != RULE_SET_NONE ? &protocol->rules[number] : NULL;
}

const struct policy_rule *policy_match(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                       const struct nb_ip *ip, uint16_t port, const struct nb_prefix *within) {
        return rule_at(protocol, rule_set_find(rules_of(protocol, kind), ip, port, within));
}

const struct policy_rule *policy_match_exactly(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                               const struct nb_prefix *prefix, uint16_t port) {
        return rule_at(protocol, rule_set_find_exactly(rules_of(protocol, kind), prefix, port));
}

const struct policy_rule *policy_match_family(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                              sa_family_t family, uint16_t port) {
        return rule_at(protocol, rule_set_find_family(rules_of(protocol, kind), family, port));
}

const struct policy_rule *policy_match_host(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                            const struct policy_host_name *name) {
        return rule_at(protocol, rule_set_find_name(rules_of(protocol, kind), name->text, name->port));
}

const struct policy_rule *policy_match_below(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                             const struct policy_host_name *name) {
        return rule_at(protocol, rule_set_find_below(rules_of(protocol, kind), name->text, name->port));
}

const struct policy_range *policy_match_range(const struct policy_protocol *protocol, const struct nb_ip *ip,
                                              const struct nb_prefix *within) {
        uint32_t found;

        if (protocol->n_addresses == 0) /* `public` names nothing for the guard */
                return !within && policy_group_contains(POLICY_GROUP_PUBLIC, ip) ? &default_range : NULL;
        assert(protocol->index);
        found = rule_set_find(&protocol->index->addresses, ip, 0, within);
        return found != RULE_SET_NONE ? &protocol->addresses[found] : NULL;
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
