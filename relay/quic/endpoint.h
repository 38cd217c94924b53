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
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "proto/relay_frame.h"
#include "relay/quic/packet.h"

struct inventory;
struct quic;
struct quic_connection;
struct quic_endpoint;
struct quic_settings;
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

/** The handshake of a connection is confirmed: it is none of those under way any more, which may come to ask for Retry. Harmless twice. */
void quic_endpoint_confirmed(struct quic_endpoint *endpoint, struct quic_connection *connection);

/**
 * A connection of it is about to be freed: what IDs it has left are removed, its place is free, and an endpoint that was ended may be gone afterwards. Harmless for one that
 * could not be made.
 */
void quic_endpoint_release(struct quic_endpoint *endpoint, struct quic_connection *connection);

/** @return how many IDs its table has, of connections and of clients that wait: what tests count */
size_t quic_endpoint_load(const struct quic_endpoint *endpoint);

/* ---- for the doors (relay/quic/quic.h) and for facts ---- */

/**
 * Starts one. What fails is reported as the server's end.
 * @param settings  consumed: the reference is the endpoint's
 * @param fd        of UDP, bound; consumed
 */
void quic_endpoint_start(struct quic *quic, const Nb__Relay__Serve *serve, const struct quic_settings *settings,
                         int fd);

/** @return the server of that number, or NULL */
struct quic_endpoint *quic_endpoint_find(const struct quic *quic, uint64_t number);

/** Raises the total of clients that may be announced. */
void quic_endpoint_credit(struct quic_endpoint *endpoint, uint64_t total);

/** What connections may from now on. @param settings  consumed */
void quic_endpoint_renew(struct quic_endpoint *endpoint, const struct quic_settings *settings);

/**
 * Makes a connection of a client that was announced. One that is gone meanwhile is reported as the link's end, as is what fails.
 * @param peer  as it was announced
 * @param fd    our end of the connection channel, consumed
 */
void quic_endpoint_accept_peer(struct quic_endpoint *endpoint, uint64_t peer, uint64_t link, int fd);

/** Tells a client that was announced that nobody is there, and asks about none of its address for a moment. Harmless for one that is gone. */
void quic_endpoint_refuse_peer(struct quic_endpoint *endpoint, uint64_t peer);

/** Nobody new; gone with its last connection. */
void quic_endpoint_end(struct quic_endpoint *endpoint);

/** Says which servers there are; clients that were announced wait for credit again. */
void quic_endpoint_take_stock(struct quic *quic, struct inventory *inventory);

/** Frees all, whose connections were freed before. */
void quic_endpoint_free_all(struct quic *quic);

/**
 * What operators are told, if any of it has changed since it was asked for last.
 * @param in_quic  of `quic.servers`
 * @return whether it has; then `ret`, which was initialised, holds it, and nothing that is owned
 */
bool quic_endpoint_news(struct nb_list *in_quic, Nb__Relay__QuicServerFacts *ret);

#endif
