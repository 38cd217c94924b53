/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token that a Hello shows: verified by what the policy says of its tenant's tokens, before there is a session.
 *
 * To verify costs processor time that the knocking process chooses to have spent. Who knocks fits a tenant already, by its credentials or the socket by which it came,
 * and only so many signatures a second are verified for one tenant (HELLO_TOKEN_RATE); beyond that it is told to come again. So a flood of tokens
 * delays its own tenant's sessions with tokens that nobody has seen yet, and no others.
 */
#ifndef NB_BROKER_HELLO_TOKEN_H
#define NB_BROKER_HELLO_TOKEN_H

#include "proto/netbroker.pb-c.h"

struct rate;
struct session_token;
struct tenant;

/** What a tenant's processes may have spent on tokens, a second: a signature is HELLO_TOKEN_SIGNATURE, and all else of one token 1. Some 40 ms of processor time. */
#define HELLO_TOKEN_RATE 1000
#define HELLO_TOKEN_SIGNATURE 2

/** Makes the rate of a new tenant. */
void hello_token_rate_init(struct rate *rate, uint64_t now_ms);

/** Enough for the reason of a refusal, with its NUL. */
#define HELLO_TOKEN_REASON_MAX 600

/**
 * Verifies the token of a Hello.
 * @param tenant  that the session is for
 * @param ret     a reference, owned by the caller; NULL where none is shown and none is required
 * @param reason  of a refusal, for records
 * @return 0; -EACCES: it is refused; -EAGAIN: too many came; -ENOMEM or -ENOBUFS
 */
int hello_token_take(struct tenant *tenant, const Nb__Hello *hello, struct session_token **ret,
                     char reason[static HELLO_TOKEN_REASON_MAX]);

#endif
