/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a UDP socket is to send: messages for one sendmmsg(2), each of them several packets of one size, path and ECN (UDP_SEGMENT), the last of which may be shorter.
 *
 *      bytes:     p p p p p p q  r r r  s              three messages: 7, 3 and 1 packets
 *                 └─message────┘ └────┘ └ room
 *
 * There is one for a relay, which its sockets use in turns; one that the kernel does not take as a whole stays with its socket (relay/quic/socket.h).
 */
#ifndef NB_RELAY_QUIC_OUTGOING_H
#define NB_RELAY_QUIC_OUTGOING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/quic/packet.h"

struct quic_outgoing;

/** What a socket can do, and what has happened on it. */
struct quic_way {
        int fd;            /* borrowed */
        bool has_segments; /* UDP_SEGMENT has not been refused yet */
        bool names_local;  /* it has many addresses, so each message says which it leaves from */
        bool is_connected; /* messages have no address */
        int error; /* the last that the kernel gave for more than one message, ECONNABORTED before all; 0: none */
};

/** @return an empty one, owned by the caller: free(); NULL without memory */
struct quic_outgoing *quic_outgoing_new(void);

bool quic_outgoing_is_empty(const struct quic_outgoing *out);

/** @return where the next packet may be written, QUIC_PACKET_MAX bytes; NULL: it is full */
uint8_t *quic_outgoing_room(struct quic_outgoing *out);

/** Takes what was written into the room. @param alone  it goes in a message of its own */
void quic_outgoing_add(struct quic_outgoing *out, const struct quic_way *way, size_t length,
                       const struct quic_path *path, uint8_t ecn, bool alone);

/**
 * Sends all. A message that cannot be sent is lost, as on any other part of its way; one that cannot be cut into packets (EIO, EINVAL) is sent packet by packet, and no other
 * is tried on that socket.
 * @return 0: it is empty again; -EAGAIN: the rest is still in it
 */
int quic_outgoing_send(struct quic_outgoing *out, struct quic_way *way);

/** Forgets what is in it. */
void quic_outgoing_clear(struct quic_outgoing *out);

#endif
