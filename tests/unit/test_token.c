/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of tests/token/vectors.json are another implementation's as well: tests/token/verify.py. */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/token_clock.h"
#include "tests/support/runner.h"
#include "token/token.h"
#include "token/verify.h"

/* When everybody's tokens are looked at. */
#define NOW 1800000000

static void setup(void) {
        ck_assert_int_eq(token_init(), 0);
}

/* ---- making ---- */

static uint8_t next_id(void) {
        return (uint8_t)randombytes_uniform(256);
}

static struct token_bytes block_of(const char *const *connects, size_t n, uint64_t not_after) {
        uint8_t id[NARROWING_ID_SIZE] = { next_id(), next_id(), next_id() };
        Nb__Token__Texts connect = NB__TOKEN__TEXTS__INIT;
        Nb__Token__Block block = NB__TOKEN__BLOCK__INIT;
        struct token_bytes bytes;

        block.id = (ProtobufCBinaryData){ sizeof(id), id };
        connect.items = (char **)connects;
        connect.n_items = n;
        block.connect = n > 0 ? &connect : NULL;
        block.not_after = not_after;
        ck_assert_int_eq(token_block_encode(&block, &bytes), 0);
        return bytes;
}

static const char *const any_web[] = { "any:80", "any:443" };
static const char *const one_net[] = { "10.0.0.0/8:443", "192.0.2.0/24:443" };
static const char *const wide[] = { "any:*", "127.0.0.0/8:*" };

/* Of three blocks, open. */
static struct token_bytes make_token(const struct token_secret *issuer) {
        const struct {
                const char *const *connects;
                size_t n;
                uint64_t not_after;
        } blocks[] = { { any_web, 2, NOW + 100 }, { one_net, 2, NOW + 50 }, { wide, 2, 0 } };
        struct token_bytes token = { .bytes = NULL };

        for (size_t i = 0; i < 3; ++i) {
                struct token_bytes block = block_of(blocks[i].connects, blocks[i].n, blocks[i].not_after), longer;
                int r = i == 0 ? token_new(issuer, &block, &longer)
                               : token_attenuate(token.bytes, token.length, &block, &longer);

                ck_assert_int_eq(r, 0);
                free(block.bytes);
                free(token.bytes);
                token = longer;
        }
        return token;
}

struct world {
        struct token_secret secret;
        struct token_key key;
        struct token_bytes token;
};

static void world_start(struct world *world) {
        setup();
        token_secret_generate(&world->secret);
        token_secret_public(&world->secret, &world->key);
        world->token = make_token(&world->secret);
}

static enum token_problem judge(const struct world *world, const struct token_bytes *token, struct token_cache *cache) {
        const struct token_trust trust = { .keys = &world->key, .n_keys = 1, .now_s = NOW, .cache = cache };
        struct token_verdict verdict;
        int r = token_verify(token->bytes, token->length, &trust, &verdict);

        ck_assert_int_eq(r, verdict.problem == TOKEN_FINE ? 0 : -EACCES);
        ck_assert_int_eq(verdict.narrowings != NULL, r == 0);
        ck_assert_int_eq(verdict.reason[0] != '\0', r != 0);
        narrowings_unref(verdict.narrowings);
        return verdict.problem;
}

static bool is_connectable(const struct narrowings *narrowings, const char *text) {
        struct nb_socket_address address;
        struct policy_verdict verdict;

        ck_assert_int_eq(nb_socket_address_parse(text, strlen(text), &address), 0);
        return narrowings_allow(narrowings, "web", POLICY_CONNECT, &address, &verdict);
}

/* Whatever a later block grants, an earlier one has the last word too. */
START_TEST(abuse_34_a_block_that_adds_a_grant) {
        struct token_trust trust = { .n_keys = 1, .now_s = NOW };
        struct token_verdict verdict;
        struct world world;

        world_start(&world);
        trust.keys = &world.key;
        ck_assert_int_eq(token_verify(world.token.bytes, world.token.length, &trust, &verdict), 0);
        ck_assert_uint_eq(narrowings_count(verdict.narrowings), 3);
        ck_assert(is_connectable(verdict.narrowings, "10.0.0.1:443"));
        ck_assert(!is_connectable(verdict.narrowings, "10.0.0.1:80"));
        ck_assert(!is_connectable(verdict.narrowings, "8.8.8.8:443"));
        ck_assert(!is_connectable(verdict.narrowings, "127.0.0.1:443"));
        ck_assert_uint_eq(narrowings_time(verdict.narrowings).not_after, NOW + 50);
        narrowings_unref(verdict.narrowings);
        free(world.token.bytes);
}
END_TEST

/* Of a token each bit counts. */
START_TEST(abuse_33_no_bit_can_be_changed) {
        struct token_cache *cache = token_cache_new();
        struct world world;

        world_start(&world);
        ck_assert_int_eq(judge(&world, &world.token, cache), TOKEN_FINE);
        for (size_t i = 0; i < world.token.length; ++i) {
                world.token.bytes[i] ^= (uint8_t)(1 << i % 8);
                ck_assert_msg(judge(&world, &world.token, i % 2 ? cache : NULL) != TOKEN_FINE, "byte %zu", i);
                world.token.bytes[i] ^= (uint8_t)(1 << i % 8);
        }
        ck_assert_int_eq(judge(&world, &world.token, NULL), TOKEN_FINE);
        for (size_t length = 0; length < world.token.length; ++length) {
                const struct token_bytes cut = { world.token.bytes, length };

                ck_assert_int_ne(judge(&world, &cut, cache), TOKEN_FINE);
        }
        token_cache_free(cache);
        free(world.token.bytes);
}
END_TEST

/* ---- chains that were taken apart and put together ---- */

/* Reads a token, changes it by `change`, and encodes what came of it. */
static struct token_bytes changed(const struct token_bytes *token, void (*change)(Nb__Token__Token *token)) {
        NB_CLEANUP_FREE struct nb_frame_arena *arena = malloc(sizeof(*arena));
        struct token_bytes result;
        Nb__Token__Token *read;

        ck_assert_int_eq(token_read(arena, token->bytes, token->length, &read), 0);
        change(read);
        result.bytes = malloc(TOKEN_MAX);
        result.length = nb__token__token__pack(read, result.bytes);
        return result;
}

static void drop_first(Nb__Token__Token *token) {
        token->blocks++;
        token->n_blocks--;
}

static void drop_middle(Nb__Token__Token *token) {
        token->blocks[1] = token->blocks[2];
        token->n_blocks--;
}

static void drop_last(Nb__Token__Token *token) {
        token->n_blocks--;
}

static void swap(Nb__Token__Token *token) {
        Nb__Token__SignedBlock *block = token->blocks[0];

        token->blocks[0] = token->blocks[1];
        token->blocks[1] = block;
}

static void repeat(Nb__Token__Token *token) {
        token->blocks[2] = token->blocks[1];
}

static void zero_signature(Nb__Token__Token *token) {
        memset(token->blocks[1]->signature.data, 0, TOKEN_SIGNATURE_SIZE);
}

static void zero_all(Nb__Token__Token *token) {
        for (size_t i = 0; i < token->n_blocks; ++i) {
                memset(token->blocks[i]->signature.data, 0, TOKEN_SIGNATURE_SIZE);
                memset(token->blocks[i]->next_key.data, 0, TOKEN_KEY_SIZE);
        }
}

static void zero_secret(Nb__Token__Token *token) {
        memset(token->secret.data, 0, TOKEN_SEED_SIZE);
}

static void close_by_zeros(Nb__Token__Token *token) {
        token->end_case = NB__TOKEN__TOKEN__END_CLOSING;
        token->closing = token->blocks[0]->signature;
}

static const struct {
        void (*change)(Nb__Token__Token *token);
        const char *name;
} changes[] = {
        { drop_first, "the first block is dropped" },
        { drop_middle, "one in the middle" },
        { drop_last, "the last one" },
        { swap, "blocks are swapped" },
        { repeat, "a block stands twice" },
        { zero_signature, "a signature of zeros" },
        { zero_all, "signatures and keys of zeros" },
        { zero_secret, "a secret of zeros" },
        { close_by_zeros, "another's signature closes it" },
};

START_TEST(abuse_33_blocks_dropped_reordered_spliced) {
        struct token_cache *cache = token_cache_new();
        struct token_bytes bad;
        struct world world;

        world_start(&world);
        ck_assert_int_eq(judge(&world, &world.token, cache), TOKEN_FINE);
        bad = changed(&world.token, changes[_i].change);
        ck_assert_msg(judge(&world, &bad, NULL) == TOKEN_SIGNATURE, "%s", changes[_i].name);
        ck_assert_msg(judge(&world, &bad, cache) == TOKEN_SIGNATURE, "%s", changes[_i].name);
        free(bad.bytes);
        free(world.token.bytes);
        token_cache_free(cache);
}
END_TEST

/* A block of one token behind the blocks of another of the same issuer. */
START_TEST(abuse_33_blocks_of_two_tokens) {
        NB_CLEANUP_FREE struct nb_frame_arena *arenas = calloc(2, sizeof(*arenas));
        struct token_bytes other, spliced = { malloc(TOKEN_MAX), 0 };
        Nb__Token__Token *one, *two;
        struct world world;

        world_start(&world);
        other = make_token(&world.secret);
        for (size_t i = 0; i < 3; ++i) {
                ck_assert_int_eq(token_read(&arenas[0], world.token.bytes, world.token.length, &one), 0);
                ck_assert_int_eq(token_read(&arenas[1], other.bytes, other.length, &two), 0);
                one->blocks[i] = two->blocks[i];
                spliced.length = nb__token__token__pack(one, spliced.bytes);
                ck_assert_int_eq(judge(&world, &spliced, NULL), TOKEN_SIGNATURE);
        }
        free(spliced.bytes);
        free(other.bytes);
        free(world.token.bytes);
}
END_TEST

START_TEST(abuse_33_a_key_of_another_issuer) {
        struct world world, other;
        struct token_bytes forged;

        world_start(&world);
        world_start(&other);
        ck_assert_int_eq(judge(&world, &other.token, NULL), TOKEN_ISSUER);
        /* It says that it is the trusted one's. */
        forged = (struct token_bytes){ malloc(TOKEN_MAX), other.token.length };
        memcpy(forged.bytes, other.token.bytes, other.token.length);
        memcpy(forged.bytes + 4, world.key.bytes, TOKEN_KEY_SIZE); /* behind version, key and length */
        ck_assert_int_eq(judge(&world, &forged, NULL), TOKEN_SIGNATURE);
        free(forged.bytes);
        free(other.token.bytes);
        free(world.token.bytes);
}
END_TEST

START_TEST(a_closed_token_stays_as_it_is) {
        struct token_bytes closed, longer, block = block_of(NULL, 0, 0);
        struct world world;

        world_start(&world);
        ck_assert_int_eq(token_close(world.token.bytes, world.token.length, &closed), 0);
        ck_assert_int_eq(judge(&world, &closed, NULL), TOKEN_FINE);
        ck_assert_int_eq(token_attenuate(closed.bytes, closed.length, &block, &longer), -EACCES);
        ck_assert_int_eq(token_close(closed.bytes, closed.length, &longer), -EACCES);
        free(closed.bytes);
        free(block.bytes);
        free(world.token.bytes);
}
END_TEST

START_TEST(what_was_verified_is_remembered) {
        struct token_trust trust = { .n_keys = 1, .now_s = NOW, .cache = token_cache_new() };
        struct token_bytes longer, block = block_of(NULL, 0, 0);
        struct token_verdict verdict;
        struct world world;

        world_start(&world);
        trust.keys = &world.key;
        for (size_t i = 0; i < 2; ++i) {
                ck_assert_int_eq(token_verify(world.token.bytes, world.token.length, &trust, &verdict), 0);
                ck_assert_uint_eq(verdict.n_signatures, i == 0 ? 4 : 0);
                narrowings_unref(verdict.narrowings);
        }
        ck_assert_int_eq(token_attenuate(world.token.bytes, world.token.length, &block, &longer), 0);
        ck_assert_int_eq(token_verify(longer.bytes, longer.length, &trust, &verdict), 0);
        ck_assert_uint_eq(verdict.n_signatures, 2); /* of the new block, and the end */
        narrowings_unref(verdict.narrowings);
        free(longer.bytes);
        free(block.bytes);
        free(world.token.bytes);
        token_cache_free((struct token_cache *)trust.cache);
}
END_TEST

static bool never(void *data, size_t n_signatures) {
        *(size_t *)data += n_signatures;
        return false;
}

START_TEST(nothing_is_verified_without_leave) {
        size_t asked = 0;
        struct token_trust trust = { .n_keys = 1, .now_s = NOW, .may_verify = never, .data = &asked };
        struct token_verdict verdict;
        struct world world;

        world_start(&world);
        trust.keys = &world.key;
        ck_assert_int_eq(token_verify(world.token.bytes, world.token.length, &trust, &verdict), -EACCES);
        ck_assert_int_eq(verdict.problem, TOKEN_BUSY);
        ck_assert_uint_eq(verdict.n_signatures, 0);
        ck_assert_uint_eq(asked, 4);
        free(world.token.bytes);
}
END_TEST

/* ---- text ---- */

START_TEST(text_has_one_canonical_form) {
        char text[TOKEN_TEXT_MAX], *digit;
        struct token_bytes read;
        struct world world;

        world_start(&world);
        (void)token_format(world.token.bytes, world.token.length, text);
        ck_assert_int_eq(token_parse(text, strlen(text), &read), 0);
        ck_assert_uint_eq(read.length, world.token.length);
        ck_assert_mem_eq(read.bytes, world.token.bytes, read.length);
        free(read.bytes);
        digit = text + strlen(TOKEN_PREFIX);
        *digit = '+';
        ck_assert_int_eq(token_parse(text, strlen(text), &read), -EINVAL);
        ck_assert_int_eq(token_parse(digit, strlen(digit), &read), -EINVAL);
        free(world.token.bytes);
}
END_TEST

/* ---- revocation ---- */

START_TEST(a_list_of_the_revoked) {
        static const char text[] = "# old ones\n\n0123456789abcdef0123456789ABCDEF # a comment\r\n  ";
        struct token_revocations *list;
        unsigned line = 0;

        ck_assert_int_eq(token_revocations_parse(text, strlen(text), &list, &line), 0);
        ck_assert_uint_eq(token_revocations_count(list), 1);
        token_revocations_free(list);
        ck_assert_int_eq(token_revocations_parse("", 0, &list, &line), 0);
        ck_assert_uint_eq(token_revocations_count(list), 0);
        token_revocations_free(list);
        ck_assert_int_eq(token_revocations_parse("#\n0123\n", 7, &list, &line), -EINVAL);
        ck_assert_uint_eq(line, 2);
        ck_assert_int_eq(token_revocations_parse("0123456789abcdef0123456789abcdef0\n", 34, &list, &line), -EINVAL);
}
END_TEST

/* ---- time ---- */

static uint64_t wall_ms(uint64_t set) {
        static _Thread_local uint64_t now; /* of this test's process */

        if (set > 0)
                now = set;
        return now;
}

static uint64_t get_wall_ms(void) {
        return wall_ms(0);
}

static uint64_t boot_ms(uint64_t set) {
        static _Thread_local uint64_t now;

        if (set > 0)
                now = set;
        return now;
}

static uint64_t get_boot_ms(void) {
        return boot_ms(0);
}

START_TEST(abuse_35_the_clock_is_set_back) {
        struct token_clock clock = { .wall_ms = get_wall_ms, .boot_ms = get_boot_ms };

        (void)wall_ms(UINT64_C(1000) * NOW);
        (void)boot_ms(5000);
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW);
        (void)boot_ms(7000);
        (void)wall_ms(UINT64_C(1000) * NOW - 3600000); /* an hour back */
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW + 2000);
        (void)boot_ms(9000);
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW + 4000);
        (void)wall_ms(UINT64_C(1000) * NOW + 60000); /* set right again, and more */
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW + 60000);
}
END_TEST

/* Set back while no broker runs: what has passed meanwhile has passed. */
START_TEST(abuse_35_the_clock_is_set_back_and_the_broker_killed) {
        struct token_clock clock = { .wall_ms = get_wall_ms, .boot_ms = get_boot_ms };

        (void)wall_ms(UINT64_C(1000) * NOW - 3600000);
        (void)boot_ms(9000);
        token_clock_restore(&clock, UINT64_C(1000) * NOW, 4000);
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW + 5000);
        token_clock_restore(&clock, UINT64_C(1000) * NOW, 0);
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW);
        token_clock_restore(&clock, UINT64_C(1000) * NOW, 9001);
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW);
        (void)wall_ms(UINT64_C(1000) * NOW + 60000);
        token_clock_restore(&clock, UINT64_C(1000) * NOW, 4000);
        ck_assert_uint_eq(token_clock_ms(&clock), UINT64_C(1000) * NOW + 60000);
}
END_TEST

/* ---- the vectors ---- */

static uint8_t *hex(const json_t *object, const char *key, size_t *ret_length) {
        const char *text = json_string_value(json_object_get(object, key));
        size_t max = strlen(text) / 2 + 1;
        uint8_t *bytes = malloc(max);

        ck_assert_int_eq(sodium_hex2bin(bytes, max, text, strlen(text), NULL, ret_length, NULL), 0);
        return bytes;
}

static void check_vector(const json_t *vector) {
        const char *expected = json_string_value(json_object_get(vector, "result"));
        const char *name = json_string_value(json_object_get(vector, "name"));
        const json_t *revoked = json_object_get(vector, "revoked"), *n_blocks = json_object_get(vector, "blocks");
        size_t length, key_length;
        NB_CLEANUP_FREE uint8_t *token = hex(vector, "token", &length), *key = hex(vector, "issuer", &key_length);
        struct token_revocations *list = NULL;
        struct token_verdict verdict;
        struct token_trust trust = {
                .n_keys = 1,
                .tenant = json_string_value(json_object_get(vector, "tenant")),
                .now_s = (uint64_t)json_integer_value(json_object_get(vector, "now")),
        };
        unsigned line;

        trust.keys = (const struct token_key *)(void *)key;
        if (revoked)
                ck_assert_int_eq(token_revocations_parse(json_string_value(revoked), json_string_length(revoked), &list,
                                                         &line),
                                 0);
        trust.revoked = list;
        (void)token_verify(token, length, &trust, &verdict);
        ck_assert_msg(strcmp(token_problem_name(verdict.problem), expected) == 0, "%s: %s, %s", name,
                      token_problem_name(verdict.problem), verdict.reason);
        if (verdict.narrowings)
                ck_assert_int_eq(narrowings_count(verdict.narrowings), json_integer_value(n_blocks));
        narrowings_unref(verdict.narrowings);
        token_revocations_free(list);
}

START_TEST(the_vectors) {
        char path[4096];
        json_error_t error;
        json_t *vectors;
        size_t i;
        json_t *vector;

        setup();
        (void)snprintf(path, sizeof(path), "%s/tests/token/vectors.json", getenv("SRCDIR") ? getenv("SRCDIR") : ".");
        vectors = json_load_file(path, 0, &error);
        ck_assert_msg(vectors, "%s: %s", path, error.text);
        ck_assert_uint_gt(json_array_size(vectors), 30);
        json_array_foreach(vectors, i, vector) check_vector(vector);
        json_decref(vectors);
}
END_TEST

static Suite *token_suite(void) {
        Suite *suite = suite_create("token");
        TCase *test = tcase_create("token");

        tcase_add_test(test, abuse_34_a_block_that_adds_a_grant);
        tcase_add_test(test, abuse_33_no_bit_can_be_changed);
        tcase_add_loop_test(test, abuse_33_blocks_dropped_reordered_spliced, 0, sizeof(changes) / sizeof(changes[0]));
        tcase_add_test(test, abuse_33_blocks_of_two_tokens);
        tcase_add_test(test, abuse_33_a_key_of_another_issuer);
        tcase_add_test(test, a_closed_token_stays_as_it_is);
        tcase_add_test(test, what_was_verified_is_remembered);
        tcase_add_test(test, nothing_is_verified_without_leave);
        tcase_add_test(test, text_has_one_canonical_form);
        tcase_add_test(test, a_list_of_the_revoked);
        tcase_add_test(test, abuse_35_the_clock_is_set_back);
        tcase_add_test(test, abuse_35_the_clock_is_set_back_and_the_broker_killed);
        tcase_add_test(test, the_vectors);
        suite_add_tcase(suite, test);
        return suite;
}

int main(void) {
        return run_suite(token_suite());
}
