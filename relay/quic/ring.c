/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A piece begins with what one packet brings, and the next ones are as long as all that is there. */
#define PIECE_MIN 2048u

struct quic_piece {
        struct quic_piece *next;
        uint32_t start;
        uint32_t end;
        uint32_t size;
        uint8_t bytes[];
};

static size_t room_of(const struct quic_piece *piece) {
        return piece ? piece->size - piece->end : 0;
}

static size_t memory_of(const struct quic_piece *piece) {
        return sizeof(*piece) + piece->size;
}

static size_t clamp(size_t value, size_t least, size_t most) {
        if (value < least)
                return least;
        return value < most ? value : most;
}

/* @return 0 or -ENOMEM */
static int add_piece(struct quic_ring *ring, size_t size) {
        struct quic_piece *piece = malloc(sizeof(*piece) + size);

        if (!piece)
                return -ENOMEM;
        *piece = (struct quic_piece){ .size = (uint32_t)size };
        if (ring->last)
                ring->last->next = piece;
        else
                ring->first = piece;
        ring->last = piece;
        ring->held += memory_of(piece);
        return 0;
}

static void drop_first(struct quic_ring *ring) {
        struct quic_piece *piece = ring->first;

        ring->first = piece->next;
        if (!ring->first)
                ring->last = NULL;
        ring->held -= memory_of(piece);
        free(piece);
}

void quic_ring_clear(struct quic_ring *ring) {
        while (ring->first)
                drop_first(ring);
        *ring = (struct quic_ring){ 0 };
}

static void commit(struct quic_ring *ring, struct quic_piece *piece, size_t length) {
        if (length == 0)
                return;
        if (!ring->unsent) {
                ring->unsent = piece;
                ring->unsent_start = piece->end;
        }
        piece->end += (uint32_t)length;
        ring->length += length;
        ring->n_unsent += length;
}

void quic_ring_commit(struct quic_ring *ring, size_t length) {
        assert(length <= room_of(ring->last));
        commit(ring, ring->last, length);
}

int quic_ring_append(struct quic_ring *ring, const uint8_t *bytes, size_t length) {
        struct quic_piece *piece = ring->last;
        size_t head = room_of(piece) < length ? room_of(piece) : length;
        size_t rest = length - head;

        /* What may fail comes first. */
        if (rest > 0 && add_piece(ring, clamp(ring->length, rest > PIECE_MIN ? rest : PIECE_MIN,
                                              rest > QUIC_PIECE_MAX ? rest : QUIC_PIECE_MAX)) < 0)
                return -ENOMEM;
        if (head > 0) {
                memcpy(piece->bytes + piece->end, bytes, head);
                commit(ring, piece, head);
        }
        if (rest > 0) {
                memcpy(ring->last->bytes, bytes + head, rest);
                commit(ring, ring->last, rest);
        }
        return 0;
}

uint8_t *quic_ring_reserve(struct quic_ring *ring, size_t *ret_size) {
        if (room_of(ring->last) < QUIC_PIECE_MAX / 4 && add_piece(ring, QUIC_PIECE_MAX) < 0)
                return NULL;
        *ret_size = room_of(ring->last);
        return ring->last->bytes + ring->last->end;
}

void quic_ring_trim(struct quic_ring *ring) {
        struct quic_piece *before = ring->first, *last = ring->last;

        if (!last || last->end > 0)
                return;
        if (before == last) {
                drop_first(ring);
                return;
        }
        while (before->next != last)
                before = before->next;
        before->next = NULL;
        ring->last = before;
        ring->held -= memory_of(last);
        free(last);
}

static size_t collect(const struct quic_piece *piece, size_t start, struct iovec *parts, size_t n_max, size_t most) {
        size_t n = 0;

        for (; piece && n < n_max && most > 0; piece = piece->next, start = piece ? piece->start : 0) {
                size_t length = piece->end - start < most ? piece->end - start : most;

                if (length == 0)
                        continue;
                parts[n++] = (struct iovec){ .iov_base = (uint8_t *)piece->bytes + start, .iov_len = length };
                most -= length;
        }
        return n;
}

size_t quic_ring_parts(const struct quic_ring *ring, struct iovec *parts, size_t n_max) {
        return collect(ring->first, ring->first ? ring->first->start : 0, parts, n_max, SIZE_MAX);
}

size_t quic_ring_unsent_parts(const struct quic_ring *ring, struct iovec *parts, size_t n_max, size_t most) {
        return collect(ring->unsent, ring->unsent_start, parts, n_max, most);
}

void quic_ring_take(struct quic_ring *ring, size_t length) {
        assert(length <= ring->n_unsent);
        ring->n_unsent -= length;
        while (length > 0 && ring->unsent) {
                size_t here = ring->unsent->end - ring->unsent_start;

                if (length < here) {
                        ring->unsent_start += length;
                        return;
                }
                length -= here;
                ring->unsent = ring->unsent->next;
                ring->unsent_start = 0;
        }
        /* A piece that was reserved and holds nothing yet is none. */
        if (ring->n_unsent == 0)
                ring->unsent = NULL;
}

void quic_ring_release(struct quic_ring *ring, size_t length) {
        assert(length <= ring->length);
        /* Who never offers has everything unsent. */
        if (ring->n_unsent > ring->length - length)
                quic_ring_take(ring, ring->n_unsent - (ring->length - length));
        ring->length -= length;
        while (length > 0) {
                size_t here = ring->first->end - ring->first->start;

                if (length < here) {
                        ring->first->start += (uint32_t)length;
                        return;
                }
                length -= here;
                drop_first(ring);
        }
}
