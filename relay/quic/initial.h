/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a client's first packet is what it says: its protection is made of keys that everybody can derive from its own ID (RFC 9001, 5.2), so it proves nothing of its sender, but
 * garbage does not have it. So neither the broker nor a connection is troubled by what nobody wrote who speaks QUIC.
 */
#ifndef NB_RELAY_QUIC_INITIAL_H
#define NB_RELAY_QUIC_INITIAL_H

#include <stdbool.h>

#include "relay/quic/packet.h"

/** @param packet  that ngtcp2_accept() accepts @return whether its first Initial can be decrypted */
bool quic_initial_is_whole(const struct quic_packet *packet);

#endif
