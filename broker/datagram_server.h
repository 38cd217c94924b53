/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control of datagrams that listens: each peer is a connection of its own, whose stream keeps message borders.
 *
 * The bound socket is served by the tenant's relay (broker/relay_server.h, relay/datagram/server.h), which announces who sends something and is unknown,
 * as far as the session's credit goes. Each peer that is allowed is charged and gets a SEQPACKET pair: one end goes to the relay, the other to the
 * session. The entry of the connection (broker/connection.h) is that of the guest's end, and is the relay's object from then on.
 *
 * When the relay is gone its peers' streams end, and whoever sends again is a new peer. Neither socket of UDP nor of Unix datagrams ever gets into a
 * guest's hands by this.
 */
#ifndef NB_BROKER_DATAGRAM_SERVER_H
#define NB_BROKER_DATAGRAM_SERVER_H

#include <stdint.h>

struct control;
struct datagram_server;

/**
 * Starts serving a bound socket.
 * @param fd        consumed on success only
 * @param received  as acceptor_new()
 * @param ret       owned by the caller
 * @return as relay_server_start()
 */
int datagram_server_new(struct control *control, int fd, uint64_t received, struct datagram_server **ret);

/** Takes one back, as relay_server_restore(). @param ret  owned by the caller */
int datagram_server_restore(struct control *control, int fd, uint64_t relay, uint64_t number,
                            struct datagram_server **ret);

/** Goes on when the session has said Listen again, as acceptor_resume(). */
void datagram_server_resume(struct datagram_server *server, uint64_t received);

/** As relay_server_kept_number(). */
uint64_t datagram_server_kept_number(const struct datagram_server *server, uint64_t *ret_number);

/** Stops serving. Peers that the session has live on. What is under way to the session stays charged until datagram_server_free(). */
void datagram_server_stop(struct datagram_server *server);

/** @return the bound socket, borrowed; -1 when it has stopped */
int datagram_server_fd(const struct datagram_server *server);

/** Takes NULL. @return NULL */
struct datagram_server *datagram_server_free(struct datagram_server *server);

/** Raises the total, as acceptor_set_credit(). */
void datagram_server_set_credit(struct datagram_server *server, uint64_t total);

#endif
