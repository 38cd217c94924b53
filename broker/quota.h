/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant's limits (netbroker.conf(5)), and telling the operator when one is reached.
 *
 * Each denial is counted. The first of each limit is in the log, and after that one a minute, with how many there were: a tenant that
 * meets its limit a thousand times a second says it once.
 */
#ifndef NB_BROKER_QUOTA_H
#define NB_BROKER_QUOTA_H

#include <stdint.h>

#include "broker/account.h"
#include "broker/rate.h"
#include "policy/policy.h"

struct tenant;

/** What was told of one limit. */
struct quota_told {
        uint64_t next_ms; /* of the loop's clock: not told again before */
        uint64_t untold;  /* denials since */
};

/** A tenant's. */
struct quota {
        struct rate connects; /* ConnectRate= */
        struct quota_told told[POLICY_N_LIMITS];
};

/** At the tenant's start; the account is there already. */
void quota_init(struct tenant *tenant);

/** Takes the limits of the tenant's policy; without one they stay as they are. After a reload. */
void quota_apply_policy(struct tenant *tenant);

/**
 * Takes one thing of the tenant's account, or tells of the denial.
 * @return 0, and account_release() gives it back; -EAGAIN for connects being made and look-ups, of which there will be room in a moment; of
 *         others -EMFILE at the tenant's own limit, -ENFILE at that of all tenants; -ENOBUFS where it is memory that is short
 */
int quota_claim(struct tenant *tenant, enum account_kind kind);

/** The same for bytes of memory. @return 0 or -ENOBUFS */
int quota_claim_bytes(struct tenant *tenant, uint64_t n);

/** Takes one connect of ConnectRate=. @return 0; -EAGAIN: there were enough for now */
int quota_take_connect(struct tenant *tenant);

/** Tells of a denial that was found in another way. */
void quota_deny(struct tenant *tenant, enum policy_limit limit);

/** @return the kind of account that a limit is for; N_ACCOUNT_KINDS for rates and bytes in flight, which are no account's. */
enum account_kind quota_account_kind(enum policy_limit limit);

#endif
