/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_POLICY_DECIDE_UNIX_H
#define NB_POLICY_DECIDE_UNIX_H

#include "policy/policy.h"

/** policy_decide() for the name of a Unix socket. */
void policy_decide_unix(const struct policy_protocol *protocol, enum policy_verb verb, const struct nb_unix_name *name,
                        struct policy_verdict *ret);

#endif
