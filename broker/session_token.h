/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capability token of a session: what it narrows, who has issued it, and how much of its quotas is used. Shared by the session and all that came of it, for
 * a control or a connection may be there when the session's channel is not.
 *
 * A token is verified once, in Hello (broker/hello_token.h). What changes afterwards is judged here: its time, the issuers that the policy trusts, and the
 * list of what is revoked.
 */
#ifndef NB_BROKER_SESSION_TOKEN_H
#define NB_BROKER_SESSION_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/account.h"
#include "broker/restriction.h"
#include "policy/narrowing.h"
#include "token/key.h"

struct tenant;

struct session_token {
        unsigned n_refs;
        struct tenant *tenant;         /* borrowed */
        uint64_t charged;              /* bytes of its memory */
        struct narrowings *narrowings; /* a reference; never NULL */
        struct token_key issuer;
        uint64_t used[N_ACCOUNT_KINDS];
};

/**
 * Makes the token of a session, and charges its tenant with what it takes.
 * @param tenant      borrowed: it outlives its sessions and connections
 * @param narrowings  borrowed
 * @param ret         a reference, owned by the caller
 * @return 0; -ENOBUFS: the tenant has as much memory as it may have; -ENOMEM
 */
int session_token_new(struct tenant *tenant, const struct narrowings *narrowings, const struct token_key *issuer,
                      struct session_token **ret);

/** Takes NULL. @return another reference */
struct session_token *session_token_ref(struct session_token *token);

/** Takes NULL. @return NULL */
struct session_token *session_token_unref(struct session_token *token);

/** What a token narrows, borrowed; NULL without one. */
const struct narrowings *session_token_narrowings(const struct session_token *token);

/** Whether a session with that token may have one more. Takes NULL: a session without one may. */
bool session_token_has_room(const struct session_token *token, enum account_kind kind);

/** Takes one of a quota. @param token  NULL: there is none @return 0; -EMFILE: it has as many as it may have */
int session_token_claim(struct session_token *token, enum account_kind kind);

/** Takes one that is there already, whatever the quota says. */
void session_token_restore(struct session_token *token, enum account_kind kind);

void session_token_release(struct session_token *token, enum account_kind kind);

/** The identifier of its first block as a text, by which the whole is known and revoked. @return `buffer`; "" without a token */
#define SESSION_TOKEN_TEXT_MAX 40
const char *session_token_text(const struct session_token *token, char buffer[static SESSION_TOKEN_TEXT_MAX]);

/** The label of its last block that has one, borrowed; "" where there is none. */
const char *session_token_label(const struct session_token *token);

/**
 * Whether the tenant's policy of this moment would take it: it trusts the issuer, nothing of it is revoked, and without a token none is required.
 * @param token   NULL: none
 * @param ret_reason  why not, for records
 */
bool session_token_holds(const struct session_token *token, const struct tenant *tenant, const char **ret_reason);

/** As restriction_describe(), with the token's issuer. @param token  borrowed likewise; NULL: none */
Nb__State__Narrowings *session_token_describe(const struct session_token *token, const struct narrowings *narrowings,
                                              struct restriction_state *state);

/**
 * Makes a token of what was kept, whose narrowings are there already and have charged the tenant.
 * @param narrowings  borrowed
 * @param ret         a reference, owned by the caller; NULL where no token was kept
 * @return 0, -EBADMSG or -ENOMEM
 */
int session_token_restored(struct tenant *tenant, const Nb__State__Narrowings *state,
                           const struct narrowings *narrowings, struct session_token **ret);

/** Whether its time is over. @param now_ms  since 1970 */
bool session_token_has_expired(const struct session_token *token, uint64_t now_ms);

#endif
