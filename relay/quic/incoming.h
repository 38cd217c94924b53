/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP socket has received: several messages by one recvmmsg(2), each of them several packets where the kernel has put them together (UDP_GRO).
 *
 * There is one for a relay, and nothing is left in it between two turns.
 */
#ifndef NB_RELAY_QUIC_INCOMING_H
#define NB_RELAY_QUIC_INCOMING_H

#include <stddef.h>
#include <stdint.h>

#include "relay/quic/packet.h"

struct quic_incoming;

/** @return owned by the caller: free(); NULL without memory */
struct quic_incoming *quic_incoming_new(void);

/**
 * Reads once.
 * @param local  where the socket is bound: the path of packets with which the kernel does not say it
 * @return how many messages (> 0); -EAGAIN: there are none; another -errno: what the socket has
 */
int quic_incoming_read(struct quic_incoming *in, int fd, const union quic_address *local);

/** How many messages one call reads at most. */
#define QUIC_INCOMING_MESSAGES 16

/** Called for each packet. */
typedef void (*quic_incoming_function)(void *data, const struct quic_packet *packet);

/** Calls the function for all that was read, in order. @return how many packets there were */
size_t quic_incoming_each(const struct quic_incoming *in, quic_incoming_function function, void *data);

#endif
