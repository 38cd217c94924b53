/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a connection's packets, after what has come was read: acknowledgements, what the library has to say, and what its streams offer.
 *
 * Packets of one turn lie behind each other, all full but for the last, so that the kernel gets them as one (relay/quic/socket.h). A turn is as much as is paced at
 * once; who has more goes to the end of the queue.
 */
#ifndef NB_RELAY_QUIC_SEND_H
#define NB_RELAY_QUIC_SEND_H

#include <stdbool.h>
#include <stdint.h>

struct quic_connection;

/**
 * Writes what may be written, and notes it where the library gives up.
 * @return whether there may be more at once; false also where it waits for the peer, for the time, or for the socket
 */
bool quic_send(struct quic_connection *connection, uint64_t now);

#endif
