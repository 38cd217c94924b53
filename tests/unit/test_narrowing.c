/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/narrowing.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* The patterns of one list, up to NULL. */
#define LIST_MAX 4

struct block {
        bool has_connect, has_listen, has_protocols, has_verbs;
        const char *connect[LIST_MAX], *listen[LIST_MAX], *deny[LIST_MAX], *protocols[LIST_MAX];
        unsigned verbs;
};

static struct narrowing_list list_of(bool is_present, const char *const *texts, struct narrowing_text *items) {
        struct narrowing_list list = { .is_present = is_present, .items = items };

        for (; list.n_items < LIST_MAX && texts[list.n_items]; ++list.n_items)
                items[list.n_items] = (struct narrowing_text){ texts[list.n_items], strlen(texts[list.n_items]) };
        return list;
}

static int add(const struct narrowings *base, const struct block *block, struct narrowings **ret,
               struct narrowing_error *error) {
        struct narrowing_text items[4][LIST_MAX];
        const struct narrowing_source source = {
                .origin = "the test's block",
                .protocols = list_of(block->has_protocols, block->protocols, items[0]),
                .connect = list_of(block->has_connect, block->connect, items[1]),
                .listen = list_of(block->has_listen, block->listen, items[2]),
                .deny = list_of(true, block->deny, items[3]),
                .has_verbs = block->has_verbs,
                .verbs = block->verbs,
        };

        return narrowings_add(base, &source, ret, error);
}

static struct narrowings *narrow(const struct narrowings *base, const struct block *block) {
        struct narrowing_error error = { "" };
        struct narrowings *narrowings;

        ck_assert_msg(add(base, block, &narrowings, &error) == 0, "%s", error.message);
        return narrowings;
}

static struct nb_socket_address parse_socket(const char *text) {
        struct nb_socket_address address;

        ck_assert_msg(nb_socket_address_parse(text, strlen(text), &address) == 0, "%s", text);
        return address;
}

static bool allows(const struct narrowings *narrowings, enum policy_verb verb, const char *text) {
        const struct nb_socket_address address = parse_socket(text);
        struct policy_verdict verdict = { .allowed = true };
        bool allowed = narrowings_allow(narrowings, "web", verb, &address, &verdict);

        ck_assert_int_eq(verdict.allowed, allowed);
        ck_assert_int_eq(verdict.impossible, !allowed);
        if (!allowed)
                ck_assert_ptr_nonnull(strstr(verdict.reason, "narrowed by the test's block: "));
        return allowed;
}

static bool allows_name(const struct narrowings *narrowings, const char *text) {
        struct policy_verdict verdict;
        struct policy_host_name name;

        ck_assert_int_eq(policy_host_name_parse(text, strlen(text), &name), 0);
        return narrowings_allow_name(narrowings, "web", &name, &verdict);
}

static bool allows_resolved(const struct narrowings *narrowings, const char *text, const char *address_text) {
        const struct nb_socket_address address = parse_socket(address_text);
        struct policy_verdict verdict;
        struct policy_host_name name;

        ck_assert_int_eq(policy_host_name_parse(text, strlen(text), &name), 0);
        return narrowings_allow_resolved(narrowings, "web", &name, &address.ip, &verdict);
}

START_TEST(nothing_narrows_nothing) {
        struct narrowings *empty = narrow(NULL, &(struct block){ 0 });

        ck_assert(allows(NULL, POLICY_CONNECT, "192.0.2.1:80"));
        ck_assert(allows(empty, POLICY_CONNECT, "192.0.2.1:80"));
        ck_assert(allows(empty, POLICY_CONNECT, "127.0.0.1:80"));
        ck_assert(allows(empty, POLICY_LISTEN, "0.0.0.0:80"));
        ck_assert(allows(empty, POLICY_ACCEPT, "192.0.2.1:80"));
        ck_assert(allows(empty, POLICY_CONNECT, "/run/a.sock"));
        ck_assert(allows_name(empty, "a.example.com:443"));
        narrowings_unref(empty);
}
END_TEST

START_TEST(an_empty_list_leaves_nothing) {
        struct narrowings *none = narrow(NULL, &(struct block){ .has_connect = true });

        ck_assert(!allows(none, POLICY_CONNECT, "192.0.2.1:80"));
        ck_assert(!allows(none, POLICY_CONNECT, "/run/a.sock"));
        ck_assert(!allows_name(none, "a.example.com:443"));
        ck_assert(allows(none, POLICY_LISTEN, "192.0.2.1:80"));
        narrowings_unref(none);
        none = narrow(NULL, &(struct block){ .has_protocols = true });
        ck_assert(!narrowings_allow_protocol(none, "web"));
        ck_assert(!allows(none, POLICY_ACCEPT, "192.0.2.1:80"));
        narrowings_unref(none);
        none = narrow(NULL, &(struct block){ .has_verbs = true });
        ck_assert(!allows(none, POLICY_CONNECT, "192.0.2.1:80"));
        ck_assert(!allows(none, POLICY_LISTEN, "192.0.2.1:80"));
        ck_assert(!allows(none, POLICY_ACCEPT, "192.0.2.1:80"));
        ck_assert(!allows_name(none, "a.example.com:443"));
        narrowings_unref(none);
}
END_TEST

START_TEST(patterns_are_the_policys) {
        struct narrowings *n =
                narrow(NULL, &(struct block){ .has_connect = true,
                                              .has_listen = true,
                                              .connect = { "10.0.0.0/8:443", "*.example.com:443", "/run/app/*.sock" },
                                              .listen = { "127.0.0.1:8080" },
                                              .deny = { "10.9.0.0/16:*", "evil.example.com:*" } });

        ck_assert(allows(n, POLICY_CONNECT, "10.1.2.3:443"));
        ck_assert(allows(n, POLICY_CONNECT, "[::ffff:10.1.2.3]:443"));
        ck_assert(!allows(n, POLICY_CONNECT, "10.1.2.3:444"));
        ck_assert(!allows(n, POLICY_CONNECT, "10.9.2.3:443"));
        ck_assert(!allows(n, POLICY_CONNECT, "[::ffff:10.9.2.3]:443"));
        ck_assert(!allows(n, POLICY_CONNECT, "[64:ff9b::a09:203]:443"));
        ck_assert(!allows(n, POLICY_CONNECT, "192.0.2.1:443"));
        ck_assert(allows(n, POLICY_CONNECT, "/run/app/a.sock"));
        ck_assert(!allows(n, POLICY_CONNECT, "/run/a.sock"));
        ck_assert(allows(n, POLICY_LISTEN, "127.0.0.1:8080"));
        ck_assert(!allows(n, POLICY_LISTEN, "0.0.0.0:8080"));
        ck_assert(!allows(n, POLICY_LISTEN, "/run/app/a.sock"));
        ck_assert(allows(n, POLICY_ACCEPT, "192.0.2.1:1"));
        ck_assert(!allows(n, POLICY_ACCEPT, "10.9.0.1:1"));
        ck_assert(allows_name(n, "a.example.com:443"));
        ck_assert(!allows_name(n, "example.com:443"));
        ck_assert(!allows_name(n, "evil.example.com:443"));
        ck_assert(allows_resolved(n, "a.example.com:443", "192.0.2.1:443"));
        ck_assert(!allows_resolved(n, "a.example.com:443", "10.9.0.1:443"));
        narrowings_unref(n);
}
END_TEST

/* To connect to the unspecified address is to connect to loopback. */
START_TEST(loopback_by_another_name) {
        struct narrowings *n = narrow(NULL, &(struct block){ .deny = { "127.0.0.0/8:*", "[::1]:*" } });

        ck_assert(!allows(n, POLICY_CONNECT, "0.0.0.0:80"));
        ck_assert(!allows(n, POLICY_CONNECT, "[::]:80"));
        ck_assert(!allows_resolved(n, "a.example.com:80", "0.0.0.0:80"));
        ck_assert(allows(n, POLICY_LISTEN, "0.0.0.0:80"));
        narrowings_unref(n);
        n = narrow(NULL, &(struct block){ .has_connect = true, .connect = { "any:*" } });
        ck_assert(!allows(n, POLICY_CONNECT, "127.0.0.1:80")); /* wants to be named here, too */
        ck_assert(allows(n, POLICY_CONNECT, "10.0.0.1:80"));
        narrowings_unref(n);
}
END_TEST

START_TEST(what_no_policy_would_take) {
        static const char *const patterns[] = { "10.0.0.1/8:443", "a b:443", "x",         "",
                                                "10.0.0.0/33:1",  "a.*.b:1", "/run/**/x", "@a?b",
                                                "evil.com\n:443" };
        struct narrowing_error error;
        struct narrowings *n;

        for (size_t i = 0; i < ELEMENTS(patterns); ++i) {
                error.message[0] = '\0';
                ck_assert_int_eq(add(NULL, &(struct block){ .has_connect = true, .connect = { patterns[i] } }, &n,
                                     &error),
                                 -EINVAL);
                ck_assert_ptr_nonnull(strstr(error.message, "Connect="));
        }
        ck_assert_int_eq(add(NULL, &(struct block){ .has_protocols = true, .protocols = { "no/name" } }, &n, &error),
                         -EINVAL);
        ck_assert_int_eq(add(NULL, &(struct block){ .has_verbs = true, .verbs = 8 }, &n, &error), -EINVAL);
}
END_TEST

START_TEST(a_list_is_bounded) {
        struct narrowings *n = NULL, *longer;
        struct narrowing_error error;

        for (int i = 0; i < NARROWINGS_MAX; ++i) {
                longer = narrow(n, &(struct block){ .deny = { "10.0.0.0/8:1" } });
                narrowings_unref(n);
                n = longer;
        }
        ck_assert_uint_eq(narrowings_count(n), NARROWINGS_MAX);
        ck_assert_int_eq(add(n, &(struct block){ 0 }, &longer, &error), -E2BIG);
        narrowings_unref(n);
}
END_TEST

/* ---- whatever blocks there are, the result is the intersection ---- */

#define RUNS 3000

static const char *const connects[] = {
        "10.0.0.0/8:80",     "10.1.0.0/16:*",    "any:*",           "127.0.0.1:80-90", "public:80", "private:*",
        "[2001:db8::]/32:*", "*.example.com:80", "a.example.com:*", "/run/*.sock",     "@app*"
};
static const char *const listens[] = { "127.0.0.1:*", "0.0.0.0:80", "[::]:80", "any:80", "/run/x.sock" };
static const char *const questions[] = {
        "10.0.0.1:80",          "10.1.0.1:81",      "127.0.0.1:80", "0.0.0.0:80",
        "[::ffff:10.1.0.1]:80", "[2001:db8::1]:80", "8.8.8.8:80",   "[64:ff9b::a01:1]:80",
        "/run/x.sock",          "/run/y.sock",      "@app",         "[::]:80"
};
static const char *const names[] = { "a.example.com:80", "b.example.com:80", "example.com:80", "a.example.com:81" };

static struct block random_block(uint64_t *state) {
        struct block block = { .has_connect = next_random(state) % 3 > 0, .has_listen = next_random(state) % 3 == 0 };

        for (size_t i = 0; block.has_connect && i < next_random(state) % LIST_MAX; ++i)
                block.connect[i] = PICK(state, connects);
        for (size_t i = 0; block.has_listen && i < next_random(state) % LIST_MAX; ++i)
                block.listen[i] = PICK(state, listens);
        if (next_random(state) % 2)
                block.deny[0] = PICK(state, connects);
        block.has_verbs = next_random(state) % 8 == 0;
        block.verbs = (unsigned)(next_random(state) % 4);
        return block;
}

START_TEST(the_intersection) {
        uint64_t seed = 20261123, *state = &seed;
        unsigned n_allowed = 0, n_refused = 0;

        for (int run = 0; run < RUNS; ++run) {
                struct block first = random_block(state), second = random_block(state);
                struct narrowings *a = narrow(NULL, &first), *b = narrow(NULL, &second), *both = narrow(a, &second);
                enum policy_verb verb = (enum policy_verb)(next_random(state) % 3);
                const char *question = PICK(state, questions), *name = PICK(state, names);
                bool expected = allows(a, verb, question) && allows(b, verb, question);

                ck_assert_int_eq(allows(both, verb, question), expected);
                ck_assert_int_eq(allows_name(both, name), allows_name(a, name) && allows_name(b, name));
                ck_assert_int_eq(allows_resolved(both, name, "10.1.0.1:80"),
                                 allows_resolved(a, name, "10.1.0.1:80") && allows_resolved(b, name, "10.1.0.1:80"));
                n_allowed += expected;
                n_refused += !expected;
                narrowings_unref(a);
                narrowings_unref(b);
                ck_assert_int_eq(allows(both, verb, question), expected); /* it lives on without them */
                narrowings_unref(both);
        }
        ck_assert_uint_gt(n_allowed, RUNS / 20);
        ck_assert_uint_gt(n_refused, RUNS / 20);
}
END_TEST

static Suite *narrowing_suite(void) {
        Suite *suite = suite_create("narrowing");
        TCase *test = tcase_create("narrowing");

        tcase_add_test(test, nothing_narrows_nothing);
        tcase_add_test(test, an_empty_list_leaves_nothing);
        tcase_add_test(test, patterns_are_the_policys);
        tcase_add_test(test, loopback_by_another_name);
        tcase_add_test(test, what_no_policy_would_take);
        tcase_add_test(test, a_list_is_bounded);
        tcase_add_test(test, the_intersection);
        suite_add_tcase(suite, test);
        return suite;
}

int main(void) {
        return run_suite(narrowing_suite());
}
