/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of policy/policy.h, with a trace of their steps for policy/explain.h. `trace` is NULL where nobody asks why; otherwise it is
 * empty, and is filled in.
 */
#ifndef NB_POLICY_DECIDE_H
#define NB_POLICY_DECIDE_H

#include "policy/explain.h"
#include "policy/policy.h"

/** policy_decide() for IP addresses; with `name`, policy_decide_resolved(). */
void policy_decide_ip(const struct policy_protocol *protocol, enum policy_verb verb,
                      const struct policy_host_name *name, const struct nb_address *address, struct policy_verdict *ret,
                      struct policy_trace *trace);

/** policy_decide() for the name of a Unix socket. */
void policy_decide_unix(const struct policy_protocol *protocol, enum policy_verb verb, const struct nb_unix_name *name,
                        struct policy_verdict *ret, struct policy_trace *trace);

/** policy_decide_name(). */
void policy_decide_host(const struct policy_protocol *protocol, const struct policy_host_name *name,
                        struct policy_verdict *ret, struct policy_trace *trace);

/** Keeps a step, where there is a trace. */
void policy_trace_step(struct policy_trace *trace, const struct policy_step *step);

#endif
