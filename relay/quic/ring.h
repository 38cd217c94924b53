/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of one direction of a stream, in order, in pieces that never move.
 *
 *      ┌ released ┐┌────── length ──────┐
 *                  │ offered ┊ unsent   │◄── append, or reserve and commit
 *                            ▲ offer begins here
 *
 * What was offered to the library and taken by it stays where it is until it is released, for the library points to it (RFC 9000's retransmission is by
 * reference). A piece is allocated when there is something for it, and is as large as the traffic makes worth while; so a stream that is idle has none.
 */
#ifndef NB_RELAY_QUIC_RING_H
#define NB_RELAY_QUIC_RING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct quic_piece;

struct quic_ring {
        struct quic_piece *first; /* owned, as all behind it */
        struct quic_piece *last;
        struct quic_piece *unsent; /* where the first unsent byte is; NULL: there is none */
        size_t unsent_start;       /* within that piece */
        size_t length;             /* bytes in it */
        size_t n_unsent;           /* of them, behind what was taken */
        size_t held;               /* memory, in bytes */
};

/** The largest piece, in bytes. */
#define QUIC_PIECE_MAX 65536u

/** Forgets everything. */
void quic_ring_clear(struct quic_ring *ring);

/** Copies bytes to the end. @return 0; -ENOMEM: nothing was appended */
int quic_ring_append(struct quic_ring *ring, const uint8_t *bytes, size_t length);

/**
 * Makes room at the end for what is read in one go.
 * @param ret_size  in bytes: from a quarter of QUIC_PIECE_MAX to all of it
 * @return borrowed until the next call; NULL without memory
 */
uint8_t *quic_ring_reserve(struct quic_ring *ring, size_t *ret_size);

/** So many bytes were put where quic_ring_reserve() said. */
void quic_ring_commit(struct quic_ring *ring, size_t length);

/** Gives back a piece that was reserved and not used. */
void quic_ring_trim(struct quic_ring *ring);

/** Fills in where the first bytes are. @return how many parts, at most `n_max` */
size_t quic_ring_parts(const struct quic_ring *ring, struct iovec *parts, size_t n_max);

/** The same for the unsent bytes, `most` of them. */
size_t quic_ring_unsent_parts(const struct quic_ring *ring, struct iovec *parts, size_t n_max, size_t most);

/** So many bytes more have been taken. */
void quic_ring_take(struct quic_ring *ring, size_t length);

/** The first bytes are not needed any more; they are those that were taken longest ago, or all were never offered. */
void quic_ring_release(struct quic_ring *ring, size_t length);

#endif
