/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy says of QUIC, as relays are told it.
 */
#ifndef NB_BROKER_QUIC_ORDER_H
#define NB_BROKER_QUIC_ORDER_H

#include <stdint.h>

#include "policy/policy.h"
#include "proto/relay_frame.h"

/**
 * Says what a connection may, or all of a server's.
 * @param policy  of POLICY_FAMILY_QUIC
 * @param type    POLICY_SOCKET_DGRAM: datagrams of RFC 9221, and no streams
 */
void quic_order_fill(const struct policy_protocol *policy, enum policy_socket_type type, Nb__Relay__Quic *ret);

/** A time or a limit of the policy in the 32 bits that orders have: the most where it is more. */
static inline uint32_t quic_order_cap(uint64_t value) {
        return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/**
 * Makes a connection channel: what the guest's host and the relay say of streams (proto/PROTOCOL.md). It has no unread byte: an end of it without
 * a word is the relay's own end.
 * @param ret_guest_fd  the guest's end, @param ret_relay_fd  the relay's; both are owned by the caller
 * @return 0 or -errno
 */
int quic_order_make_channel(int *ret_guest_fd, int *ret_relay_fd);

#endif
