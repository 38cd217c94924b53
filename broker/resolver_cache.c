/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/resolver_cache.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define MS_PER_SECOND UINT64_C(1000)

struct held {
        uint64_t until_ms; /* 0: nothing */
        struct dns_answer answer;
};

struct cached_name {
        struct nb_list link;
        const char *name; /* what the index compares: `text`, or a caller's while it searches */
        struct held ipv4, ipv6;
        char text[];
};

static int compare(const void *a, const void *b) {
        const struct cached_name *first = a, *second = b;

        return strcmp(first->name, second->name);
}

size_t resolver_cache_cost(size_t name_length) {
        return sizeof(struct cached_name) + name_length + 1;
}

void resolver_cache_init(struct resolver_cache *cache) {
        *cache = (struct resolver_cache){ .index = NULL };
        nb_list_init(&cache->list);
}

static struct cached_name *find(const struct resolver_cache *cache, const char *name) {
        const struct cached_name key = { .name = name };
        struct cached_name *const *found = tfind(&key, &cache->index, compare);

        return found ? *found : NULL;
}

static void drop(struct resolver_cache *cache, struct cached_name *entry) {
        (void)tdelete(entry, &cache->index, compare);
        nb_list_remove(&entry->link);
        cache->n--;
        cache->bytes -= resolver_cache_cost(strlen(entry->text));
        free(entry);
}

void resolver_cache_clear(struct resolver_cache *cache) {
        nb_list_foreach_safe(link, &cache->list) drop(cache, nb_container_of(link, struct cached_name, link));
}

static struct held *held_of(struct cached_name *entry, sa_family_t family) {
        return family == AF_INET ? &entry->ipv4 : &entry->ipv6;
}

const struct dns_answer *resolver_cache_get(const struct resolver_cache *cache, const char *name, sa_family_t family,
                                            uint64_t now_ms, uint32_t *ret_ttl) {
        struct cached_name *entry = find(cache, name);
        const struct held *held = entry ? held_of(entry, family) : NULL;

        if (!held || held->until_ms <= now_ms)
                return NULL;
        *ret_ttl = (uint32_t)((held->until_ms - now_ms + MS_PER_SECOND - 1) / MS_PER_SECOND);
        return &held->answer;
}

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most) {
        if (value < least)
                return least;
        return value < most ? value : most;
}

uint32_t resolver_cache_ttl(const struct dns_answer *answer) {
        switch (answer->error) {
        case 0:
                return clamp(answer->ttl, RESOLVER_CACHE_TTL_MIN, RESOLVER_CACHE_TTL_MAX);
        case -ENOENT:
        case -ENODATA:
                return clamp(answer->ttl, RESOLVER_CACHE_TTL_MIN, RESOLVER_CACHE_TTL_NO_MAX);
        default:
                return RESOLVER_CACHE_TTL_FAILURE;
        }
}

static struct cached_name *add(struct resolver_cache *cache, const char *name) {
        size_t length = strlen(name);
        struct cached_name *entry = calloc(1, resolver_cache_cost(length));

        if (!entry)
                return NULL;
        memcpy(entry->text, name, length + 1);
        entry->name = entry->text;
        nb_list_init(&entry->link);
        if (!tsearch(entry, &cache->index, compare)) {
                free(entry);
                return NULL;
        }
        cache->n++;
        cache->bytes += resolver_cache_cost(length);
        return entry;
}

int resolver_cache_put(struct resolver_cache *cache, const char *name, sa_family_t family,
                       const struct dns_answer *answer, uint64_t now_ms) {
        struct cached_name *entry = find(cache, name);
        struct held *held;

        if (!entry && cache->n == RESOLVER_CACHE_NAMES_MAX)
                drop(cache, nb_container_of(cache->list.next, struct cached_name, link));
        if (!entry)
                entry = add(cache, name);
        if (!entry)
                return -ENOMEM;
        nb_list_remove(&entry->link);
        nb_list_append(&cache->list, &entry->link);
        held = held_of(entry, family);
        held->answer = *answer;
        held->until_ms = now_ms + resolver_cache_ttl(answer) * MS_PER_SECOND;
        return 0;
}
