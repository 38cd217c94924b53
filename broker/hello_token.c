/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/hello_token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/rate.h"
#include "broker/revocations.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "token/verify.h"

void hello_token_rate_init(struct rate *rate, uint64_t now_ms) {
        rate_init(rate, HELLO_TOKEN_RATE, HELLO_TOKEN_RATE, now_ms);
}

/* @return whether the tenant has so much to spend; then it is spent */
static bool spend(struct tenant *tenant, uint64_t n) {
        uint64_t now_ms = uv_now(&tenant->broker->loop);

        if (rate_available(&tenant->token_rate, now_ms) < n)
                return false;
        rate_spend(&tenant->token_rate, n);
        return true;
}

static bool may_verify(void *data, size_t n_signatures) {
        return spend(data, n_signatures * HELLO_TOKEN_SIGNATURE);
}

static int refuse(struct tenant *tenant, enum token_problem problem, const char *why,
                  char reason[static HELLO_TOKEN_REASON_MAX]) {
        tenant->metrics.tokens[problem]++;
        (void)snprintf(reason, HELLO_TOKEN_REASON_MAX, "%s", why);
        switch (problem) {
        case TOKEN_BUSY:
                return -EAGAIN;
        case TOKEN_SYSTEM:
                return -ENOMEM;
        default:
                return -EACCES;
        }
}

static int none_shown(struct tenant *tenant, struct session_token **ret, char reason[static HELLO_TOKEN_REASON_MAX]) {
        *ret = NULL;
        if (!tenant->policy->tokens.required)
                return 0;
        (void)snprintf(reason, HELLO_TOKEN_REASON_MAX,
                       "the tenant takes sessions with a token only (RequireToken=), and none was shown (--token)");
        return -EACCES;
}

static size_t copy_keys(const struct policy_tokens *policy, struct token_key keys[static POLICY_TOKEN_KEYS_MAX]) {
        for (size_t i = 0; i < policy->n_keys; ++i)
                memcpy(keys[i].bytes, policy->keys[i].bytes, sizeof(keys[i].bytes));
        return policy->n_keys;
}

static int take_verified(struct tenant *tenant, struct token_verdict *verdict, struct session_token **ret,
                         char reason[static HELLO_TOKEN_REASON_MAX]) {
        int r = session_token_new(tenant, verdict->narrowings, &verdict->issuer, ret);

        verdict->narrowings = narrowings_unref(verdict->narrowings);
        if (r < 0) {
                (void)refuse(tenant, TOKEN_SYSTEM, "the tenant has as much memory as it may have", reason);
                return r;
        }
        tenant->metrics.tokens[TOKEN_FINE]++;
        return 0;
}

int hello_token_take(struct tenant *tenant, const Nb__Hello *hello, struct session_token **ret,
                     char reason[static HELLO_TOKEN_REASON_MAX]) {
        struct token_key keys[POLICY_TOKEN_KEYS_MAX];
        struct broker *broker = tenant->broker;
        const struct token_trust trust = {
                .keys = keys,
                .n_keys = copy_keys(&tenant->policy->tokens, keys),
                .tenant = tenant->name,
                .now_s = token_clock_ms(&broker->token_clock) / 1000,
                .revoked = revocations_of(broker, tenant->policy),
                .cache = broker->token_cache,
                .may_verify = may_verify,
                .data = tenant,
        };
        struct token_verdict verdict;

        if (hello->token.len == 0)
                return none_shown(tenant, ret, reason);
        if (trust.n_keys == 0)
                return refuse(tenant, TOKEN_ISSUER, "the tenant takes no tokens, for it trusts no issuer (TokenKey=)",
                              reason);
        if (!spend(tenant, 1))
                return refuse(tenant, TOKEN_BUSY, "too many tokens come; try again", reason);
        if (token_verify(hello->token.data, hello->token.len, &trust, &verdict) < 0)
                return refuse(tenant, verdict.problem, verdict.reason, reason);
        return take_verified(tenant, &verdict, ret, reason);
}
