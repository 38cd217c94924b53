/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the policy, and telling the operator what it said: no decision is made without a record.
 */
#ifndef NB_BROKER_DECISION_H
#define NB_BROKER_DECISION_H

#include "policy/policy.h"

struct grant;
struct session;

/**
 * Decides by the policy of this moment; a grant that the policy no longer has is denied.
 * @param asked  what the session wrote, for the record; borrowed, NULL where the address came from the kernel
 */
void decide(const struct session *session, const struct grant *grant, enum policy_verb verb,
            const struct nb_socket_address *address, const char *asked, struct policy_verdict *ret);

/** The same without a record, for what was recorded already. */
void decide_again(const struct grant *grant, enum policy_verb verb, const struct nb_socket_address *address,
                  struct policy_verdict *ret);

/** Whether the grant is for addresses of that family; one that the policy no longer has is denied by decide(), whatever the family. */
bool family_fits(const struct grant *grant, sa_family_t family);

/** Records a refusal that is not a rule's: a text that is no address, a quota. */
void decision_record_refusal(const struct session *session, const struct grant *grant, const char *verb,
                             const char *asked, const char *reason);

/** Records that what was granted cannot be done. */
void decision_record_failure(const struct session *session, const struct grant *grant, const char *verb,
                             const struct nb_socket_address *address, const char *reason);

#endif
