/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has sent something to a datagram server, and what is known of each.
 *
 *      (unknown) ──first datagram──► WAITING, announced with credit ──TakePeer──► CONNECTED ──idle, guest gone, End──► (unknown)
 *                                              │  └──refused──► REFUSED ──a moment──► (unknown)
 *                                              └──more of them than may wait──► (unknown)
 *
 * Strangers choose the addresses, so peers are found by a keyed hash (relay/datagram/route.h), and each state is a list with a bound of its
 * own, in the order in which its members leave it: the longest-waiting first, or the longest-silent. So each datagram costs the same
 * however many peers there are, and so does each look at who is to go.
 */
#ifndef NB_RELAY_DATAGRAM_PEERS_H
#define NB_RELAY_DATAGRAM_PEERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "loop/watch.h"
#include "relay/datagram/route.h"

struct datagram_server;

/** What one peer may send before it has been taken, in datagrams and bytes; what comes beyond that is dropped. */
#define PEER_QUEUE_MAX 8
#define PEER_QUEUE_BYTES_MAX 65536

enum peer_state {
        PEER_WAITING,
        PEER_CONNECTED,
        PEER_REFUSED, /* nothing of it is announced for a moment */
        PEER_N_STATES,
};

/** A datagram that waits for its peer to be taken. */
struct peer_datagram {
        struct nb_list in_queue;
        size_t length;
        uint8_t bytes[];
};

struct peer {
        struct nb_list in_state;
        struct peer *next_by_route;
        struct peer *next_by_link;
        struct datagram_server *server; /* borrowed */
        struct route route;
        uint64_t hash;
        enum peer_state state;
        uint64_t number;   /* as it was announced; 0: it was not */
        uint64_t link;     /* as it was taken; 0: it was not */
        uint64_t since_ms; /* of its last datagram, in either direction; of the first while it waits; of its refusal */
        struct nb_list queue;
        size_t n_queued;
        size_t n_queued_bytes;
        int pair_fd; /* owned; -1 */
        struct watch watch;
        uint64_t bytes_to_guest;
        uint64_t bytes_to_peer;
        uint64_t n_dropped; /* datagrams for the guest, which had no room for them */
};

struct peer_table {
        struct peer **by_route; /* owned, as many buckets as by_link */
        struct peer **by_link;
        size_t n_buckets; /* a power of two */
        size_t n;
        size_t n_in[PEER_N_STATES];
        struct nb_list in[PEER_N_STATES]; /* those to go next first */
        struct route_key key;
};

/** Makes an empty table with a key of its own. @return 0 or -errno */
int peer_table_init(struct peer_table *table);

/** Frees what the table allocated. All peers are out of it. Takes one that is all zeros. */
void peer_table_deinit(struct peer_table *table);

/** Adds a peer that waits. @return borrowed from the table, or NULL without memory */
struct peer *peer_new(struct peer_table *table, struct datagram_server *server, const struct route *route,
                      uint64_t now_ms);

/** Takes a peer out and frees it with its queue; its pair and watch are the caller's before. */
void peer_free(struct peer_table *table, struct peer *peer);

/** @return the peer that a datagram is of, or NULL. */
struct peer *peer_find(const struct peer_table *table, const struct route *route);

/** @return the waiting peer that was announced by that number, or NULL. Broker and relay keep their order, so it is among the first. */
struct peer *peer_find_waiting(const struct peer_table *table, uint64_t number);

/** @return the peer that is that link, or NULL. */
struct peer *peer_find_link(const struct peer_table *table, uint64_t link);

/** Makes a waiting peer that link. */
void peer_set_link(struct peer_table *table, struct peer *peer, uint64_t link);

/** Forgets what a peer has sent before it was taken. */
void peer_drop_queue(struct peer *peer);

/** Moves a peer to the end of a state's list: it entered it, or has done something. */
void peer_set_state(struct peer_table *table, struct peer *peer, enum peer_state state, uint64_t now_ms);

/** @return the next to go of a state, or NULL. */
struct peer *peer_first(const struct peer_table *table, enum peer_state state);

/** Keeps a datagram for later. @return 0; -ENOBUFS: the peer has as many as it may have; -ENOMEM */
int peer_keep(struct peer *peer, const void *bytes, size_t length);

#endif
