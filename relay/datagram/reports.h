/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a datagram server tells the broker (proto/relay.proto).
 */
#ifndef NB_RELAY_DATAGRAM_REPORTS_H
#define NB_RELAY_DATAGRAM_REPORTS_H

#include <stdint.h>

#include "proto/relay_frame.h"

struct peer;
struct relay;

/** NewPeer, for a server of that number. Mapped addresses are told as the IPv4 addresses that they are. */
void report_new_peer(struct relay *relay, uint64_t server, const struct peer *peer);

/** PeerGone. */
void report_peer_gone(struct relay *relay, uint64_t server, const struct peer *peer);

/** Ended, of a peer that was taken. @param why  a sentence */
void report_peer_ended(struct relay *relay, const struct peer *peer, Nb__Relay__Cause cause, const char *why);

/** Ended, of what has never begun. @param number  of a server or a link @param reason  a sentence */
void report_failure(struct relay *relay, uint64_t number, Nb__Relay__Cause cause, const char *reason);

#endif
