/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/ring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

#define ENTRIES 1

/* The kernel's memory of one ring. */
struct mapping {
        uint8_t *bytes; /* NULL: none */
        size_t size;
};

static void cleanup_mapping(struct mapping *mapping) {
        if (mapping->bytes)
                (void)munmap(mapping->bytes, mapping->size);
}

#define NB_CLEANUP_MAPPING NB_CLEANUP(cleanup_mapping)

static int map(int ring_fd, size_t size, off_t offset, struct mapping *ret) {
        void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, offset);

        if (bytes == MAP_FAILED)
                return -errno;
        *ret = (struct mapping){ .bytes = bytes, .size = size };
        return 0;
}

static uint32_t *number(const struct mapping *mapping, uint32_t offset) {
        return (uint32_t *)(void *)(mapping->bytes + offset);
}

/* Puts one entry into the ring of submissions, which nobody else uses. */
static void submit(const struct mapping *ring, const struct mapping *entries, const struct io_sqring_offsets *offsets,
                   const struct io_uring_sqe *entry) {
        uint32_t tail = *number(ring, offsets->tail);
        uint32_t place = tail & *number(ring, offsets->ring_mask);

        memcpy(entries->bytes + place * sizeof(*entry), entry, sizeof(*entry));
        number(ring, offsets->array)[place] = place;
        __atomic_store_n(number(ring, offsets->tail), tail + 1, __ATOMIC_RELEASE);
}

/* @return what the one completion says; -EINPROGRESS where there is none yet */
static int take_result(const struct mapping *ring, const struct io_cqring_offsets *offsets) {
        uint32_t head = *number(ring, offsets->head);
        const struct io_uring_cqe *results = (const void *)(ring->bytes + offsets->cqes);

        if (__atomic_load_n(number(ring, offsets->tail), __ATOMIC_ACQUIRE) == head)
                return -EINPROGRESS;
        return results[head & *number(ring, offsets->ring_mask)].res;
}

static int run_one(int ring_fd, const struct io_uring_params *params, const struct io_uring_sqe *entry) {
        NB_CLEANUP_MAPPING struct mapping submissions = { 0 }, completions = { 0 }, entries = { 0 };
        int r = map(ring_fd, params->sq_off.array + params->sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING,
                    &submissions);

        if (r == 0)
                r = map(ring_fd, params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe),
                        IORING_OFF_CQ_RING, &completions);
        if (r == 0)
                r = map(ring_fd, params->sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES, &entries);
        if (r < 0)
                return r;
        submit(&submissions, &entries, &params->sq_off, entry);
        /* A connect that the kernel has begun is not waited for: closing the ring ends it. */
        if (syscall(SYS_io_uring_enter, ring_fd, 1, 0, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
                return -errno;
        return take_result(&completions, &params->cq_off);
}

int ring_connect(int fd, const struct sockaddr *address, socklen_t length) {
        struct io_uring_params params = { 0 };
        struct io_uring_sqe entry = {
                .opcode = IORING_OP_CONNECT,
                .fd = fd,
                .addr = (uintptr_t)address,
                .off = length,
        };
        NB_CLEANUP_FD int ring_fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);

        /* Refused as a whole: by kernel.io_uring_disabled, or for want of memory that may be locked. */
        if (ring_fd < 0)
                return -ENOSYS;
        return run_one(ring_fd, &params, &entry);
}
