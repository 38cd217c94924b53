/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of revoked tokens that a policy names (`RevokedTokens=`), read with it: at the start, and by each reload. A list that cannot be read fails
 * the load, for without it revoked tokens would be good again.
 */
#ifndef NB_BROKER_REVOCATIONS_H
#define NB_BROKER_REVOCATIONS_H

#include "base/log.h"
#include "policy/policy.h"

struct broker;
struct revocations;
struct token_revocations;

/**
 * Reads the lists of all tenants of a policy, or logs what is wrong with one.
 * @param policy  borrowed for as long as the lists are there
 * @param ret     owned by the caller
 * @return 0, -EINVAL or -ENOMEM
 */
int revocations_load(const struct nb_log *log, const struct policy *policy, struct revocations **ret);

/** Takes NULL. @return NULL */
struct revocations *revocations_free(struct revocations *revocations);

/** @param tenant  of the policy in force @return its list, borrowed; NULL: nothing is revoked */
const struct token_revocations *revocations_of(const struct broker *broker, const struct policy_tenant *tenant);

#endif
