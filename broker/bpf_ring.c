/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/bpf_ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

/* In front of each event: its length with two bits of state, and an offset of the kernel's own. Events begin at multiples of 8. */
#define HEAD_SIZE BPF_RINGBUF_HDR_SZ
#define LENGTH_MASK (~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT))

static size_t page_size(void) {
        return (size_t)sysconf(_SC_PAGESIZE);
}

int bpf_ring_open(struct bpf_ring *ring, int fd, size_t size) {
        size_t page = page_size();
        void *consumed, *produced;

        consumed = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (consumed == MAP_FAILED)
                return -errno;
        /* The events are mapped twice in a row, so that one that goes over the end is whole. */
        produced = mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, fd, (off_t)page);
        if (produced == MAP_FAILED) {
                int error = errno;

                (void)munmap(consumed, page);
                return -error;
        }
        *ring = (struct bpf_ring){ .fd = fd, .size = size, .consumed = consumed, .produced = produced };
        return 0;
}

size_t bpf_ring_read(struct bpf_ring *ring, size_t most, bpf_ring_function function, void *data) {
        const uint8_t *events = (const uint8_t *)ring->produced + page_size();
        uint64_t at = __atomic_load_n(ring->consumed, __ATOMIC_ACQUIRE);
        size_t n = 0;

        while (n < most && at < __atomic_load_n(ring->produced, __ATOMIC_ACQUIRE)) {
                const uint8_t *head = events + (at & (ring->size - 1));
                uint32_t state = __atomic_load_n((const uint32_t *)(const void *)head, __ATOMIC_ACQUIRE);
                uint32_t length = state & LENGTH_MASK;

                /* It is being written; the kernel wakes us when it is done. */
                if (state & BPF_RINGBUF_BUSY_BIT)
                        break;
                if (!(state & BPF_RINGBUF_DISCARD_BIT))
                        function(data, head + HEAD_SIZE, length);
                n++;
                at += (length + HEAD_SIZE + 7) / 8 * 8;
                __atomic_store_n(ring->consumed, at, __ATOMIC_RELEASE);
        }
        return n;
}

void bpf_ring_close(struct bpf_ring *ring) {
        if (!ring->consumed)
                return;
        (void)munmap(ring->consumed, page_size());
        (void)munmap((void *)(uintptr_t)ring->produced, page_size() + 2 * ring->size);
        ring->fd = nb_fd_close(ring->fd);
        *ring = (struct bpf_ring){ .fd = -1 };
}
