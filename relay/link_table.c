/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/link_table.h"

#include <errno.h>
#include <stdlib.h>

#include "relay/link.h"

#define BUCKETS_MIN 64

/* Ids are counted by the broker, whom we trust: their low bits spread best as they are. */
static struct link **bucket_of(const struct link_table *table, uint64_t id) {
        return &table->buckets[id & (table->n_buckets - 1)];
}

static void put(struct link_table *table, struct link *link) {
        struct link **bucket = bucket_of(table, link->id);

        link->next_in_bucket = *bucket;
        *bucket = link;
}

static int grow(struct link_table *table) {
        size_t n_buckets = table->n_buckets > 0 ? 2 * table->n_buckets : BUCKETS_MIN;
        struct link_table larger = { .buckets = calloc(n_buckets, sizeof(struct link *)), .n_buckets = n_buckets };

        if (!larger.buckets)
                return -ENOMEM;
        for (size_t i = 0; i < table->n_buckets; ++i) {
                for (struct link *link = table->buckets[i], *next; link; link = next) {
                        next = link->next_in_bucket;
                        put(&larger, link);
                }
        }
        free(table->buckets);
        table->buckets = larger.buckets;
        table->n_buckets = n_buckets;
        return 0;
}

int link_table_add(struct link_table *table, struct link *link) {
        if (table->n_links >= table->n_buckets && grow(table) < 0)
                return -ENOMEM;
        put(table, link);
        table->n_links++;
        return 0;
}

void link_table_remove(struct link_table *table, struct link *link) {
        struct link **place = bucket_of(table, link->id);

        while (*place != link)
                place = &(*place)->next_in_bucket;
        *place = link->next_in_bucket;
        table->n_links--;
}

struct link *link_table_find(const struct link_table *table, uint64_t id) {
        struct link *link = table->n_buckets > 0 ? *bucket_of(table, id) : NULL;

        while (link && link->id != id)
                link = link->next_in_bucket;
        return link;
}

void link_table_deinit(struct link_table *table) {
        free(table->buckets);
        *table = (struct link_table){ 0 };
}
