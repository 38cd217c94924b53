/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of which only first packets are known.
 *
 *      (unknown) ──Initial──► WAITING ──credit, NewPeer──► ASKED ──TakePeer──► a connection
 *                                │                          └──refused──► REFUSED ──a moment──► (unknown)
 *                                └──too long──► (unknown)
 *
 * Each has the packets of its first flight, which may be several (a large ClientHello), up to a bound. A refused one is kept by its address, whatever its port: what the policy
 * says of the one it says of the others.
 */
#ifndef NB_RELAY_QUIC_STRANGERS_H
#define NB_RELAY_QUIC_STRANGERS_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "relay/quic/ids.h"
#include "relay/quic/packet.h"

/** What one may send before it is taken, in packets and bytes; what comes beyond that is dropped, and sent again by who means it. */
#define QUIC_STRANGER_PACKETS_MAX 4
#define QUIC_STRANGER_BYTES_MAX 8192

enum quic_stranger_state {
        QUIC_STRANGER_WAITING,
        QUIC_STRANGER_ASKED,
        QUIC_STRANGER_REFUSED,
        QUIC_STRANGER_N_STATES,
};

/** A packet that waits. */
struct quic_kept_packet {
        struct nb_list in_stranger;
        struct quic_packet packet; /* its bytes are those below */
        uint8_t bytes[];
};

struct quic_stranger {
        struct nb_list in_state;
        struct nb_list ids; /* the one that it has chosen, or that a Retry has; of a refused one its address */
        enum quic_stranger_state state;
        uint64_t number;   /* as it was announced; 0: it was not */
        uint64_t since_ms; /* of its first packet; of its refusal */
        bool after_retry;
        ngtcp2_cid original_dcid; /* before a Retry */
        struct nb_list packets;
        size_t n_packets;
        size_t n_bytes;
};

struct quic_strangers {
        struct quic_ids *ids;      /* borrowed: the server's */
        struct quic_ids addresses; /* of refused ones */
        size_t n_in[QUIC_STRANGER_N_STATES];
        struct nb_list in[QUIC_STRANGER_N_STATES]; /* in the order in which they go */
};

/** @return 0 or -errno */
int quic_strangers_init(struct quic_strangers *strangers, struct quic_ids *ids);

/** Frees all. Takes one that is all zeros. */
void quic_strangers_deinit(struct quic_strangers *strangers);

/**
 * Adds one that waits, with its first packet.
 * @param dcid           that the packet has, which is nobody's
 * @param original_dcid  before a Retry; NULL: there was none
 * @return 0; -ENOMEM; -EMSGSIZE for a packet that is longer than fits
 */
int quic_strangers_add(struct quic_strangers *strangers, const struct quic_packet *packet, const ngtcp2_cid *dcid,
                       const ngtcp2_cid *original_dcid, uint64_t now_ms);

/** Keeps one more packet. @return 0; -ENOBUFS: it has as many as it may have; -ENOMEM; -EACCES: it is not of that path */
int quic_stranger_keep(struct quic_stranger *stranger, const struct quic_packet *packet);

/** @return the first packet of one that was not refused, borrowed */
const struct quic_packet *quic_stranger_first_packet(const struct quic_stranger *stranger);

/** The next to go of a state. @return borrowed, or NULL */
struct quic_stranger *quic_strangers_first(const struct quic_strangers *strangers, enum quic_stranger_state state);

/** It was announced by that number. */
void quic_strangers_ask(struct quic_strangers *strangers, struct quic_stranger *stranger, uint64_t number);

/** Those that were announced wait again, in front of those that were not. */
void quic_strangers_unask(struct quic_strangers *strangers);

/** @return who was announced by that number, or NULL. Broker and relay keep their order, so it is among the first. */
struct quic_stranger *quic_strangers_find(const struct quic_strangers *strangers, uint64_t number);

/** Keeps its address only, as one that is not asked about; where that is there already, or there is no memory, nothing is kept, and it is freed. */
void quic_strangers_refuse(struct quic_strangers *strangers, struct quic_stranger *stranger, uint64_t now_ms);

/** Whether an address was refused a moment ago. */
bool quic_strangers_is_refused(const struct quic_strangers *strangers, const union quic_address *address);

/** Frees one, after its ID is free for its connection. */
void quic_strangers_remove(struct quic_strangers *strangers, struct quic_stranger *stranger);

/** Has its ID be nobody's: it becomes a connection. */
void quic_strangers_release_id(struct quic_strangers *strangers, struct quic_stranger *stranger);

#endif
