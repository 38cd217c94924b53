/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC (RFC 9000, 9001, 9002, 9221), by ngtcp2 with GnuTLS: the doors that orders use, and what all connections of a relay share.
 *
 *      quic ─┬ servers: an endpoint each (relay/quic/endpoint.h), with any number of connections
 *            └ connections (relay/quic/connection.h) ─┬ streams (relay/quic/streams.h), a pair each
 *                                                     └ the channel to the guest's host (relay/quic/guest_channel.h)
 *
 * 0-RTT is off: what it carries can be replayed, and a guest could not tell. So is qlog.
 *
 * A turn: packets are received in batches and given to their connections, which only take notes; then each connection that has changed is run once: it moves
 * bytes between its streams and their pairs, and writes packets. Nothing is written from a callback of the library.
 */
#ifndef NB_RELAY_QUIC_QUIC_H
#define NB_RELAY_QUIC_QUIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "proto/relay_frame.h"
#include "relay/quic/facts.h"
#include "relay/quic/ids.h"

struct inventory;
struct quic_connection;
struct quic_incoming;
struct quic_outgoing;
struct quic_socket;
struct relay;

/** One for a relay, made with its first endpoint or connection. */
struct quic {
        struct relay *relay;    /* borrowed */
        struct nb_list servers; /* relay/quic/endpoint.h */
        struct quic_ids
                links; /* connections that are not closing, by their numbers: a table for keys that are as short */
        struct nb_list connections; /* relay/quic/connection.h */
        size_t bytes_buffered;      /* in the rings of all streams (relay/quic/streams.h) */
        size_t bytes_in_library;    /* of connections that are not idle (relay/quic/memory.h) */
        struct nb_list leftovers;   /* relay/quic/leftover.c */
        struct nb_list unread;      /* relay/quic/guest_channel.c: channels of connections that are over */
        uint32_t n_in_flight; /* descriptors that guests' hosts have not received yet (relay/quic/guest_channel.h) */
        struct quic_incoming *in;  /* owned; of the socket that is read (relay/quic/incoming.h) */
        struct quic_outgoing *out; /* owned; of the socket that is written (relay/quic/outgoing.h); NULL: to be made */
        struct quic_socket *out_user; /* whose packets are in it; NULL: nobody's */
        struct nb_list batchless;     /* relay/quic/socket.c: sockets that wait for it */
        struct quic_facts facts;      /* what operators are told */
        /* What Retry tokens and table keys are derived from, which is this process's; and reset tokens, the tenant's if the broker gave it. */
        uint8_t secret[32];
        uint8_t reset_secret[NB_RELAY_RESET_SECRET_SIZE];
};

/**
 * Dials: an order Begin with `quic`. What fails is reported as the link's end.
 * @param socket_fd   of UDP, connected; consumed
 * @param channel_fd  our end of the connection channel; consumed
 * @return 0; -EINVAL for an order that is none
 */
int quic_begin(struct relay *relay, const Nb__Relay__Begin *begin, int socket_fd, int channel_fd);

/**
 * Serves: an order Serve with `quic`. What fails is reported as the server's end.
 * @param fd  of UDP, bound; consumed
 * @return 0; -EINVAL for an order that is none
 */
int quic_serve(struct relay *relay, const Nb__Relay__Serve *serve, int fd);

/** Raises the total of clients that may be announced. @return whether it is a server of QUIC */
bool quic_credit(struct relay *relay, const Nb__Relay__Credit *credit);

/** Whether a number is that of a server of QUIC, which TakePeer names. */
bool quic_has_server(const struct relay *relay, uint64_t number);

/**
 * Takes or refuses a client of a server that is there (quic_has_server()). One that is gone meanwhile is reported as the link's end.
 * @param fd  our end of the connection channel, consumed; -1 for a refusal
 * @return 0; -EPROTO for a refusal with a descriptor, or the reverse
 */
int quic_take_peer(struct relay *relay, const Nb__Relay__TakePeer *take, int fd);

/**
 * Takes or refuses a path; for a connection or a path that is gone it does nothing.
 * @param fd  of UDP, connected to the preferred address, consumed; -1 without one
 * @return 0; -EPROTO for a descriptor where there should be none, or the reverse
 */
int quic_take_path(struct relay *relay, const Nb__Relay__TakePath *take, int fd);

/** Ends the server or the connection of that number, if there is one. @return whether there was */
bool quic_end(struct relay *relay, uint64_t number);

/** Says which servers and connections there are; who waits is announced again when there is credit again. */
void quic_take_stock(struct relay *relay, struct inventory *inventory);

/** Asks again about paths that the broker before was asked about, and tells again what operators are told. */
void quic_ask_again(struct relay *relay);

/** Frees all that a relay has of QUIC, and reports nothing. Peers are told that their connections are over, by a packet each that is not repeated. Takes NULL. @return NULL */
struct quic *quic_free(struct quic *quic);

#endif
