/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a token is what it says, and leaves a session anything at all.
 *
 * The order is that of what a stranger can make expensive: sizes, then the issuer's key, then what the asker may still spend on signatures, then these, and only
 * then what the blocks say. Whatever goes wrong on the way is a refusal.
 *
 * A signature costs more than all else together (docs/token-format.md has figures), and the same tokens come again and again: each connection of a host, each host with its
 * own attenuation of one token. So what was verified once is remembered, by a keyed hash of the issuer's key and all blocks up to there, in a cache of fixed size. The
 * end of the token, which proves that it was not cut, is part of the last of these hashes.
 */
#ifndef NB_TOKEN_VERIFY_H
#define NB_TOKEN_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/narrowing.h"
#include "token/key.h"
#include "token/revocation.h"

/** Why a token is refused, for counters. */
enum token_problem {
        TOKEN_FINE,
        TOKEN_MALFORMED, /* no token, or a block that says what nobody here knows */
        TOKEN_ISSUER,    /* signed by none of the keys */
        TOKEN_SIGNATURE, /* a link does not hold, or the end is not the last key's */
        TOKEN_TENANT,    /* for others */
        TOKEN_EARLY,
        TOKEN_EXPIRED,
        TOKEN_REVOKED,
        TOKEN_BUSY,   /* too many came */
        TOKEN_SYSTEM, /* no memory */
        TOKEN_N_PROBLEMS,
};

/** "malformed", "issuer"... as metrics and records have it. */
const char *token_problem_name(enum token_problem problem);

struct token_cache;

/** @return owned by the caller, or NULL without memory */
struct token_cache *token_cache_new(void);

/** Takes NULL. @return NULL */
struct token_cache *token_cache_free(struct token_cache *cache);

/** What a token is held against. All borrowed. */
struct token_trust {
        const struct token_key *keys; /* of issuers; a token of none of them is refused */
        size_t n_keys;
        const char *tenant;                      /* whose session it is for; NULL: not asked */
        uint64_t now_s;                          /* since 1970; UINT64_MAX: time is not asked */
        const struct token_revocations *revoked; /* NULL: nothing is */
        struct token_cache *cache;               /* NULL: none */
        /** Whether so many signatures may be verified now; NULL: any number. */
        bool (*may_verify)(void *data, size_t n_signatures);
        void *data;
};

/** What comes of it. */
struct token_verdict {
        enum token_problem problem;
        char reason[512];              /* of a refusal, printable; never a secret */
        struct narrowings *narrowings; /* owned by the caller; NULL where it is refused */
        struct token_key issuer;       /* the one of the keys that it is signed by */
        size_t n_signatures;           /* that were verified, and not remembered */
};

/** Verifies a token. @param ret  always filled in @return 0; -EACCES: it is refused */
int token_verify(const void *bytes, size_t length, const struct token_trust *trust, struct token_verdict *ret);

#endif
