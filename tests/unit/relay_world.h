/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay inside the test, and the test as its broker: orders go in by a real channel, and the relay has its turns while the test waits for something.
 *
 * All functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_UNIT_RELAY_WORLD_H
#define NB_TESTS_UNIT_RELAY_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/relay_frame.h"
#include "relay/relay.h"

struct relay_world {
        struct relay relay;
        int channel; /* the broker's end */
        struct nb_frame_arena arena;
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
};

/** A link's ends that are not the relay's. */
struct relay_ends {
        int peer;  /* what the peer holds */
        int guest; /* what the guest holds */
};

/** Starts a relay and sets it up for `links_max` links. @return owned by the caller: relay_world_free() */
struct relay_world *relay_world_new(uint32_t links_max);
struct relay_world *relay_world_free(struct relay_world *world);

/** Sends an order. `fds` are borrowed. */
void relay_world_order(struct relay_world *world, const Nb__Relay__Order *order, const int *fds, size_t n_fds);

/** Waits for a report, which must be of that kind. @return valid until the next */
const Nb__Relay__Report *relay_world_expect(struct relay_world *world, Nb__Relay__Report__BodyCase kind);

/** The relay has its turns until it has nothing to do; no report must have come. */
void relay_world_expect_nothing(struct relay_world *world);

/** Makes a pair whose guest's end has sent the byte that is never read. @param type  SOCK_STREAM or SOCK_SEQPACKET */
void relay_world_pair(int type, int *ret_relays, int *ret_guests);

/**
 * Begins a link between a TCP (or UDP) connection and a pair.
 * @param begin  NULL: plain, of a client; otherwise `link`, `role` and `datagrams` are set here
 */
struct relay_ends relay_world_begin(struct relay_world *world, uint64_t id, bool datagrams,
                                    const Nb__Relay__Begin *begin);

/** The same, and waits for Ready. */
struct relay_ends relay_world_link(struct relay_world *world, uint64_t id, bool datagrams);

/** Orders that a link ends. */
void relay_world_end(struct relay_world *world, uint64_t id);

/** Waits for Ended of that link, with that cause. @return valid until the next report */
const Nb__Relay__Ended *relay_world_expect_end(struct relay_world *world, uint64_t id, Nb__Relay__Cause cause);

/** Writes all, and lets the relay have its turns meanwhile. */
void relay_world_send(struct relay_world *world, int fd, const void *bytes, size_t length);

/** Reads that many bytes and compares them. */
void relay_world_receive(struct relay_world *world, int fd, const void *bytes, size_t length);

/** Reads once, when there is something. @return bytes, 0 at the end, or -errno */
ssize_t relay_world_read(struct relay_world *world, int fd, void *buffer, size_t size);

#endif
