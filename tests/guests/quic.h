/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guests of QUIC share: what a connection's streams carry, and a poll_oneoff() over any number of descriptors.
 */
#ifndef NB_TESTS_GUESTS_QUIC_H
#define NB_TESTS_GUESTS_QUIC_H

#include <stdbool.h>
#include <stdint.h>

#include <wasi/networking_ext.h>

#include "tests/guests/guest.h"

#define QUIC_PIECE 65536

/* Rights of a stream to write only. */
#define QUIC_RIGHTS_ONE_WAY (WASI_NETWORKING_RIGHTS_STREAM & ~__WASI_RIGHTS_FD_READ)

/* Of one poll. */
struct waits {
        __wasi_subscription_t *subscriptions;
        __wasi_event_t *events;
        size_t n;
        size_t capacity;
        size_t n_events;
};

/** A byte that depends on the stream and on all of its position, so that whatever is lost, doubled or moved shows. */
static inline uint8_t quic_pattern(uint32_t stream, uint64_t position) {
        return (uint8_t)(((position + ((uint64_t)stream << 32)) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static inline void quic_fill(uint8_t *buffer, size_t length, uint32_t stream, uint64_t position) {
        for (size_t i = 0; i < length; ++i)
                buffer[i] = quic_pattern(stream, position + i);
}

static inline void quic_compare(const uint8_t *buffer, size_t length, uint32_t stream, uint64_t position) {
        for (size_t i = 0; i < length; ++i) {
                if (buffer[i] != quic_pattern(stream, position + i))
                        FAIL("stream %u differs at %llu", (unsigned)stream, (unsigned long long)(position + i));
        }
}

static inline void waits_add(struct waits *waits, __wasi_eventtype_t type, __wasi_fd_t fd, uint64_t tag) {
        if (waits->n == waits->capacity) {
                waits->capacity = waits->capacity ? 2 * waits->capacity : 64;
                waits->subscriptions = realloc(waits->subscriptions, waits->capacity * sizeof(*waits->subscriptions));
                waits->events = realloc(waits->events, waits->capacity * sizeof(*waits->events));
                CHECK(waits->subscriptions && waits->events);
        }
        waits->subscriptions[waits->n++] = (__wasi_subscription_t){
                .userdata = tag,
                .u = { .tag = type, .u.fd_read.file_descriptor = fd },
        };
}

static inline void waits_poll(struct waits *waits) {
        __wasi_size_t n = 0;

        CHECK(waits->n > 0);
        CHECK_OK(__wasi_poll_oneoff(waits->subscriptions, waits->events, waits->n, &n));
        CHECK(n > 0);
        waits->n_events = n;
}

static inline void quic_set_nonblock(__wasi_fd_t fd) {
        CHECK_OK(__wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_NONBLOCK));
}

/** Whether a descriptor has a right. */
static inline bool quic_has_right(__wasi_fd_t fd, __wasi_rights_t right) {
        __wasi_fdstat_t stat;

        CHECK_OK(__wasi_fd_fdstat_get(fd, &stat));
        return (stat.fs_rights_base & right) == right;
}

static inline __wasi_errno_t quic_read(__wasi_fd_t fd, void *buffer, size_t length, size_t *ret) {
        __wasi_iovec_t part = { .buf = buffer, .buf_len = length };
        __wasi_size_t n = 0;
        __wasi_errno_t error = __wasi_fd_read(fd, &part, 1, &n);

        *ret = n;
        return error;
}

static inline __wasi_errno_t quic_write(__wasi_fd_t fd, const void *buffer, size_t length, size_t *ret) {
        __wasi_ciovec_t part = { .buf = buffer, .buf_len = length };
        __wasi_size_t n = 0;
        __wasi_errno_t error = __wasi_fd_write(fd, &part, 1, &n);

        *ret = n;
        return error;
}

static inline void quic_close(__wasi_fd_t fd) {
        CHECK_OK(__wasi_fd_close(fd));
}

/** Prints "what: name of the errno". */
static inline void quic_say(const char *what, __wasi_errno_t error) {
        printf("%s: %s\n", what, wasi_networking_errno_name(error));
        fflush(stdout);
}

/** Prints why the policy or the peer's certificate was refused, if the host says so. */
static inline void quic_say_denial(void) {
        char reason[WASI_NETWORKING_REASON_MAX];
        __wasi_size_t length = 0;

        CHECK_OK(__wasi_networking_last_denial(reason, sizeof(reason), &length));
        if (length > 0)
                printf("reason: %.*s\n", (int)length, reason);
        fflush(stdout);
}

/** A control of a type, bound to `address`. */
static inline __wasi_errno_t quic_open(const char *address, __wasi_filetype_t type, __wasi_rights_t rights,
                                       __wasi_fd_t *ret) {
        return __wasi_networking_open(guest_protocol(), address, strlen(address), type, rights, GUEST_RIGHTS_INHERITING,
                                      0, ret);
}

#endif
