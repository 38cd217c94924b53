/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs of BPF tell by a ring buffer (bpf_ringbuf_reserve() in bpf-helpers(7)), read in place: the kernel shares its pages, so an event costs no
 * system call. There is one reader; what is told while nobody reads is there for the next one, up to the size of the ring.
 */
#ifndef NB_BROKER_BPF_RING_H
#define NB_BROKER_BPF_RING_H

#include <stddef.h>
#include <stdint.h>

/** Gets one event. @param event  borrowed, of the kernel's memory: it may be gone after the call */
typedef void (*bpf_ring_function)(void *data, const void *event, size_t size);

struct bpf_ring {
        int fd; /* of the map; readable while there are events. Owned */
        size_t size;
        uint64_t *consumed;       /* the reader's page; NULL: it was not opened */
        const uint64_t *produced; /* the kernel's page, with the events behind it */
};

/**
 * Maps a ring.
 * @param fd    of the map, opened for writing; consumed on success only
 * @param size  of the map in bytes, a power of two
 * @return 0 or -errno
 */
int bpf_ring_open(struct bpf_ring *ring, int fd, size_t size);

/** Calls the function for at most `most` events. @return how many there were */
size_t bpf_ring_read(struct bpf_ring *ring, size_t most, bpf_ring_function function, void *data);

/** Unmaps it and closes its descriptor. Harmless for one that is all zeros, or closed. */
void bpf_ring_close(struct bpf_ring *ring);

#endif
