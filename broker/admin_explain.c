/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verb explain: why something would be allowed or denied, by the evaluator that decides.
 *
 * With "resolve" a granted name is looked up by the tenant's own resolver, as a connect would, and each address is judged. With "address" it is
 * that one that is judged, and nothing is looked up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "broker/admin_client.h"
#include "broker/admin_find.h"
#include "broker/admin_verbs.h"
#include "broker/broker.h"
#include "broker/resolver.h"
#include "broker/seal.h"
#include "broker/tenant.h"
#include "policy/explain.h"
#include "policy/explain_json.h"

/* As long as the operator waits for an answer. */
#define LOOKUP_MS 10000

/* A look-up under way. Tenant and protocol by name: a reload may come in between. */
struct asking {
        struct admin_call *call;
        struct lookup *lookup;
        char *tenant;
        char *protocol;
        struct policy_question question;
};

/* Whom a question is about, in the policy of this moment. */
struct about {
        const struct policy_tenant *tenant;
        const struct policy_protocol *protocol;
};

static void asking_free(void *data) {
        struct asking *asking = data;

        asking->lookup = lookup_free(asking->lookup);
        free(asking->tenant);
        free(asking->protocol);
        free(asking);
}

static int find(struct admin_call *call, const char *tenant, const char *protocol, struct about *ret) {
        char shown[128];

        ret->tenant = admin_find_policy(call->broker, tenant);
        if (!ret->tenant)
                return admin_fail_no_tenant(call, tenant);
        ret->protocol = policy_find_protocol(ret->tenant, protocol);
        if (!ret->protocol)
                return admin_fail(call, -ENOENT, "the tenant %s has no protocol '%s'", ret->tenant->name,
                                  nb_escape(protocol, strlen(protocol), shown, sizeof(shown)));
        return 0;
}

/* What is asked about; of a name nothing is known before its addresses are. */
static bool find_address(const struct policy_explanation *explanation, struct nb_socket_address *ret) {
        if (explanation->resolved)
                *ret = nb_socket_address_of_ip(&explanation->address);
        else
                *ret = explanation->question.address;
        return explanation->resolved || !explanation->question.named;
}

/* @param ip  an address that the name has; NULL: the question as it stands @return 0 or -ENOMEM */
static int say(struct admin_call *call, const struct about *about, const struct policy_question *question,
               const struct nb_ip *ip, bool *ret_allowed) {
        struct policy_explanation explanation;
        struct policy_question asked = *question;
        struct nb_socket_address address;

        asked.seal = seal_is_proven(call->broker->seal) ? POLICY_SEAL_PROVEN : POLICY_SEAL_OPEN;
        policy_explain(about->tenant, about->protocol, &asked, ip, &explanation);
        if (find_address(&explanation, &address))
                own_refuse(&call->broker->own, question->verb, &address, &explanation.verdict);
        *ret_allowed = explanation.verdict.allowed;
        return admin_say(call, policy_explanation_to_json(&explanation));
}

static int fail_lookup(struct admin_call *call, const struct policy_question *question, int r) {
        const char *why = r == -ENOENT      ? "there is no such name"
                          : r == -ENODATA   ? "it has no address of the protocol's family"
                          : r == -EAGAIN    ? "the name servers do not answer, or there are too many look-ups"
                          : r == -ETIMEDOUT ? "no answer in time"
                                            : strerror(-r);

        return admin_fail(call, -EHOSTUNREACH, "cannot look up %s: %s", question->name.text, why);
}

/* @return enum admin_progress, or -errno */
static int say_answer(struct admin_call *call, const struct about *about, const struct policy_question *question,
                      const struct resolver_answer *answer) {
        bool allowed;

        if (answer->error < 0)
                return fail_lookup(call, question, answer->error);
        for (size_t i = 0; i < answer->n_addresses; ++i) {
                if (say(call, about, question, &answer->addresses[i], &allowed) < 0)
                        return -ENOMEM;
        }
        return ADMIN_END;
}

static void looked_up(void *data, const struct resolver_answer *answer) {
        struct asking *asking = data;
        struct admin_call *call = asking->call;
        struct about about;
        int r;

        asking->lookup = NULL;
        r = find(call, asking->tenant, asking->protocol, &about);
        if (r == 0)
                r = say_answer(call, &about, &asking->question, answer);
        admin_client_resume(call, r);
}

static int begin_lookup(struct admin_call *call, const struct about *about, const struct policy_question *question) {
        struct tenant *tenant = tenant_get(call->broker, about->tenant);
        struct resolver *resolver = tenant ? resolver_of(tenant) : NULL;
        struct asking *asking = resolver ? calloc(1, sizeof(*asking)) : NULL;
        struct resolver_answer answer;
        int r;

        if (!asking)
                return -ENOMEM;
        call->state = asking;
        call->free_state = asking_free;
        asking->call = call;
        asking->question = *question;
        asking->tenant = strdup(about->tenant->name);
        asking->protocol = strdup(about->protocol->name);
        if (!asking->tenant || !asking->protocol)
                return -ENOMEM;
        r = resolver_lookup(resolver, question->name.text, about->protocol->family, LOOKUP_MS, looked_up, asking,
                            &answer, &asking->lookup);
        if (r < 0)
                return fail_lookup(call, question, r);
        return r == 0 ? ADMIN_WAIT : say_answer(call, about, question, &answer);
}

static int parse(struct admin_call *call, const char *operation, const char *target, struct policy_question *ret) {
        struct policy_complaint complaint = { .offset = 0 };
        enum policy_verb verb;

        if (policy_verb_parse(operation, &verb) < 0)
                return admin_fail(call, -EINVAL, "an operation is connect, listen or accept");
        if (policy_question_parse(verb, target, ret, &complaint) < 0)
                return admin_fail(call, -EINVAL, "%s", complaint.message);
        return 0;
}

int admin_explain(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant, *protocol, *operation, *target, *address = NULL;
        struct policy_question question;
        struct about about;
        struct nb_ip ip;
        bool allowed;
        int resolve = 0, r;

        r = admin_take(call, request, "{s:s, s:s, s:s, s:s, s:s, s?b, s?s}", "verb", &verb, "tenant", &tenant,
                       "protocol", &protocol, "operation", &operation, "target", &target, "resolve", &resolve,
                       "address", &address);
        if (r == 0)
                r = find(call, tenant, protocol, &about);
        if (r == 0)
                r = parse(call, operation, target, &question);
        if (r < 0)
                return r;
        if (address && (!question.named || nb_ip_parse(address, strlen(address), &ip) < 0))
                return admin_fail(call, -EINVAL, "\"address\" is an address without a port that a name is to have");
        r = say(call, &about, &question, NULL, &allowed);
        if (r < 0 || !allowed || !question.named || about.protocol->proxy.resolves)
                return r;
        if (address)
                return say(call, &about, &question, &ip, &allowed);
        return resolve ? begin_lookup(call, &about, &question) : ADMIN_END;
}
