/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept: entries with a number, bytes that nobody here reads, and descriptors.
 *
 * Found by number in a table that grows with them, and walked from the oldest to the newest. Bounds are checked before anything is allocated; an entry that
 * is replaced counts no more by then.
 */
#ifndef NB_KEEPER_STORE_H
#define NB_KEEPER_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/keep_message.h"
#include "base/list.h"

struct entry {
        struct nb_list link;     /* of all, in the order in which their numbers came */
        struct entry *next_same; /* in its place of the table */
        uint64_t id;
        size_t length;
        size_t n_fds;
        int fds[NB_KEEP_FDS_MAX]; /* owned */
        uint8_t bytes[];
};

/** What there may be at most, all entries together. */
struct store_limits {
        uint64_t entries;
        uint64_t bytes;
        uint64_t fds;
};

struct store {
        struct store_limits limits;
        struct nb_list entries;
        struct entry **table; /* owned; NULL before the first entry */
        size_t table_size;    /* a power of two */
        uint64_t n_entries;
        uint64_t n_bytes;
        uint64_t n_fds;
        uint64_t last_id; /* the highest that was put, ever */
};

/** Makes an empty one. */
void store_init(struct store *store, const struct store_limits *limits);

/**
 * Keeps an entry, in the place of one with the same number, which goes in any case.
 * @param fds  at most NB_KEEP_FDS_MAX; taken from there on success, left there otherwise
 * @return 0; -ENOSPC over the bound of entries or bytes; -EMFILE over that of descriptors; -ENOMEM
 */
int store_put(struct store *store, uint64_t id, const uint8_t *bytes, size_t length, struct nb_channel_fds *fds);

/** Forgets an entry and closes its descriptors. Harmless where there is none. */
void store_forget(struct store *store, uint64_t id);

/** Forgets all. */
void store_clear(struct store *store);

#endif
