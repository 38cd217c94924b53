/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/question.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/ask.h"
#include "ctl/policy_file.h"
#include "policy/explain_json.h"

/* More addresses of one name are not judged; netbrokerd uses no more either. */
#define ADDRESSES_MAX 16

int asker_init(struct asker *asker, const struct options *options) {
        *asker = (struct asker){ .options = options };
        return options->policy ? policy_file_load(options, &asker->policy) : CTL_OK;
}

void asker_deinit(struct asker *asker) {
        asker->policy = policy_free(asker->policy);
}

/* ---- by netbrokerd ---- */

static int append(void *data, const json_t *line) {
        json_t *array = data;

        return json_array_append(array, (json_t *)line) == 0 ? CTL_OK : CTL_NO;
}

static int ask_daemon(const struct asker *asker, const struct question *question, json_t *answer) {
        json_t *request =
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s*}", "verb", "explain", "tenant", question->tenant,
                          "protocol", question->protocol, "operation", question->operation, "target", question->target,
                          "resolve", (int)question->resolve, "address", question->address);

        return ask_broker(asker->options->admin_socket, request, append, answer);
}

/* ---- by the policy of files ---- */

/* Whom a question is about, and what it is. */
struct understood {
        const struct policy_tenant *tenant;
        const struct policy_protocol *protocol;
        struct policy_question question;
};

static int understand(const struct asker *asker, const struct question *question, struct understood *ret) {
        struct policy_complaint complaint = { .offset = 0 };
        enum policy_verb verb;

        ret->tenant = policy_file_tenant(asker->policy, question->tenant);
        if (!ret->tenant)
                return CTL_BAD;
        ret->protocol = policy_find_protocol(ret->tenant, question->protocol);
        if (!ret->protocol) {
                ctl_complain("the tenant %s has no protocol '%s'", question->tenant, question->protocol);
                return CTL_BAD;
        }
        if (policy_verb_parse(question->operation, &verb) < 0) {
                ctl_complain("'%s' is no operation: it is connect, listen or accept", question->operation);
                return CTL_BAD;
        }
        if (policy_question_parse(verb, question->target, &ret->question, &complaint) < 0) {
                ctl_complain("%s", complaint.message);
                return CTL_BAD;
        }
        return CTL_OK;
}

/* @param ip  NULL: the question as it stands @return whether it is allowed */
static bool explain(const struct understood *understood, const struct nb_ip *ip, json_t *answer) {
        struct policy_explanation explanation;

        policy_explain(understood->tenant, understood->protocol, &understood->question, ip, &explanation);
        (void)json_array_append_new(answer, policy_explanation_to_json(&explanation));
        return explanation.verdict.allowed;
}

static void free_addresses(struct addrinfo **list) {
        if (*list)
                freeaddrinfo(*list);
}

static int family_of(enum policy_family family) {
        return family == POLICY_FAMILY_IPV4 ? AF_INET : family == POLICY_FAMILY_IPV6 ? AF_INET6 : AF_UNSPEC;
}

/* With the root as its search list (resolv.conf(5)) a name is complete as it stands, in the hosts file too. */
static int look_up(const struct understood *understood, struct addrinfo **ret) {
        const struct addrinfo hints = { .ai_family = family_of(understood->protocol->family),
                                        .ai_socktype = SOCK_STREAM };
        const char *name = understood->question.name.text;
        int r = setenv("LOCALDOMAIN", ".", 1) < 0 ? EAI_MEMORY : 0;

        if (r == 0)
                r = getaddrinfo(name, NULL, &hints, ret);
        if (r != 0)
                ctl_complain("cannot look up %s: %s", name, gai_strerror(r));
        return r == 0 ? CTL_OK : CTL_NO;
}

static int explain_addresses(const struct understood *understood, json_t *answer) {
        NB_CLEANUP(free_addresses) struct addrinfo *list = NULL;
        int status = look_up(understood, &list), n = 0;

        if (status != CTL_OK)
                return status;
        for (const struct addrinfo *info = list; info && n < ADDRESSES_MAX; info = info->ai_next) {
                struct nb_address address;

                if (nb_address_from_sockaddr(info->ai_addr, info->ai_addrlen, &address) < 0)
                        continue;
                (void)explain(understood, &address.ip, answer);
                n++;
        }
        return CTL_OK;
}

static int ask_policy(const struct asker *asker, const struct question *question, json_t *answer) {
        struct understood understood;
        struct nb_ip ip;
        int status = understand(asker, question, &understood);

        if (status != CTL_OK)
                return status;
        if (question->address &&
            (!understood.question.named || nb_ip_parse(question->address, strlen(question->address), &ip) < 0)) {
                ctl_complain("'%s': an address without a port is judged for a name", question->address);
                return CTL_BAD;
        }
        /* A name that is not granted is not asked of DNS, here neither; nor is one that a proxy resolves. */
        if (!explain(&understood, NULL, answer) || !understood.question.named || understood.protocol->proxy.resolves)
                return CTL_OK;
        if (question->address)
                (void)explain(&understood, &ip, answer);
        return question->resolve ? explain_addresses(&understood, answer) : CTL_OK;
}

/* ---- both ---- */

int asker_ask(const struct asker *asker, const struct question *question, json_t **ret) {
        json_t *answer = json_array();
        int status;

        if (!answer) {
                ctl_complain("out of memory");
                return CTL_NO;
        }
        status = asker->policy ? ask_policy(asker, question, answer) : ask_daemon(asker, question, answer);
        if (status == CTL_OK && json_array_size(answer) == 0) {
                ctl_complain("netbrokerd has answered nothing");
                status = CTL_UNREACHABLE;
        }
        if (status == CTL_OK)
                *ret = answer;
        else
                json_decref(answer);
        return status;
}

static bool is_allowed(const json_t *explanations, size_t index) {
        return json_is_true(json_object_get(json_array_get(explanations, index), "allowed"));
}

bool asker_says_yes(const json_t *explanations) {
        size_t n = json_array_size(explanations);

        if (!is_allowed(explanations, 0))
                return false;
        for (size_t i = 1; i < n; ++i) {
                if (is_allowed(explanations, i))
                        return true;
        }
        return n == 1;
}
