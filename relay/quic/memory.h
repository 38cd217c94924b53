/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library holds of one connection: its state, the records of packets that are under way, and what came out of order, with the gaps between.
 *
 * The last is what a peer decides: a gap costs it two bytes of its windows, and us some dozens. So the library's memory is counted, by what malloc_usable_size(3) says of it. What an idle
 * connection needs is free; the rest is of the relay's budget (relay/quic/budget.h), beside the rings. A connection that holds more than its windows, its streams and
 * its packets justify is ended.
 */
#ifndef NB_RELAY_QUIC_MEMORY_H
#define NB_RELAY_QUIC_MEMORY_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stddef.h>

struct quic_connection;

/** Bytes of a connection that its library may hold for nothing: half of that is what one has that is idle. */
#define QUIC_MEMORY_IDLE (64u * 1024)

struct quic_memory {
        ngtcp2_mem mem; /* what the library allocates by */
        size_t *total;  /* what all connections hold beyond QUIC_MEMORY_IDLE each; borrowed */
        size_t held;    /* bytes */
        size_t charged; /* of it, in the total */
        size_t justified; /* the most that it may be; it only grows, as the library keeps for later what it has had once */
};

/** @param memory  not to be moved while the library has `mem` @param total  borrowed */
void quic_memory_init(struct quic_memory *memory, size_t *total);

/** Notes what there is to justify memory. Between two runs that does not grow by much, so once in each is enough. */
void quic_memory_note(struct quic_connection *connection);

/** Whether the library holds more than anything justifies. Cheap: for each packet. */
bool quic_memory_is_excessive(struct quic_connection *connection);

#endif
