/* SPDX-License-Identifier: Apache-2.0 */
#include "token/verify.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/wall_clock.h"
#include "token/token.h"

/* "block 16 of the token" */
#define ORIGIN_MAX 32

const char *token_problem_name(enum token_problem problem) {
        static const char *const names[TOKEN_N_PROBLEMS] = {
                [TOKEN_FINE] = "fine",           [TOKEN_MALFORMED] = "malformed", [TOKEN_ISSUER] = "issuer",
                [TOKEN_SIGNATURE] = "signature", [TOKEN_TENANT] = "tenant",       [TOKEN_EARLY] = "early",
                [TOKEN_EXPIRED] = "expired",     [TOKEN_REVOKED] = "revoked",     [TOKEN_BUSY] = "busy",
                [TOKEN_SYSTEM] = "system",
        };

        return names[problem];
}

/* ---- what was verified before ---- */

#define DIGEST_SIZE 32

/* How many digests are remembered. Each has one place, and drives out what is there: who fills them all makes others pay for signatures again, and no more. */
#define CACHE_SIZE 1024

struct digest {
        uint8_t bytes[DIGEST_SIZE];
};

struct token_cache {
        uint8_t key[crypto_generichash_KEYBYTES]; /* so that nobody chooses whose place is taken */
        struct digest known[CACHE_SIZE];
};

struct token_cache *token_cache_new(void) {
        struct token_cache *cache = calloc(1, sizeof(*cache));

        if (cache)
                randombytes_buf(cache->key, sizeof(cache->key));
        return cache;
}

struct token_cache *token_cache_free(struct token_cache *cache) {
        free(cache);
        return NULL;
}

static struct digest *place_of(struct token_cache *cache, const struct digest *digest) {
        return &cache->known[(digest->bytes[0] | (size_t)digest->bytes[1] << 8) % CACHE_SIZE];
}

static bool cache_knows(struct token_cache *cache, const struct digest *digest) {
        return cache && sodium_memcmp(place_of(cache, digest), digest, sizeof(*digest)) == 0;
}

static void cache_learn(struct token_cache *cache, const struct digest *digest) {
        if (cache)
                *place_of(cache, digest) = *digest;
}

/* Of the digest before, and bytes behind a number that says what they are. */
static void extend(const struct token_cache *cache, struct digest *digest, uint8_t what, const ProtobufCBinaryData *a,
                   const ProtobufCBinaryData *b) {
        crypto_generichash_state state;

        (void)crypto_generichash_init(&state, cache->key, sizeof(cache->key), sizeof(digest->bytes));
        (void)crypto_generichash_update(&state, digest->bytes, sizeof(digest->bytes));
        (void)crypto_generichash_update(&state, &what, sizeof(what));
        (void)crypto_generichash_update(&state, a->data, a->len);
        if (b)
                (void)crypto_generichash_update(&state, b->data, b->len);
        (void)crypto_generichash_final(&state, digest->bytes, sizeof(digest->bytes));
}

enum { DIGEST_ISSUER, DIGEST_BLOCK, DIGEST_SECRET, DIGEST_CLOSING };

/* The digests of a token: behind each block, and behind its end. */
struct digests {
        struct digest blocks[TOKEN_BLOCKS_MAX];
        struct digest whole;
};

static void digest_token(const struct token_cache *cache, const Nb__Token__Token *token, struct digests *ret) {
        struct digest digest = { { 0 } };

        extend(cache, &digest, DIGEST_ISSUER, &token->issuer, NULL);
        for (size_t i = 0; i < token->n_blocks; ++i) {
                const Nb__Token__SignedBlock *block = token->blocks[i];

                /* Keys and signatures have one size each, so the three are told apart. */
                extend(cache, &digest, DIGEST_BLOCK, &block->next_key, &block->signature);
                extend(cache, &digest, DIGEST_BLOCK, &block->block, NULL);
                ret->blocks[i] = digest;
        }
        if (token->end_case == NB__TOKEN__TOKEN__END_SECRET)
                extend(cache, &digest, DIGEST_SECRET, &token->secret, NULL);
        else
                extend(cache, &digest, DIGEST_CLOSING, &token->closing, NULL);
        ret->whole = digest;
}

/* ---- refusing ---- */

__attribute__((format(printf, 3, 4))) static int refuse(struct token_verdict *verdict, enum token_problem problem,
                                                        const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(verdict->reason, sizeof(verdict->reason), format, arguments);
        va_end(arguments);
        verdict->problem = problem;
        return -EACCES;
}

static int refuse_time(struct token_verdict *verdict, enum token_problem problem, const char *what, uint64_t seconds) {
        char text[NB_WALL_CLOCK_TEXT_MAX];
        const char *when = seconds < UINT64_MAX / 1000 ? nb_wall_clock_format(seconds * 1000, text) : NULL;

        return refuse(verdict, problem, "the token %s %s", what, when ? when : "a time that no calendar has");
}

/* ---- signatures ---- */

/* How many of the first blocks are known. */
static size_t known_blocks(const struct token_trust *trust, const Nb__Token__Token *token,
                           const struct digests *digests) {
        size_t n = token->n_blocks;

        while (n > 0 && !cache_knows(trust->cache, &digests->blocks[n - 1]))
                --n;
        return n;
}

static bool block_holds(const Nb__Token__Token *token, size_t i) {
        const ProtobufCBinaryData *signer = i > 0 ? &token->blocks[i - 1]->next_key : &token->issuer;
        uint8_t message[TOKEN_SIGNED_MAX];
        struct token_key key;

        memcpy(key.bytes, signer->data, sizeof(key.bytes));
        return token_signature_holds(&key, message, token_signed_part(token, i, message),
                                     token->blocks[i]->signature.data);
}

/* That the last blocks were not taken off: whoever has the shorter token only, has not the key of its end. */
static bool end_holds(const Nb__Token__Token *token) {
        const uint8_t *last_key = token->blocks[token->n_blocks - 1]->next_key.data;
        uint8_t message[TOKEN_SIGNED_MAX];
        struct token_secret secret;
        struct token_key key;

        if (token->end_case == NB__TOKEN__TOKEN__END_CLOSING) {
                memcpy(key.bytes, last_key, sizeof(key.bytes));
                return token_signature_holds(&key, message, token_closed_part(token, message), token->closing.data);
        }
        memcpy(secret.seed, token->secret.data, sizeof(secret.seed));
        token_secret_public(&secret, &key);
        token_secret_wipe(&secret);
        return memcmp(key.bytes, last_key, sizeof(key.bytes)) == 0;
}

static int verify_links(const struct token_trust *trust, const Nb__Token__Token *token, const struct digests *digests,
                        size_t known, struct token_verdict *verdict) {
        for (size_t i = known; i < token->n_blocks; ++i) {
                verdict->n_signatures++;
                if (!block_holds(token, i))
                        return refuse(verdict, TOKEN_SIGNATURE, "the signature of block %zu of the token does not hold",
                                      i + 1);
                cache_learn(trust->cache, &digests->blocks[i]);
        }
        verdict->n_signatures++;
        if (!end_holds(token))
                return refuse(verdict, TOKEN_SIGNATURE, "the end of the token is not that of its last block");
        cache_learn(trust->cache, &digests->whole);
        return 0;
}

static int verify_chain(const struct token_trust *trust, const Nb__Token__Token *token, struct token_verdict *verdict) {
        struct digests digests = { 0 };
        size_t known = 0;

        if (trust->cache) {
                digest_token(trust->cache, token, &digests);
                if (cache_knows(trust->cache, &digests.whole))
                        return 0;
                known = known_blocks(trust, token, &digests);
        }
        if (trust->may_verify && !trust->may_verify(trust->data, token->n_blocks - known + 1))
                return refuse(verdict, TOKEN_BUSY, "too many tokens that were never seen have come; try again");
        return verify_links(trust, token, &digests, known, verdict);
}

static int find_issuer(const struct token_trust *trust, const Nb__Token__Token *token, struct token_verdict *verdict) {
        for (size_t i = 0; i < trust->n_keys; ++i) {
                if (memcmp(trust->keys[i].bytes, token->issuer.data, TOKEN_KEY_SIZE) != 0)
                        continue;
                verdict->issuer = trust->keys[i];
                return 0;
        }
        return refuse(verdict, TOKEN_ISSUER, "the token's issuer is none of those that the tenant trusts (TokenKey=)");
}

/* ---- blocks ---- */

static int refuse_block(struct token_verdict *verdict, int error, const struct narrowing_error *why) {
        switch (error) {
        case -ENOMEM:
                return refuse(verdict, TOKEN_SYSTEM, "there is no memory for the token");
        case -EPERM:
                return refuse(verdict, TOKEN_TENANT, "%.400s", why->message);
        default:
                return refuse(verdict, TOKEN_MALFORMED, "%.400s", why->message);
        }
}

/* @param use  its origin is filled in */
static int add_block(struct narrowings **narrowings, const void *bytes, size_t length, struct token_block_use use,
                     struct narrowing_error *error) {
        char origin[ORIGIN_MAX];
        struct narrowings *longer;
        int r;

        (void)snprintf(origin, sizeof(origin), "block %zu of the token", narrowings_count(*narrowings) + 1);
        use.origin = origin;
        r = token_block_narrow(*narrowings, bytes, length, &use, &longer, error);
        if (r < 0)
                return r;
        narrowings_unref(*narrowings);
        *narrowings = longer;
        return 0;
}

static int read_blocks(const struct token_trust *trust, const Nb__Token__Token *token, struct token_verdict *verdict) {
        const struct token_block_use use = { .is_signed = true, .tenant = trust->tenant };
        struct narrowing_error error = { "" };

        for (size_t i = 0; i < token->n_blocks; ++i) {
                const ProtobufCBinaryData *block = &token->blocks[i]->block;
                int r = add_block(&verdict->narrowings, block->data, block->len, use, &error);

                if (r < 0)
                        return refuse_block(verdict, r, &error);
        }
        return 0;
}

static int check_time(const struct token_trust *trust, struct token_verdict *verdict) {
        struct narrowings_time time = narrowings_time(verdict->narrowings);

        if (trust->now_s == UINT64_MAX)
                return 0;
        if (trust->now_s < time.not_before)
                return refuse_time(verdict, TOKEN_EARLY, "does not hold before", time.not_before);
        if (time.not_after > 0 && trust->now_s >= time.not_after)
                return refuse_time(verdict, TOKEN_EXPIRED, "has expired at", time.not_after);
        return 0;
}

static int check_revoked(const struct token_trust *trust, struct token_verdict *verdict) {
        const uint8_t *id = token_revocations_find(trust->revoked, verdict->narrowings);
        char text[TOKEN_ID_TEXT_MAX];

        return id ? refuse(verdict, TOKEN_REVOKED, "block %s of the token is revoked", token_id_format(id, text)) : 0;
}

/* ---- the whole ---- */

static int verify(const void *bytes, size_t length, struct nb_frame_arena *arena, const struct token_trust *trust,
                  struct token_verdict *verdict) {
        Nb__Token__Token *token;
        int r;

        if (token_read(arena, bytes, length, &token) < 0)
                return refuse(verdict, TOKEN_MALFORMED, "this is not a token of version %d", TOKEN_VERSION);
        r = find_issuer(trust, token, verdict);
        if (r == 0)
                r = verify_chain(trust, token, verdict);
        if (r == 0)
                r = read_blocks(trust, token, verdict);
        if (r == 0)
                r = check_time(trust, verdict);
        if (r == 0)
                r = check_revoked(trust, verdict);
        return r;
}

int token_verify(const void *bytes, size_t length, const struct token_trust *trust, struct token_verdict *ret) {
        NB_CLEANUP_FREE struct nb_frame_arena *arena = malloc(sizeof(*arena));
        int r;

        *ret = (struct token_verdict){ .problem = TOKEN_FINE };
        if (arena)
                arena->used = 0; /* what is too long is refused before it is looked at */
        r = arena ? verify(bytes, length, arena, trust, ret)
                  : refuse(ret, TOKEN_SYSTEM, "there is no memory for the token");
        if (arena)
                sodium_memzero(arena->bytes, arena->used); /* it may have the secret */
        if (r < 0)
                ret->narrowings = narrowings_unref(ret->narrowings);
        return r;
}
