/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capability tokens. The first byte says what the rest is: a token as it is shown, a block, or rules of protocol_restrict.
 *
 * A block is signed here, so that what is behind the signature is reached. What is taken is what can be narrowed further, kept and read again, and what two blocks leave is
 * never more than one of them does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/fuzz/fuzz.h"
#include "token/token.h"
#include "token/verify.h"

const char fuzz_target[] = "token";

#define NOW 1800000000

/* Whose tokens are taken: anybody can sign with it. */
static const struct token_secret issuer = { { 0 } };

static const char *const questions[] = { "10.0.0.1:443", "127.0.0.1:80",         "[::ffff:10.0.0.1]:5432",
                                         "0.0.0.0:1",    "[64:ff9b::a00:1]:443", "/run/app/a.sock",
                                         "@app" };

static bool allows(const struct narrowings *narrowings, enum policy_verb verb, const char *text) {
        struct policy_verdict verdict = { .allowed = true };
        struct nb_socket_address address;
        bool allowed;

        FUZZ_CHECK(nb_socket_address_parse(text, strlen(text), &address) == 0, "%s", text);
        allowed = narrowings_allow(narrowings, "web", verb, &address, &verdict);
        FUZZ_CHECK(allowed || (verdict.impossible && verdict.reason[0] != '\0'), "a refusal without a reason");
        return allowed;
}

/* @param longer  `narrowings`, and more */
static void check_is_narrower(const struct narrowings *narrowings, const struct narrowings *longer) {
        for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); ++i)
                for (int verb = 0; verb <= POLICY_ACCEPT; ++verb)
                        FUZZ_CHECK(!allows(longer, (enum policy_verb)verb, questions[i]) ||
                                           allows(narrowings, (enum policy_verb)verb, questions[i]),
                                   "more is allowed by more blocks: %s", questions[i]);
}

static int judge(const struct token_bytes *token, const struct token_key *key, struct token_cache *cache,
                 struct token_verdict *ret) {
        const struct token_trust trust = { .keys = key, .n_keys = 1, .tenant = "acme", .now_s = NOW, .cache = cache };
        int r = token_verify(token->bytes, token->length, &trust, ret);

        FUZZ_CHECK((r == 0) == (ret->problem == TOKEN_FINE) && (r == 0) == (ret->narrowings != NULL), "%d", r);
        FUZZ_CHECK(r == 0 || ret->reason[0] != '\0', "a refusal without a reason");
        return r;
}

/* One that is taken, once more: from the cache, as text, and with a block more. */
static void check_taken(const struct token_bytes *token, const struct token_key *key,
                        const struct narrowings *narrowings) {
        struct token_cache *cache = token_cache_new();
        const struct token_bytes more = { (uint8_t *)"\x0a\x10sixteen bytes...", 18 };
        struct token_bytes longer, read;
        struct token_verdict verdict;
        char text[TOKEN_TEXT_MAX];

        for (size_t i = 0; cache && i < 2; ++i) {
                FUZZ_CHECK(judge(token, key, cache, &verdict) == 0, "%s", verdict.reason);
                FUZZ_CHECK((verdict.n_signatures == 0) == (i == 1), "%zu", verdict.n_signatures);
                narrowings_unref(verdict.narrowings);
        }
        (void)token_format(token->bytes, token->length, text);
        FUZZ_CHECK(token_parse(text, strlen(text), &read) == 0 && read.length == token->length, "the text is another");
        free(read.bytes);
        if (token_attenuate(token->bytes, token->length, &more, &longer) == 0) {
                if (judge(&longer, key, cache, &verdict) == 0)
                        check_is_narrower(narrowings, verdict.narrowings);
                narrowings_unref(verdict.narrowings);
                free(longer.bytes);
        }
        token_cache_free(cache);
}

static void check_token(const struct token_bytes *token) {
        struct token_verdict verdict;
        struct token_key key;

        token_secret_public(&issuer, &key);
        if (judge(token, &key, NULL, &verdict) == 0)
                check_taken(token, &key, verdict.narrowings);
        narrowings_unref(verdict.narrowings);
}

static void check_block(const struct token_bytes *block) {
        struct token_bytes token;

        if (token_new(&issuer, block, &token) < 0)
                return;
        check_token(&token);
        free(token.bytes);
}

static void check_rules(const struct token_bytes *rules) {
        const struct token_block_use use = { .origin = "protocol_restrict" };
        struct narrowings *narrowings = NULL;
        struct narrowing_error error = { "" };
        struct token_bytes block;
        int r = token_block_of_rules((const char *)rules->bytes, rules->length, &block, &error);

        if (r == 0) {
                r = token_block_narrow(NULL, block.bytes, block.length, &use, &narrowings, &error);
                free(block.bytes);
        }
        /* Requests hold UTF-8 only; here it may be none, which no block is (-EBADMSG). */
        FUZZ_CHECK(r == 0 || ((r == -EINVAL || r == -E2BIG || r == -EBADMSG) && error.message[0] != '\0'), "%d: %s", r,
                   error.message);
        if (r == 0)
                check_is_narrower(NULL, narrowings);
        narrowings_unref(narrowings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct token_bytes rest = { .length = size > 0 ? size - 1 : 0 };

        if (size == 0 || token_init() < 0)
                return 0;
        rest.bytes = malloc(rest.length > 0 ? rest.length : 1); /* of its size, so that who reads beyond it is seen */
        if (!rest.bytes)
                return 0;
        memcpy(rest.bytes, data + 1, rest.length);
        switch (data[0]) {
        case 't':
                check_token(&rest);
                break;
        case 'b':
                check_block(&rest);
                break;
        case 'r':
                check_rules(&rest);
                break;
        default:
                break;
        }
        free(rest.bytes);
        return 0;
}
