/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control of QUIC that listens: a server of datagrams (broker/relay_server.h) whose peers have handshakes (broker/handshakes.h).
 *
 *      NewPeer ──judged, a place for a handshake──► TakePeer, with an end of a channel ──Ready──► registered ──credit──► Accepted{multiplexed}
 *         └──refused──► TakePeer{allowed: no}                └──Ended, lost, too late──► gone, never shown to the guest
 *
 * Clients may be announced as far as there are places for handshakes (MaxHandshakes=) and room for connections, and while the guest has credit for more
 * than those that are ready: so silent clients keep no good ones away, as with TLS. All connections share the one socket, so none has an entry in the
 * kernel (broker/connection.h).
 *
 * What a connection may is said once, by Serve; after a reload each TakePeer says it, until there is another relay.
 */
#ifndef NB_BROKER_QUIC_SERVER_H
#define NB_BROKER_QUIC_SERVER_H

#include <stdint.h>

struct control;
struct quic_server;

/**
 * Starts serving a bound socket of UDP.
 * @param fd        consumed on success only
 * @param received  as acceptor_new()
 * @param ret       owned by the caller
 * @return as relay_server_start()
 */
int quic_server_new(struct control *control, int fd, uint64_t received, struct quic_server **ret);

/** Takes one back, as relay_server_restore(). @param ret  owned by the caller */
int quic_server_restore(struct control *control, int fd, uint64_t relay, uint64_t number, struct quic_server **ret);

/** Goes on when the session has said Listen again, as acceptor_resume(). */
void quic_server_resume(struct quic_server *server, uint64_t received);

/** As relay_server_kept_number(). */
uint64_t quic_server_kept_number(const struct quic_server *server, uint64_t *ret_number);

/** Stops serving, and ends handshakes; what is under way to the session stays charged until quic_server_free(). Connections that it has live on. */
void quic_server_stop(struct quic_server *server);

/** @return the bound socket, borrowed; -1 when it has stopped */
int quic_server_fd(const struct quic_server *server);

/** Takes NULL. @return NULL */
struct quic_server *quic_server_free(struct quic_server *server);

/** Raises the total, as acceptor_set_credit(). @return 0; -EPIPE: the session is not there any more, or does not read */
int quic_server_set_credit(struct quic_server *server, uint64_t total);

/** Judges handshakes, and who is ready and not pushed yet, by a new policy. */
void quic_server_policy_changed(struct quic_server *server);

#endif
