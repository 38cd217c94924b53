/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel of a connection to the guest's host (RELAY.md, Connections): streams are asked for and handed out over it.
 *
 * The other end is as hostile as any session: requests are read strictly, and what does not fit ends the connection. Descriptors travel towards the host only, each
 * one end of a pair that this process has just made; how many are under way is bounded by the credit, by NB_STREAM_WINDOW_MAX as far as the kernel confirms
 * that they were read (SIOCOUTQ), and for the whole relay by Setup.in_flight_max.
 */
#ifndef NB_RELAY_QUIC_GUEST_CHANNEL_H
#define NB_RELAY_QUIC_GUEST_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

struct guest_channel;
struct quic;
struct quic_connection;

/**
 * Watches the channel. Requests are read when the connection is open, and not before.
 * @param fd  consumed
 * @return owned by the connection; NULL without memory
 */
struct guest_channel *guest_channel_new(struct quic_connection *connection, int fd);

/** Closes it, or keeps what the host has not received counted until it has. Takes NULL. @return NULL */
struct guest_channel *guest_channel_free(struct guest_channel *channel);

/** Closes those that are kept for that. */
void guest_channel_free_unread(struct quic *quic);

/** Reads requests, answers them, pushes incoming streams and totals, as far as one turn lets. */
void guest_channel_run(struct guest_channel *channel);

/** Tells how the connection has ended; nothing comes behind. @param error  of WASI preview 1; 0: closed by the peer as one does */
void guest_channel_tell_end(struct guest_channel *channel, uint32_t error, const char *reason);

#endif
