/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant at run time: its place in the current policy, its account, and its grants.
 *
 * A policy is replaced as a whole, while sessions and controls stay. So they hold tenants and grants, which keep their
 * address, and only these hold pointers into the policy; after a reload they are pointed at the new one, or at nothing, which
 * denies.
 */
#ifndef NB_BROKER_TENANT_H
#define NB_BROKER_TENANT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"
#include "broker/account.h"
#include "broker/audit.h"
#include "broker/connection_watch.h"
#include "broker/metrics.h"
#include "broker/quota.h"
#include "broker/rate.h"
#include "broker/throttle.h"
#include "policy/policy.h"

struct broker;
struct relay_pool;
struct resolver;
struct seen;

/** A protocol of a tenant, or a preopened socket's own, by name. One is not the other's, though a reload may give the name to either. */
struct grant {
        struct nb_list link;
        struct tenant *tenant;
        char *name;
        bool preopen;
        const struct policy_protocol *policy; /* NULL: the policy no longer has it */
};

struct tenant {
        struct nb_list link;
        struct broker *broker;
        char *name;
        const struct policy_tenant *policy; /* NULL: the policy no longer has it */
        struct nb_list grants;
        struct nb_list connections;    /* in its hands (broker/connection.h) */
        struct tenant_holding holding; /* what is known of these together */
        struct account account;
        struct quota quota;
        struct throttle throttle;
        struct metrics metrics;
        struct resolver *resolver; /* NULL until the first name */
        struct relay_pool *relays; /* NULL until the first object of one */
        struct seen *seen;         /* may be NULL */
        struct audit_rate audit_rate;
        struct rate token_rate; /* what is spent on the tokens of those who knock (broker/hello_token.h) */
        uint32_t n_sessions;
};

/** @return the tenant's run-time object, made on first use; NULL without memory. Borrowed from the broker. */
struct tenant *tenant_get(struct broker *broker, const struct policy_tenant *policy);

/** The same by its name, for what a broker before has left: the policy may not have it any more. */
struct tenant *tenant_get_named(struct broker *broker, const char *name);

/** Frees the tenant if nothing needs it any more. */
void tenant_release_if_unused(struct tenant *tenant);

/** Takes NULL. @return NULL */
struct tenant *tenant_free(struct tenant *tenant);

/** @return the grant of that name and kind, made on first use; NULL without memory. Borrowed from the tenant. */
struct grant *tenant_get_grant(struct tenant *tenant, const struct policy_protocol *policy);

/** The same by its name and kind, whether the policy has it or not. */
struct grant *tenant_get_grant_named(struct tenant *tenant, const char *name, bool preopen);

/** Points the tenant and its grants at another policy. */
void tenant_apply_policy(struct tenant *tenant, const struct policy *policy);

/** Whether a reload leaves alone what the tenant has and is no longer granted (`Existing=keep`). */
bool tenant_keeps_existing(const struct tenant *tenant);

#endif
