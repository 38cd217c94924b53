/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes, reads and verifies tokens, with each allocation failing once: it says so, leaves what it would have filled in as it was, charges nobody, and,
 * as sanitizers see it, leaves nothing behind.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/failing.h"
#include "token/token.h"
#include "token/verify.h"

#define NOW 1800000000

/* No deed makes as many allocations. */
#define CALLS_MAX 500

static const char rules[] = "Connect=10.0.0.0/8:443 *.example.com:80 /run/a.sock\nListen=127.0.0.1:*\nDeny=any:25\n";

/* What deeds find ready. */
struct world {
        struct token_secret secret;
        struct token_key key;
        struct token_bytes block, token;
        char text[TOKEN_TEXT_MAX];
        struct narrowings *narrowings; /* of the token */
        unsigned n_uncharged;
};

/* ---- deeds: 0, or -errno, and nothing was filled in. From failing_pause() on it is the test that allocates, and check(3) ---- */

#define UNTOUCHED_LENGTH 17

static uint8_t untouched[1];

static struct token_bytes nothing(void) {
        return (struct token_bytes){ .bytes = untouched, .length = UNTOUCHED_LENGTH };
}

/* Of what fills in bytes. @return `r` */
static int expect_bytes(int r, const struct token_bytes *bytes) {
        failing_pause();
        if (r == 0) {
                ck_assert_ptr_ne(bytes->bytes, untouched);
                free(bytes->bytes);
                return 0;
        }
        ck_assert_ptr_eq(bytes->bytes, untouched);
        ck_assert_uint_eq(bytes->length, UNTOUCHED_LENGTH);
        return r;
}

static int do_rules(struct world *world) {
        struct token_bytes bytes = nothing();
        struct narrowing_error error;

        (void)world;
        return expect_bytes(token_block_of_rules(rules, strlen(rules), &bytes, &error), &bytes);
}

static int do_new(struct world *world) {
        struct token_bytes bytes = nothing();

        return expect_bytes(token_new(&world->secret, &world->block, &bytes), &bytes);
}

static int do_attenuate(struct world *world) {
        struct token_bytes bytes = nothing();

        return expect_bytes(token_attenuate(world->token.bytes, world->token.length, &world->block, &bytes), &bytes);
}

static int do_close(struct world *world) {
        struct token_bytes bytes = nothing();

        return expect_bytes(token_close(world->token.bytes, world->token.length, &bytes), &bytes);
}

static int do_parse(struct world *world) {
        struct token_bytes bytes = nothing();

        return expect_bytes(token_parse(world->text, strlen(world->text), &bytes), &bytes);
}

static void uncharge(void *data, uint64_t charge) {
        struct world *world = data;

        ck_assert_uint_eq(charge, 5);
        world->n_uncharged++;
}

/* Beside a list that others have. A block that was not made is not uncharged: whoever has charged it takes that back. */
static int do_narrow(struct world *world) {
        const struct token_block_use use = {
                .origin = "block 3", .is_signed = true, .charge = 5, .uncharge = uncharge, .charge_data = world
        };
        struct narrowings *longer = (struct narrowings *)(void *)untouched;
        struct narrowing_error error;
        int r;

        world->n_uncharged = 0;
        r = token_block_narrow(world->narrowings, world->block.bytes, world->block.length, &use, &longer, &error);
        failing_pause();
        ck_assert_uint_eq(world->n_uncharged, 0);
        ck_assert_uint_eq(narrowings_count(world->narrowings), 2);
        if (r < 0) {
                ck_assert_ptr_eq(longer, (void *)untouched);
                return r;
        }
        ck_assert_uint_eq(narrowings_count(longer), 3);
        narrowings_unref(longer);
        ck_assert_uint_eq(world->n_uncharged, 1);
        return 0;
}

/* A token is refused, and the reason says that it is not the token's fault. What was verified is remembered, and is not verified again. */
static int verify(const struct world *world, struct token_cache *cache) {
        const struct token_trust trust = { .keys = &world->key, .n_keys = 1, .now_s = NOW, .cache = cache };
        struct token_verdict verdict;
        int r = token_verify(world->token.bytes, world->token.length, &trust, &verdict);

        failing_pause();
        if (r == 0) {
                ck_assert_uint_eq(narrowings_count(verdict.narrowings), 2);
                narrowings_unref(verdict.narrowings);
                return 0;
        }
        ck_assert_int_eq(r, -EACCES);
        ck_assert_int_eq(verdict.problem, TOKEN_SYSTEM);
        ck_assert_ptr_nonnull(strstr(verdict.reason, "no memory"));
        ck_assert_ptr_null(verdict.narrowings);
        return -ENOMEM;
}

static int do_verify(struct world *world) {
        return verify(world, NULL);
}

static int do_verify_cached(struct world *world) {
        struct token_cache *cache = token_cache_new();
        int r = cache ? verify(world, cache) : -ENOMEM;

        token_cache_free(cache);
        return r;
}

static int do_revocations(struct world *world) {
        static const char text[] = "# stolen\n000102030405060708090a0b0c0d0e0f\n";
        struct token_revocations *revocations = (struct token_revocations *)(void *)untouched;
        unsigned line = UNTOUCHED_LENGTH;
        int r = token_revocations_parse(text, strlen(text), &revocations, &line);

        (void)world;
        failing_pause();
        ck_assert_uint_eq(line, UNTOUCHED_LENGTH);
        if (r < 0) {
                ck_assert_ptr_eq(revocations, (void *)untouched);
                return r;
        }
        ck_assert_uint_eq(token_revocations_count(revocations), 1);
        token_revocations_free(revocations);
        return 0;
}

static const struct deed {
        const char *name;
        int (*function)(struct world *world);
} deeds[] = {
        { "token_block_of_rules()", do_rules },
        { "token_new()", do_new },
        { "token_attenuate()", do_attenuate },
        { "token_close()", do_close },
        { "token_parse()", do_parse },
        { "token_block_narrow()", do_narrow },
        { "token_verify()", do_verify },
        { "token_verify() with a cache", do_verify_cached },
        { "token_revocations_parse()", do_revocations },
};

#define N_DEEDS (sizeof(deeds) / sizeof(deeds[0]))

/* ---- the world ---- */

/* With one of each kind that is allocated for. */
static struct token_bytes new_block(void) {
        static const char *const connects[] = { "10.0.0.0/8:443", "*.example.com:80", "/run/a.sock" };
        static const char *const others[] = { "127.0.0.1:*", "/run/b.sock" };
        static const char *const names[] = { "web", "db" };
        uint8_t id[NARROWING_ID_SIZE] = { 1 };
        Nb__Token__Texts connect = NB__TOKEN__TEXTS__INIT, other = NB__TOKEN__TEXTS__INIT;
        Nb__Token__Texts protocols = NB__TOKEN__TEXTS__INIT;
        Nb__Token__Block block = NB__TOKEN__BLOCK__INIT;
        struct token_bytes bytes;

        connect.items = (char **)connects;
        connect.n_items = sizeof(connects) / sizeof(connects[0]);
        other.items = (char **)others;
        other.n_items = sizeof(others) / sizeof(others[0]);
        protocols.items = (char **)names;
        protocols.n_items = sizeof(names) / sizeof(names[0]);
        block.id = (ProtobufCBinaryData){ sizeof(id), id };
        block.connect = &connect;
        block.listen = &other;
        block.deny = &other;
        block.protocols = &protocols;
        block.label = (char *)"a sweep";
        ck_assert_int_eq(token_block_encode(&block, &bytes), 0);
        return bytes;
}

/* A token of two blocks. */
static void world_init(struct world *world) {
        struct token_trust trust = { .keys = &world->key, .n_keys = 1, .now_s = NOW };
        struct token_verdict verdict;
        struct token_bytes first;

        *world = (struct world){ .n_uncharged = 0 };
        ck_assert_int_eq(token_init(), 0);
        token_secret_generate(&world->secret);
        token_secret_public(&world->secret, &world->key);
        world->block = new_block();
        ck_assert_int_eq(token_new(&world->secret, &world->block, &first), 0);
        ck_assert_int_eq(token_attenuate(first.bytes, first.length, &world->block, &world->token), 0);
        free(first.bytes);
        (void)token_format(world->token.bytes, world->token.length, world->text);
        ck_assert_int_eq(token_verify(world->token.bytes, world->token.length, &trust, &verdict), 0);
        world->narrowings = verdict.narrowings;
}

static void world_deinit(struct world *world) {
        narrowings_unref(world->narrowings);
        free(world->token.bytes);
        free(world->block.bytes);
}

/* One of the deeds in a world. */
struct attempt {
        struct world *world;
        const struct deed *deed;
};

static int attempt_do(void *data) {
        const struct attempt *attempt = data;

        return attempt->deed->function(attempt->world);
}

START_TEST(each_allocation) {
        struct world world;
        struct attempt attempt = { &world, &deeds[_i] };

        world_init(&world);
        failing_each_allocation(deeds[_i].name, attempt_do, &attempt, CALLS_MAX);
        world_deinit(&world);
}
END_TEST

START_TEST(a_text_that_is_none_fills_in_nothing) {
        static const char *const texts[] = { "", TOKEN_PREFIX, TOKEN_PREFIX "AAAA!", TOKEN_PREFIX "A", "other" };
        struct token_bytes bytes = nothing();

        ck_assert_int_eq(token_init(), 0);
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i)
                ck_assert_int_eq(expect_bytes(token_parse(texts[i], strlen(texts[i]), &bytes), &bytes), -EINVAL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("failing token");
        TCase *memory = tcase_create("memory");

        tcase_set_timeout(memory, 120);
        tcase_add_loop_test(memory, each_allocation, 0, (int)N_DEEDS);
        tcase_add_test(memory, a_text_that_is_none_fills_in_nothing);
        suite_add_tcase(suite, memory);
        return run_suite(suite);
}
