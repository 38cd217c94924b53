/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/session_token.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/quota.h"
#include "broker/revocations.h"
#include "broker/tenant.h"
#include "token/block.h"
#include "token/revocation.h"

/* What the narrowings of a byte of a token take at the most, with their indexes; and what each block takes beside. */
#define BYTES_A_BYTE 64
#define BYTES_A_BLOCK 4096

static uint64_t price_of(const struct narrowings *narrowings) {
        size_t n = narrowings_count(narrowings);
        uint64_t price = sizeof(struct session_token) + n * (uint64_t)BYTES_A_BLOCK;

        for (size_t i = 0; i < n; ++i) {
                size_t length;

                (void)narrowings_bytes(narrowings, i, &length);
                price += length * (uint64_t)BYTES_A_BYTE;
        }
        return price;
}

/* Not charged yet. */
static struct session_token *new_free(struct tenant *tenant, const struct narrowings *narrowings,
                                      const struct token_key *issuer) {
        struct session_token *token = calloc(1, sizeof(*token));

        if (!token)
                return NULL;
        token->n_refs = 1;
        token->tenant = tenant;
        token->narrowings = narrowings_ref(narrowings);
        token->issuer = *issuer;
        return token;
}

int session_token_new(struct tenant *tenant, const struct narrowings *narrowings, const struct token_key *issuer,
                      struct session_token **ret) {
        struct session_token *token = new_free(tenant, narrowings, issuer);
        uint64_t price = price_of(narrowings);
        int r = token ? quota_claim_bytes(tenant, price) : -ENOMEM;

        if (r < 0) {
                session_token_unref(token);
                return r;
        }
        token->charged = price;
        *ret = token;
        return 0;
}

Nb__State__Narrowings *session_token_describe(const struct session_token *token, const struct narrowings *narrowings,
                                              struct restriction_state *state) {
        Nb__State__Narrowings *message = restriction_describe(narrowings, state);

        if (message && token)
                message->token_issuer =
                        (ProtobufCBinaryData){ sizeof(token->issuer.bytes), (uint8_t *)token->issuer.bytes };
        return message;
}

int session_token_restored(struct tenant *tenant, const Nb__State__Narrowings *state,
                           const struct narrowings *narrowings, struct session_token **ret) {
        struct token_key issuer;

        if (!state || state->token_issuer.len == 0) {
                *ret = NULL;
                return 0;
        }
        if (state->token_issuer.len != sizeof(issuer.bytes))
                return -EBADMSG;
        memcpy(issuer.bytes, state->token_issuer.data, sizeof(issuer.bytes));
        *ret = new_free(tenant, narrowings, &issuer);
        return *ret ? 0 : -ENOMEM;
}

struct session_token *session_token_ref(struct session_token *token) {
        if (token)
                token->n_refs++;
        return token;
}

struct session_token *session_token_unref(struct session_token *token) {
        if (!token || --token->n_refs > 0)
                return NULL;
        for (size_t i = 0; i < N_ACCOUNT_KINDS; ++i)
                assert(token->used[i] == 0);
        account_release_bytes(&token->tenant->account, token->charged);
        narrowings_unref(token->narrowings);
        free(token);
        return NULL;
}

const struct narrowings *session_token_narrowings(const struct session_token *token) {
        return token ? token->narrowings : NULL;
}

/* ---- quotas ---- */

static uint64_t limit_of(const struct session_token *token, enum account_kind kind) {
        for (size_t i = 0; token_quota_limit(i) != POLICY_N_LIMITS; ++i)
                if (quota_account_kind(token_quota_limit(i)) == kind)
                        return narrowings_limit(token->narrowings, token_quota_limit(i));
        return POLICY_UNLIMITED;
}

bool session_token_has_room(const struct session_token *token, enum account_kind kind) {
        return !token || token->used[kind] < limit_of(token, kind);
}

int session_token_claim(struct session_token *token, enum account_kind kind) {
        if (!session_token_has_room(token, kind))
                return -EMFILE;
        session_token_restore(token, kind);
        return 0;
}

void session_token_restore(struct session_token *token, enum account_kind kind) {
        if (token)
                token->used[kind]++;
}

void session_token_release(struct session_token *token, enum account_kind kind) {
        if (!token)
                return;
        assert(token->used[kind] > 0);
        token->used[kind]--;
}

/* ---- who it is ---- */

const char *session_token_text(const struct session_token *token, char buffer[static SESSION_TOKEN_TEXT_MAX]) {
        const uint8_t *id = token ? narrowings_id(token->narrowings, 0) : NULL;

        _Static_assert(SESSION_TOKEN_TEXT_MAX >= TOKEN_ID_TEXT_MAX, "an identifier does not fit");
        buffer[0] = '\0';
        return id ? token_id_format(id, buffer) : buffer;
}

const char *session_token_label(const struct session_token *token) {
        size_t n = token ? narrowings_count(token->narrowings) : 0;

        while (n > 0) {
                const char *label = narrowings_label(token->narrowings, --n);

                if (*label)
                        return label;
        }
        return "";
}

/* ---- what may have changed ---- */

static bool is_trusted(const struct token_key *issuer, const struct policy_tokens *policy) {
        for (size_t i = 0; i < policy->n_keys; ++i)
                if (memcmp(issuer->bytes, policy->keys[i].bytes, sizeof(issuer->bytes)) == 0)
                        return true;
        return false;
}

bool session_token_holds(const struct session_token *token, const struct tenant *tenant, const char **ret_reason) {
        const struct policy_tokens *policy;

        if (!tenant->policy) {
                *ret_reason = "the policy no longer has the tenant";
                return false;
        }
        policy = &tenant->policy->tokens;
        if (!token) {
                *ret_reason = "the tenant takes sessions with a token only (RequireToken=)";
                return !policy->required;
        }
        if (!is_trusted(&token->issuer, policy)) {
                *ret_reason = "its token's issuer is none of those that the tenant trusts (TokenKey=)";
                return false;
        }
        *ret_reason = "its token is revoked (RevokedTokens=)";
        return !token_revocations_find(revocations_of(tenant->broker, tenant->policy), token->narrowings);
}

bool session_token_has_expired(const struct session_token *token, uint64_t now_ms) {
        uint64_t end_s = token ? narrowings_time(token->narrowings).not_after : 0;

        return end_s > 0 && now_ms / 1000 >= end_s;
}
