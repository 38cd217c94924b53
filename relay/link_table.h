/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links by their ids, which the broker counts up: a hash table of chains that doubles as it fills.
 */
#ifndef NB_RELAY_LINK_TABLE_H
#define NB_RELAY_LINK_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct link;

/** All zeros to begin. */
struct link_table {
        struct link **buckets; /* owned */
        size_t n_buckets;      /* a power of two, or 0 */
        size_t n_links;
};

/** Adds a link, by its `id`, which must not be there. @return 0 or -ENOMEM */
int link_table_add(struct link_table *table, struct link *link);

/** Removes one that is there. */
void link_table_remove(struct link_table *table, struct link *link);

/** @return the link of that id, or NULL */
struct link *link_table_find(const struct link_table *table, uint64_t id);

/** Frees the table, not its links. */
void link_table_deinit(struct link_table *table);

#endif
