/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_LEAST 64

void store_init(struct store *store, const struct store_limits *limits) {
        *store = (struct store){ .limits = *limits };
        nb_list_init(&store->entries);
}

/* ---- the table ---- */

/* Numbers come one after the other, so neighbours may share no place. */
static struct entry **place_of(const struct store *store, uint64_t id) {
        return &store->table[id & (store->table_size - 1)];
}

static void enter(struct store *store, struct entry *entry) {
        struct entry **place = place_of(store, entry->id);

        entry->next_same = *place;
        *place = entry;
}

static struct entry *find(const struct store *store, uint64_t id) {
        struct entry *entry = store->table ? *place_of(store, id) : NULL;

        while (entry && entry->id != id)
                entry = entry->next_same;
        return entry;
}

static void leave(struct store *store, const struct entry *entry) {
        struct entry **place = place_of(store, entry->id);

        while (*place != entry)
                place = &(*place)->next_same;
        *place = entry->next_same;
}

/* Without memory for a larger one the old one does, and is slower. */
static int make_room(struct store *store) {
        size_t size = store->table ? store->table_size * 2 : TABLE_LEAST;
        struct entry **table;

        if (store->table && store->n_entries < store->table_size)
                return 0;
        table = calloc(size, sizeof(*table));
        if (!table)
                return store->table ? 0 : -ENOMEM;
        free(store->table);
        store->table = table;
        store->table_size = size;
        nb_list_foreach_safe(link, &store->entries) enter(store, nb_container_of(link, struct entry, link));
        return 0;
}

/* ---- entries ---- */

static void drop(struct store *store, struct entry *entry) {
        leave(store, entry);
        nb_list_remove(&entry->link);
        store->n_entries--;
        store->n_bytes -= entry->length;
        store->n_fds -= entry->n_fds;
        for (size_t i = 0; i < entry->n_fds; ++i)
                (void)nb_channel_fd_close(entry->fds[i]);
        free(entry);
}

static int check_room(const struct store *store, size_t length, size_t n_fds) {
        if (store->n_entries >= store->limits.entries || length > store->limits.bytes ||
            store->n_bytes > store->limits.bytes - length)
                return -ENOSPC;
        if (n_fds > store->limits.fds || store->n_fds > store->limits.fds - n_fds)
                return -EMFILE;
        return 0;
}

static void add(struct store *store, struct entry *entry) {
        enter(store, entry);
        nb_list_append(&store->entries, &entry->link);
        store->n_entries++;
        store->n_bytes += entry->length;
        store->n_fds += entry->n_fds;
        if (entry->id > store->last_id)
                store->last_id = entry->id;
}

int store_put(struct store *store, uint64_t id, const uint8_t *bytes, size_t length, struct nb_channel_fds *fds) {
        struct entry *entry;
        int r;

        store_forget(store, id);
        r = check_room(store, length, fds->n);
        if (r == 0)
                r = make_room(store);
        if (r < 0)
                return r;
        entry = malloc(sizeof(*entry) + length);
        if (!entry)
                return -ENOMEM;
        *entry = (struct entry){ .id = id, .length = length, .n_fds = fds->n };
        memcpy(entry->bytes, bytes, length);
        memcpy(entry->fds, fds->fds, fds->n * sizeof(int));
        fds->n = 0;
        add(store, entry);
        return 0;
}

void store_forget(struct store *store, uint64_t id) {
        struct entry *entry = find(store, id);

        if (entry)
                drop(store, entry);
}

void store_clear(struct store *store) {
        nb_list_foreach_safe(link, &store->entries) drop(store, nb_container_of(link, struct entry, link));
        free(store->table);
        store->table = NULL;
        store->table_size = 0;
}
