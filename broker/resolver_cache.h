/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of names, for as long as it holds.
 *
 * One of each tenant's resolver. An answer lives for its TTL within bounds; a failure of the name servers for a second, so that a guest that tries
 * again at once does not ask them again (RFC 9520 section 3.2). The two families of a name are answers of their own. A name in excess
 * takes the place of the one that was put there longest ago.
 *
 * Pure: the caller says what time it is, on a clock that only goes on.
 */
#ifndef NB_BROKER_RESOLVER_CACHE_H
#define NB_BROKER_RESOLVER_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/dns_answer.h"

/** The most names of one cache. */
#define RESOLVER_CACHE_NAMES_MAX 1024

/** Bounds of what answers live for, in seconds. */
#define RESOLVER_CACHE_TTL_MIN 1
#define RESOLVER_CACHE_TTL_MAX 3600
#define RESOLVER_CACHE_TTL_NO_MAX 300
#define RESOLVER_CACHE_TTL_FAILURE 1

struct resolver_cache {
        void *index;         /* of tsearch(3), by name */
        struct nb_list list; /* in the order in which they were put there */
        size_t n;
        size_t bytes; /* of memory */
};

/** The bytes that a name of that length takes. */
size_t resolver_cache_cost(size_t name_length);

void resolver_cache_init(struct resolver_cache *cache);

/** Forgets everything; the cache can be used again. */
void resolver_cache_clear(struct resolver_cache *cache);

/**
 * Looks for an answer that still holds.
 * @param ret_ttl  how long it does, in seconds, at least 1
 * @return borrowed until the cache changes; NULL if there is none
 */
const struct dns_answer *resolver_cache_get(const struct resolver_cache *cache, const char *name, sa_family_t family,
                                            uint64_t now_ms, uint32_t *ret_ttl);

/** Keeps an answer. @param name  copied @return 0, or -ENOMEM and nothing is kept */
int resolver_cache_put(struct resolver_cache *cache, const char *name, sa_family_t family,
                       const struct dns_answer *answer, uint64_t now_ms);

/** How long an answer lives, in seconds. */
uint32_t resolver_cache_ttl(const struct dns_answer *answer);

#endif
