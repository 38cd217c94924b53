/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What requests of the operator's name, and what they are told when there is no such thing.
 */
#ifndef NB_BROKER_ADMIN_FIND_H
#define NB_BROKER_ADMIN_FIND_H

#include "base/log.h"
#include "broker/admin_call.h"
#include "policy/policy.h"

struct session;
struct tenant;

/** @return the tenant of that name in the policy, or NULL. */
const struct policy_tenant *admin_find_policy(const struct broker *broker, const char *name);

/** @return the tenant of that name, if it has been here and is still of interest; or NULL. */
struct tenant *admin_find_tenant(const struct broker *broker, const char *name);

/** @return the session of that number, or NULL. */
struct session *admin_find_session(const struct broker *broker, uint64_t id);

/** "notice" and the like, as nb_log_level_parse() reads it. */
const char *admin_level_name(enum nb_log_level level);

/** @return -ENOENT, put into words. */
int admin_fail_no_tenant(struct admin_call *call, const char *name);

#endif
