/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the rules of a protocol are found: made once, when the rules are complete, and not changed any more. policy/match.h asks it.
 */
#ifndef NB_POLICY_INDEX_H
#define NB_POLICY_INDEX_H

#include "policy/policy.h"
#include "policy/rule_set.h"

#define POLICY_N_RULE_KINDS (POLICY_RULE_DENY + 1)

struct policy_index {
        struct rule_set rules[POLICY_N_RULE_KINDS];
        struct rule_set addresses; /* the words of `Addresses=`, with all ports */
};

/**
 * Indexes the rules and the words of `Addresses=` of a protocol, for policy/match.h. An index that is there already is replaced. Whoever
 * changes the rules afterwards must ask for it again.
 * @return 0, or -ENOMEM: then what was there is there.
 */
int policy_index_build(struct policy_protocol *protocol);

/** Takes NULL. @return NULL. */
struct policy_index *policy_index_free(struct policy_index *index);

#endif
