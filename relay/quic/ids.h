/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection IDs of a server, and whose packets they mark: a connection's, or a client's that waits for the broker's word.
 *
 * The first ID of a connection is chosen by its client, so they are found by a keyed hash, and no stranger can choose which bucket is to be long. All others we choose, all of
 * one length, for a short header does not say how long its ID is. What else has to be found by so short a key has a table of the same kind: addresses that were refused
 * (relay/quic/strangers.h), and connections by the broker's numbers (relay/quic/quic.h).
 */
#ifndef NB_RELAY_QUIC_IDS_H
#define NB_RELAY_QUIC_IDS_H

#include <ngtcp2/ngtcp2.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct quic_connection;
struct quic_stranger;

/** The length of the IDs that we choose, in bytes: the least that a client's first packet may have after a Retry (RFC 9000, 7.2). */
#define QUIC_ID_LENGTH 8

/** Whose packets an ID marks: one of the two. */
struct quic_id_owner {
        struct quic_connection *connection;
        struct quic_stranger *stranger;
};

struct quic_id;

struct quic_ids {
        struct quic_id **buckets; /* owned */
        size_t n_buckets;         /* a power of two */
        size_t n;
        uint8_t key[16];
};

/** Makes an empty table with a key of its own. @return 0 or -errno */
int quic_ids_init(struct quic_ids *ids);

/** Frees the table, in which nothing is left. Takes one that is all zeros. */
void quic_ids_deinit(struct quic_ids *ids);

/**
 * Adds an ID.
 * @param of_owner  the list of the owner's, for quic_ids_remove_all()
 * @return 0; -EEXIST; -ENOMEM
 */
int quic_ids_add(struct quic_ids *ids, const uint8_t *bytes, size_t length, struct quic_id_owner owner,
                 struct nb_list *of_owner);

/** Harmless for one that is not there. */
void quic_ids_remove(struct quic_ids *ids, const uint8_t *bytes, size_t length);

/** Removes all of an owner. */
void quic_ids_remove_all(struct quic_ids *ids, struct nb_list *of_owner);

/** @return whose it is; nobody's: both NULL */
struct quic_id_owner quic_ids_find(const struct quic_ids *ids, const uint8_t *bytes, size_t length);

/** Chooses one by chance, QUIC_ID_LENGTH long. @return 0 or -errno */
int quic_id_choose(ngtcp2_cid *ret);

#endif
