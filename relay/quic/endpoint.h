/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of QUIC: one bound socket, and its connections by their connection IDs.
 *
 *      packet ─┬─ an ID that is known ──────────────────────────────► its connection
 *              ├─ a version that is not spoken, 1,200 bytes or more ─► Version Negotiation
 *              ├─ Initial, no token, many under way (or always) ─────► Retry
 *              ├─ Initial ──► noted, NewPeer ──TakePeer──► a connection, handshake, Ready
 *              ├─ a short header, nobody's ──────────────────────────► a stateless reset, shorter than it, a few a second
 *              └─ anything else ─────────────────────────────────────► dropped, counted
 *
 * What a stranger's packets can take is bounded by constants: clients that wait for the broker's word and their bytes, handshakes under way (the credit), and
 * answers a second to who has proved nothing. IDs that clients choose are hashed with a key. Nothing is answered with more than three times the bytes that came.
 *
 * When a server is ended its connections live on, and nobody new is taken; it is gone with the last of them.
 */
#ifndef NB_RELAY_QUIC_ENDPOINT_H
#define NB_RELAY_QUIC_ENDPOINT_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "relay/quic/packet.h"

struct quic_connection;
struct quic_endpoint;
struct quic_socket;

/** What a connection is made from: the first packet of a client that was taken. All borrowed for the time of the call. */
struct quic_first {
        uint32_t version;
        const ngtcp2_cid *dcid;          /* that the client put into this packet */
        const ngtcp2_cid *scid;          /* the client's */
        const ngtcp2_cid *original_dcid; /* before a Retry; without one it is `dcid` */
        bool after_retry;                /* the address is validated, `dcid` is what our Retry chose */
        const uint8_t *token;            /* that came with it */
        size_t token_length;
        struct quic_path path;
};

/** The socket that its connections send by, borrowed. */
struct quic_socket *quic_endpoint_socket(const struct quic_endpoint *endpoint);

/** The order that it was made of says what connections may: limits, and the context. Borrowed. */
const struct quic_settings *quic_endpoint_settings(const struct quic_endpoint *endpoint);

/** Has packets with that ID go to a connection. @return 0; -EEXIST; -ENOMEM */
int quic_endpoint_add_id(struct quic_endpoint *endpoint, const ngtcp2_cid *id, struct quic_connection *connection);

/** Harmless for one that is not there. */
void quic_endpoint_remove_id(struct quic_endpoint *endpoint, const ngtcp2_cid *id);

/** A connection of it has been freed, after its IDs were removed: a place is free, and an endpoint that was ended may be gone afterwards. */
void quic_endpoint_release(struct quic_endpoint *endpoint);

#endif
