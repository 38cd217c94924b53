/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that were accepted and that a relay shakes hands with, of one listener; and those that are through and wait for credit.
 *
 *      started ──Ready, or nothing to wait for──► ready, registered as a connection ──taken──► the guest's
 *         └──failed, refused──► gone, never shown to the guest
 *
 * Each takes a place of MaxHandshakes= (ACCOUNT_HANDSHAKES) until it is taken or gone, and none of the guest's credit before it is ready: peers
 * that connect and say nothing keep no good ones away for longer than HandshakeTimeout=.
 */
#ifndef NB_BROKER_HANDSHAKES_H
#define NB_BROKER_HANDSHAKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/socket_address.h"
#include "broker/relayed.h"
#include "proto/relay_frame.h"

struct accept_credit;
struct control;
struct relay_peer;
struct relay_server;

/** One. For others it is of interest when it is ready. */
struct handshake {
        struct nb_list link;
        struct handshakes *owner;
        struct relayed *relayed; /* NULL: it is ready */
        int fd;                  /* the guest's: of QUIC a connection channel; owned */
        bool is_quic;
        struct nb_socket_address peer, local;
        struct nb_socket_address via;  /* who sent the header that names the peer; family 0: nobody */
        bool is_relayed;               /* it stays with the relay: what is ready and is not, is the socket itself */
        Nb__Relay__Security *security; /* owned; NULL: none */
};

/** Called when one is ready or gone; it may free the listener. */
typedef void (*handshakes_function)(void *data);

struct handshakes {
        struct control *control; /* borrowed */
        handshakes_function function;
        void *data;
        struct nb_list underway;
        struct nb_list ready;
        size_t n_ready;
};

void handshakes_init(struct handshakes *handshakes, struct control *control, handshakes_function function, void *data);

/** Ends all; may be called again. */
void handshakes_deinit(struct handshakes *handshakes);

/**
 * Starts one, for which a place is claimed already; it is given back when the handshake is over, also on failure. It may be ready at once: then the
 * function is not called.
 * @param fd  of a peer that was judged; consumed
 * @return 0 or -errno
 */
int handshakes_start(struct handshakes *handshakes, int fd, const struct nb_socket_address *peer);

/**
 * Starts one of QUIC, of a client that was judged; as handshakes_start(). What failed was not ordered.
 * @param take  orders it
 */
int handshakes_start_peer(struct handshakes *handshakes, struct relay_server *server, const struct relay_peer *peer,
                          relayed_take_function take);

/**
 * Pushes the one that has been ready for longest, and that credit is left for.
 * @return 0; -ENOBUFS: there is a shortage of something for the moment; -EPIPE: the session is gone, or does not read
 */
int handshakes_push(struct handshakes *handshakes, struct accept_credit *credit);

/** Ends those that a new policy does not grant. */
void handshakes_judge(struct handshakes *handshakes);

#endif
