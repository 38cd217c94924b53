/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest has not taken yet of a stream whose connection is over.
 *
 * The peer has ended the stream, and everything of it has come, before the connection was closed; so the guest gets it as it would from a socket, however slowly it
 * reads, for LINGER_MS at most. It costs the memory of the bytes and a descriptor, which count as those of streams do.
 */
#ifndef NB_RELAY_QUIC_LEFTOVER_H
#define NB_RELAY_QUIC_LEFTOVER_H

#include <stdbool.h>

#include "relay/quic/ring.h"

struct quic;
struct transport;

/**
 * Goes on delivering.
 * @param pair      our end, which counts among the relay's descriptors; consumed on success
 * @param ring      consumed on success; its memory is counted here
 * @param is_clean  an end of file follows; otherwise ECONNRESET, for something of the guest's was lost
 * @return 0 or -errno
 */
int quic_leftover_new(struct quic *quic, struct transport *pair, struct quic_ring *ring, bool is_clean);

/** Forgets all that a relay has; their guests get ECONNRESET. */
void quic_leftover_free_all(struct quic *quic);

#endif
