/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A datagram server: one bound socket, and a SEQPACKET pair for each peer, whose other end the guest has. Message borders are kept both ways, and
 * what the guest writes goes to the peer of that pair and to nobody else.
 *
 *      strangers and peers ─ the bound socket ─┬─ a pair ─ the guest's stream of one peer
 *                                              └─ a pair ─ that of another
 *
 * Who is unknown waits, with a few of its datagrams, and is announced (NewPeer) as far as the broker's credit goes. Of more than may wait the oldest
 * goes, so that who floods the socket from many addresses takes the places of others that are unknown, and nothing else. Peers that are silent for too long go. Nothing waits:
 * what a guest does not read in time is dropped, as UDP does it. What cannot be sent at the moment is kept, one batch, and no pair is read until it is gone.
 *
 * The pairs are in a set of watches of the server's own: it is one among the links of the relay, however many peers it has, and
 * the kernel goes round among them.
 *
 * An empty message on a pair would look like its end. Both ends have SO_TIMESTAMP set by the broker, and so the kernel has something to tell with each
 * message, for which there is no room (MSG_CTRUNC), and nothing with the end (relay/datagram/batch.h).
 *
 * A Unix server only listens: the name of a sender is one in the sender's namespaces, and a datagram that is sent to that name from here
 * may reach another, whom the guest was never granted. So nothing is read from its pairs, whose other direction the broker has shut down. Those of one user with the same name share one peer, and so do those without a name.
 *
 * When the server is ended, its peers live on, and nobody new is announced; it is gone with the last of them.
 */
#ifndef NB_RELAY_DATAGRAM_SERVER_H
#define NB_RELAY_DATAGRAM_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/relay_frame.h"

struct inventory;
struct relay;

/** The most peers of one server that may wait for credit and the broker's word, whatever it says. */
#define DATAGRAM_WAITING_MAX 1024

/** How long one waits at most, in milliseconds: whoever is not answered until then has given up, or sends again. */
#define DATAGRAM_WAITING_MS 5000

/** How long a peer that was refused is not announced again, in milliseconds. */
#define DATAGRAM_REFUSED_MS 1000

/**
 * Starts a server. What fails is reported as the server's end.
 * @param fd  bound, non-blocking; consumed
 * @return 0; -EPROTO for a number that is in use, or a descriptor that is no socket of datagrams
 */
int datagram_server_start(struct relay *relay, const Nb__Relay__Serve *serve, int fd);

/** Raises the total of peers that may be announced; for a server that is gone it does nothing. */
void datagram_server_credit(struct relay *relay, const Nb__Relay__Credit *credit);

/**
 * Takes or refuses a peer. One that is gone meanwhile is reported as the link's end.
 * @param fd  our end of its pair, non-blocking, consumed; -1 for a refusal
 * @return 0; -EPROTO for a refusal with a descriptor, or the reverse
 */
int datagram_server_take_peer(struct relay *relay, const Nb__Relay__TakePeer *take, int fd);

/** Ends the server of that number, or the peer that is that link, if there is one. @return whether there was */
bool datagram_server_end(struct relay *relay, uint64_t number);

/** Says which servers and peers there are; who waits is announced again when there is credit again. */
void datagram_server_take_stock(struct relay *relay, struct inventory *inventory);

/** Frees all servers of a relay, and reports nothing. */
void datagram_server_free_all(struct relay *relay);

#endif
