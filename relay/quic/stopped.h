/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which streams the peer does not read any more (STOP_SENDING).
 *
 * The library resets such a stream, and tells of it to who writes next; it has no callback. What waits for credit, or for room in its ring, is not written: so its guest would wait for ever. That is
 * why the library is asked, of every stream that has something of its guest's, after packets have come: once round, a few in each run, and not again before QUIC_STOPPED_PAUSE.
 * Where nothing comes nothing is asked.
 */
#ifndef NB_RELAY_QUIC_STOPPED_H
#define NB_RELAY_QUIC_STOPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quic_connection;

/** From one round's beginning to the next one's, in nanoseconds. To ask of 10,000 streams takes less than a hundredth of that. */
#define QUIC_STOPPED_PAUSE 100000000u

/** A member of `struct quic_connection`. */
struct quic_stopped {
        size_t n_left;      /* streams of this round, the first of `streams.all` */
        uint64_t n_packets; /* that had come when it began */
        uint64_t next_at;   /* no other begins before, by quic_library_now() */
};

/** Asks, and ends the directions of which that is so. Not for callbacks of the library. @return whether there is more to ask */
bool quic_stopped_run(struct quic_connection *connection, uint64_t now);

/** @return when it is to be run next, by quic_library_now(); UINT64_MAX: when a packet has come */
uint64_t quic_stopped_next(const struct quic_connection *connection);

#endif
