/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/decision.h"

#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/session.h"
#include "broker/tenant.h"

static const char *verb_name(enum policy_verb verb) {
        switch (verb) {
        case POLICY_CONNECT:
                return "connect";
        case POLICY_LISTEN:
                return "listen";
        case POLICY_ACCEPT:
                return "accept";
        }
        return "unknown";
}

bool family_fits(const struct grant *grant, sa_family_t family) {
        return !grant->policy || policy_family_includes(grant->policy->family, family);
}

void decide_again(const struct grant *grant, enum policy_verb verb, const struct nb_socket_address *address,
                  struct policy_verdict *ret) {
        if (grant->policy) {
                policy_decide(grant->policy, verb, address, ret);
                return;
        }
        *ret = (struct policy_verdict){ .allowed = false };
        (void)snprintf(ret->reason, sizeof(ret->reason), "the policy no longer has [%s %s]",
                       grant->preopen ? "Preopen" : "Protocol", grant->name);
}

void decide(const struct session *session, const struct grant *grant, enum policy_verb verb,
            const struct nb_socket_address *address, const char *asked, struct policy_verdict *ret) {
        struct broker *broker = session->broker;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct audit_record record = {
                .session = session,
                .verb = verb_name(verb),
                .protocol = grant->name,
                .asked = asked,
                .asked_length = asked ? strlen(asked) : 0,
        };

        decide_again(grant, verb, address, ret);
        if (ret->allowed && broker->log.level < NB_LOG_INFO)
                return;
        record.verdict = ret->allowed ? "allowed" : "denied";
        record.address = nb_socket_address_format(address, text);
        record.rule = ret->rule;
        record.reason = ret->reason;
        record.remedy = ret->remedy;
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

void decision_record_refusal(const struct session *session, const struct grant *grant, const char *verb,
                             const char *asked, const char *reason) {
        struct broker *broker = session->broker;
        struct audit_record record = {
                .session = session,
                .verb = verb,
                .verdict = "denied",
                .protocol = grant->name,
                .asked = asked,
                .asked_length = asked ? strlen(asked) : 0,
                .reason = reason,
        };

        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

void decision_record_failure(const struct session *session, const struct grant *grant, const char *verb,
                             const struct nb_socket_address *address, const char *reason) {
        struct broker *broker = session->broker;
        char text[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct audit_record record = {
                .session = session,
                .verb = verb,
                .verdict = "denied",
                .protocol = grant->name,
                .address = nb_socket_address_format(address, text),
                .reason = reason,
        };

        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}
