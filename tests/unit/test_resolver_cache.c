/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of names, and for how long, by a clock that is given; and hosts(5), which is known for good.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/hosts_file.h"
#include "broker/resolver_cache.h"
#include "tests/support/runner.h"

#define START_MS UINT64_C(1000000)
#define SECOND_MS UINT64_C(1000)

/* An answer with one address, of which the last number is given; or one of those that have none. */
static struct dns_answer answer_of(int error, uint8_t number, uint32_t ttl) {
        struct dns_answer answer = { .error = error, .ttl = ttl };

        if (error != 0)
                return answer;
        answer.addresses[0] = (struct nb_ip){ .family = AF_INET, .bytes = { 192, 0, 2, number } };
        answer.n_addresses = 1;
        return answer;
}

static void put(struct resolver_cache *cache, const char *name, const struct dns_answer *answer, uint64_t now_ms) {
        ck_assert_int_eq(resolver_cache_put(cache, name, AF_INET, answer, now_ms), 0);
}

static bool has(const struct resolver_cache *cache, const char *name, uint64_t now_ms) {
        uint32_t ttl;

        return resolver_cache_get(cache, name, AF_INET, now_ms, &ttl);
}

/* How long an answer is kept, whatever its TTL says. */
static const struct {
        int error;
        uint32_t ttl;
        uint32_t seconds;
} lives[] = {
        { 0, 0, 1 },
        { 0, 1, 1 },
        { 0, 60, 60 },
        { 0, 3600, 3600 },
        { 0, 3601, 3600 },
        { 0, UINT32_MAX, 3600 },
        { -ENOENT, 0, 1 },
        { -ENOENT, 60, 60 },
        { -ENOENT, 86400, 300 },
        { -ENODATA, 301, 300 },
        { -EAGAIN, 60, 1 },
        { -ETIMEDOUT, 60, 1 },
        { -EBADMSG, 60, 1 },
};

START_TEST(an_answer_lives_for_its_time) {
        const struct dns_answer answer = answer_of(lives[_i].error, 1, lives[_i].ttl);
        uint64_t end_ms = START_MS + lives[_i].seconds * SECOND_MS;
        struct resolver_cache cache;
        uint32_t ttl = 0;

        resolver_cache_init(&cache);
        put(&cache, "a.example", &answer, START_MS);
        ck_assert_ptr_nonnull(resolver_cache_get(&cache, "a.example", AF_INET, START_MS, &ttl));
        ck_assert_uint_eq(ttl, lives[_i].seconds);
        ck_assert_ptr_nonnull(resolver_cache_get(&cache, "a.example", AF_INET, end_ms - 1, &ttl));
        ck_assert_uint_eq(ttl, 1);
        ck_assert(!has(&cache, "a.example", end_ms));
        resolver_cache_clear(&cache);
}
END_TEST

START_TEST(families_are_apart) {
        const struct dns_answer none = answer_of(-ENODATA, 0, 60), one = answer_of(0, 1, 60);
        struct resolver_cache cache;
        const struct dns_answer *found;
        uint32_t ttl;

        resolver_cache_init(&cache);
        put(&cache, "a.example", &one, START_MS);
        ck_assert_ptr_null(resolver_cache_get(&cache, "a.example", AF_INET6, START_MS, &ttl));
        ck_assert_int_eq(resolver_cache_put(&cache, "a.example", AF_INET6, &none, START_MS), 0);
        ck_assert_uint_eq(cache.n, 1);
        found = resolver_cache_get(&cache, "a.example", AF_INET6, START_MS, &ttl);
        ck_assert_int_eq(found->error, -ENODATA);
        found = resolver_cache_get(&cache, "a.example", AF_INET, START_MS, &ttl);
        ck_assert_uint_eq(found->n_addresses, 1);
        resolver_cache_clear(&cache);
}
END_TEST

START_TEST(the_newest_answer_counts) {
        const struct dns_answer first = answer_of(0, 1, 60), second = answer_of(0, 2, 5);
        struct resolver_cache cache;
        const struct dns_answer *found;
        uint32_t ttl;

        resolver_cache_init(&cache);
        put(&cache, "a.example", &first, START_MS);
        put(&cache, "a.example", &second, START_MS);
        found = resolver_cache_get(&cache, "a.example", AF_INET, START_MS, &ttl);
        ck_assert_uint_eq(found->addresses[0].bytes[3], 2);
        ck_assert_uint_eq(ttl, 5);
        ck_assert_uint_eq(cache.n, 1);
        resolver_cache_clear(&cache);
}
END_TEST

/* The one in excess takes the place of the oldest, and what it takes of memory is known. */
START_TEST(bounded) {
        const struct dns_answer answer = answer_of(0, 1, 3600);
        struct resolver_cache cache;
        char name[32];

        resolver_cache_init(&cache);
        for (unsigned i = 0; i < RESOLVER_CACHE_NAMES_MAX; ++i) {
                (void)snprintf(name, sizeof(name), "n%04u.example", i);
                put(&cache, name, &answer, START_MS);
        }
        ck_assert_uint_eq(cache.n, RESOLVER_CACHE_NAMES_MAX);
        ck_assert_uint_eq(cache.bytes, RESOLVER_CACHE_NAMES_MAX * resolver_cache_cost(strlen(name)));
        put(&cache, "n0000.example", &answer, START_MS);
        put(&cache, "a.longer.example", &answer, START_MS);
        ck_assert_uint_eq(cache.n, RESOLVER_CACHE_NAMES_MAX);
        ck_assert(has(&cache, "a.longer.example", START_MS));
        ck_assert(has(&cache, "n0000.example", START_MS));
        ck_assert(!has(&cache, "n0001.example", START_MS));
        ck_assert(has(&cache, "n0002.example", START_MS));
        resolver_cache_clear(&cache);
        ck_assert_uint_eq(cache.n, 0);
        ck_assert_uint_eq(cache.bytes, 0);
        ck_assert(!has(&cache, "n0002.example", START_MS));
}
END_TEST

/* ---- hosts(5) ---- */

static const char hosts[] = "# a comment with name.example\n"
                            "127.0.0.1\tlocalhost\n"
                            "192.0.2.1  one.example One.Alias # 192.0.2.9 hidden.example\n"
                            "  192.0.2.2 one.example\r\n"
                            "2001:db8::1 one.example\n"
                            "fe80::1%lo zone.example\n"
                            "nonsense one.example\n"
                            "192.0.2.3\n"
                            "\n"
                            "192.0.2.4 last.example";

static bool find(const char *name, sa_family_t family, struct dns_answer *ret) {
        char path[] = "/tmp/nb-hosts-XXXXXX";
        int fd = mkstemp(path);
        bool found;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, hosts, strlen(hosts)), (ssize_t)strlen(hosts));
        ck_assert_int_eq(close(fd), 0);
        found = hosts_file_find(path, name, family, ret);
        ck_assert_int_eq(unlink(path), 0);
        return found;
}

START_TEST(what_hosts_say) {
        struct dns_answer answer;

        ck_assert(find("one.example", AF_INET, &answer));
        ck_assert_int_eq(answer.error, 0);
        ck_assert_uint_eq(answer.n_addresses, 2);
        ck_assert_uint_eq(answer.addresses[0].bytes[3], 1);
        ck_assert_uint_eq(answer.addresses[1].bytes[3], 2);
        ck_assert(find("one.example", AF_INET6, &answer));
        ck_assert_uint_eq(answer.n_addresses, 1);
        ck_assert(find("one.alias", AF_INET, &answer));
        ck_assert(find("last.example", AF_INET, &answer));
        ck_assert(!find("one.alias", AF_INET6, &answer));
        ck_assert(!find("hidden.example", AF_INET, &answer));
        ck_assert(!find("zone.example", AF_INET6, &answer));
        ck_assert(!find("name.example", AF_INET, &answer));
        ck_assert(!hosts_file_find("/nowhere/hosts", "localhost", AF_INET, &answer));
}
END_TEST

START_TEST(localhost) {
        ck_assert(hosts_file_is_localhost("localhost"));
        ck_assert(hosts_file_is_localhost("x.localhost"));
        ck_assert(!hosts_file_is_localhost("notlocalhost"));
        ck_assert(!hosts_file_is_localhost("localhost.example"));
        ck_assert(!hosts_file_is_localhost("host"));
}
END_TEST

static Suite *new_suite(void) {
        Suite *suite = suite_create("resolver_cache");
        TCase *tcase = tcase_create("resolver_cache");

        suite_add_tcase(suite, tcase);
        tcase_add_loop_test(tcase, an_answer_lives_for_its_time, 0, sizeof(lives) / sizeof(lives[0]));
        tcase_add_test(tcase, families_are_apart);
        tcase_add_test(tcase, the_newest_answer_counts);
        tcase_add_test(tcase, bounded);
        tcase_add_test(tcase, what_hosts_say);
        tcase_add_test(tcase, localhost);
        return suite;
}

int main(void) {
        return run_suite(new_suite());
}
