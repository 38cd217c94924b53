/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS answers: the first byte of the input says which family was asked for ('6' is IPv6), what follows up to a newline is the name, and the rest is
 * the message of a server that may lie.
 *
 * What is read of it is bounded and of the family that was asked for, an error has no addresses, and what the cache keeps of it is the
 * same answer, for as long as its bounds allow and no longer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/dns_answer.h"
#include "broker/resolver_cache.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_target[] = "dns";

#define NAME_MAX_LENGTH 255
#define NOW_MS 1000000

static void check_error(int error) {
        static const int errors[] = { 0, -ENOENT, -ENODATA, -EAGAIN, -EBADMSG };

        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); ++i)
                if (error == errors[i])
                        return;
        FUZZ_CHECK(false, "error %d", error);
}

static void check_answer(const struct dns_answer *answer, sa_family_t family) {
        check_error(answer->error);
        FUZZ_CHECK((answer->error == 0) == (answer->n_addresses > 0), "error %d, %zu addresses", answer->error,
                   answer->n_addresses);
        FUZZ_CHECK(answer->n_addresses <= DNS_ADDRESSES_MAX, "%zu addresses", answer->n_addresses);
        FUZZ_CHECK(answer->ttl <= INT32_MAX, "ttl %u", answer->ttl);
        for (size_t i = 0; i < answer->n_addresses; ++i) {
                FUZZ_CHECK(answer->addresses[i].family == family, "family %u", answer->addresses[i].family);
                for (size_t j = 0; j < i; ++j)
                        FUZZ_CHECK(!nb_ip_equal(&answer->addresses[i], &answer->addresses[j]), "%zu and %zu", i, j);
        }
}

static bool same_answer(const struct dns_answer *a, const struct dns_answer *b) {
        bool same = a->error == b->error && a->n_addresses == b->n_addresses;

        for (size_t i = 0; same && i < a->n_addresses; ++i)
                same = nb_ip_equal(&a->addresses[i], &b->addresses[i]);
        return same;
}

static void check_cache(const char *name, sa_family_t family, const struct dns_answer *answer) {
        sa_family_t other = family == AF_INET ? AF_INET6 : AF_INET;
        struct resolver_cache cache;
        const struct dns_answer *kept;
        uint32_t ttl = resolver_cache_ttl(answer), left = 0;

        FUZZ_CHECK(ttl <= RESOLVER_CACHE_TTL_MAX, "%u s", ttl);
        resolver_cache_init(&cache);
        FUZZ_CHECK(resolver_cache_put(&cache, name, family, answer, NOW_MS) == 0, "no memory");
        kept = resolver_cache_get(&cache, name, family, NOW_MS, &left);
        if (ttl > 0)
                FUZZ_CHECK(kept && same_answer(kept, answer) && left <= ttl, "%u s of %u", left, ttl);
        FUZZ_CHECK(!resolver_cache_get(&cache, name, other, NOW_MS, &left), "the other family has it as well");
        FUZZ_CHECK(!resolver_cache_get(&cache, name, family, NOW_MS + ttl * UINT64_C(1000), &left),
                   "%u s are over, and it is still there", ttl);
        resolver_cache_clear(&cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
        NB_CLEANUP_FREE uint8_t *message = NULL;
        NB_CLEANUP_FREE char *name = NULL;
        struct dns_answer answer;
        sa_family_t family;
        size_t name_length, message_length;

        if (!end || end == data)
                return 0;
        family = data[0] == '6' ? AF_INET6 : AF_INET;
        name_length = (size_t)(end - data) - 1;
        message_length = size - name_length - 2;
        name = fuzz_text(data + 1, name_length);
        if (name_length > NAME_MAX_LENGTH || strlen(name) != name_length)
                return 0;
        /* Of exactly that size, so that a sanitizer sees what is read too far. */
        message = malloc(message_length ? message_length : 1);
        FUZZ_CHECK(message, "no memory for %zu bytes", message_length);
        memcpy(message, end + 1, message_length);
        dns_answer_parse(message, message_length, name, family, &answer);
        check_answer(&answer, family);
        check_cache(name, family, &answer);
        return 0;
}
