/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/decide.h"

#include <assert.h>

void policy_trace_step(struct policy_trace *trace, const struct policy_step *step) {
        if (!trace)
                return;
        assert(trace->n_steps < POLICY_STEPS_MAX);
        trace->steps[trace->n_steps++] = *step;
}

void policy_decide(const struct policy_protocol *protocol, enum policy_verb verb,
                   const struct nb_socket_address *address, struct policy_verdict *ret) {
        if (address->family == AF_UNIX)
                policy_decide_unix(protocol, verb, &address->un, ret, NULL);
        else
                policy_decide_ip(protocol, verb, NULL, &address->ip, ret, NULL);
}

void policy_decide_name(const struct policy_protocol *protocol, const struct policy_host_name *name,
                        struct policy_verdict *ret) {
        policy_decide_host(protocol, name, ret, NULL);
}

void policy_decide_resolved(const struct policy_protocol *protocol, const struct policy_host_name *name,
                            const struct nb_address *address, struct policy_verdict *ret) {
        policy_decide_ip(protocol, POLICY_CONNECT, name, address, ret, NULL);
}
