/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several processes serves a tenant, where netbrokerd has more than one (--shards).
 *
 * A tenant is served by one of them at a time, so that its quotas and rates need no messages between them: by `Shard=`, or by a hash of its name. A
 * `Shard=` beyond the number of processes is dealt round, so that a policy is valid whatever that number is.
 *
 * Each process reads the whole policy, which is checked as a whole, and then keeps what is its own. That all have read the same text is told by
 * a number over all of it.
 */
#ifndef NB_POLICY_SHARD_H
#define NB_POLICY_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/policy.h"

/** @param n  processes, at least one @return which of them, from 1 */
unsigned policy_shard_of(const struct policy_tenant *tenant, unsigned n);

/** The same for a tenant of which nothing but its name is known. */
unsigned policy_shard_of_name(const char *name, unsigned n);

/**
 * Takes all tenants from a policy that another process serves; their names are kept in `elsewhere`.
 * @return 0; -ENOMEM, and the policy is not to be used
 */
int policy_keep_shard(struct policy *policy, unsigned shard, unsigned n);

/** Whether another process serves the tenant of that name. */
bool policy_is_elsewhere(const struct policy *policy, const char *name);

/**
 * A number over all that a policy says, as policy_format_tenant() writes it: for comparing what several processes have read at the same time, not
 * against who would deceive.
 * @return 0 or -ENOMEM
 */
int policy_digest(const struct policy *policy, uint64_t *ret);

#endif
