/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"

static struct rule_set_member member_of_rule(const struct policy_rule *rule, size_t number) {
        struct rule_set_member member = { .number = (uint32_t)number, .target = rule->target, .ports = rule->ports };

        if (rule->target == POLICY_TARGET_PREFIX)
                member.prefix = rule->prefix;
        else if (rule->target == POLICY_TARGET_GROUP)
                member.group = rule->group;
        else
                member.name = &rule->name;
        return member;
}

static struct rule_set_member member_of_range(const struct policy_range *range, size_t number) {
        struct rule_set_member member = {
                .number = (uint32_t)number,
                .target = range->target,
                .ports = { 0, UINT16_MAX },
        };

        if (range->target == POLICY_TARGET_PREFIX)
                member.prefix = range->prefix;
        else
                member.group = range->group;
        return member;
}

/** Indexes the rules of one kind. @param members  has room for all rules */
static int index_kind(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                      struct rule_set_member *members, struct policy_index *index) {
        size_t n = 0;

        for (size_t i = 0; i < protocol->n_rules; ++i) {
                const struct policy_rule *rule = &protocol->rules[i];

                if (rule->kind == kind && rule->target != POLICY_TARGET_UNIX)
                        members[n++] = member_of_rule(rule, i);
        }
        return rule_set_init(members, n, &index->rules[kind]);
}

static int index_addresses(const struct policy_protocol *protocol, struct rule_set_member *members,
                           struct policy_index *index) {
        for (size_t i = 0; i < protocol->n_addresses; ++i)
                members[i] = member_of_range(&protocol->addresses[i], i);
        return rule_set_init(members, protocol->n_addresses, &index->addresses);
}

static int fill(const struct policy_protocol *protocol, struct policy_index *index) {
        size_t most = protocol->n_rules > protocol->n_addresses ? protocol->n_rules : protocol->n_addresses;
        NB_CLEANUP_FREE struct rule_set_member *members = calloc(most + 1, sizeof(*members));
        int r;

        if (!members || most >= RULE_SET_NONE / 4) /* numbers of nodes have to fit as well */
                return -ENOMEM;
        r = index_addresses(protocol, members, index);
        for (int kind = 0; r == 0 && kind < POLICY_N_RULE_KINDS; ++kind)
                r = index_kind(protocol, (enum policy_rule_kind)kind, members, index);
        return r;
}

int policy_index_build(struct policy_protocol *protocol) {
        struct policy_index *index = calloc(1, sizeof(*index));

        if (!index)
                return -ENOMEM;
        if (fill(protocol, index) < 0) {
                policy_index_free(index);
                return -ENOMEM;
        }
        policy_index_free(protocol->index);
        protocol->index = index;
        return 0;
}

struct policy_index *policy_index_free(struct policy_index *index) {
        if (!index)
                return NULL;

        for (size_t i = 0; i < POLICY_N_RULE_KINDS; ++i)
                rule_set_deinit(&index->rules[i]);
        rule_set_deinit(&index->addresses);
        free(index);
        return NULL;
}
