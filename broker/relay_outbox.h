/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders on their way to a relay.
 *
 * The kernel takes some hundred at once, and a relay that has just been started reads none yet. What does not fit waits here, in order, with
 * duplicates of its descriptors, up to a bound; the owner of the channel sends on when that takes more.
 */
#ifndef NB_BROKER_RELAY_OUTBOX_H
#define NB_BROKER_RELAY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "proto/relay_frame.h"

/** The most orders that wait. End is not among them: it is one for each order that had a place, and what was revoked must not live on. */
#define RELAY_OUTBOX_MAX 4096

struct relay_outbox {
        struct nb_list letters;
        uint32_t n;
};

void relay_outbox_init(struct relay_outbox *outbox);

/** Drops what waits. */
void relay_outbox_deinit(struct relay_outbox *outbox);

/** Whether nothing waits. */
bool relay_outbox_is_empty(const struct relay_outbox *outbox);

/**
 * Sends an order, or has it wait.
 * @param fds  borrowed
 * @return 0; -EAGAIN when too much waits, or no descriptors are left to wait with; -EPIPE or -ECONNRESET when the relay is gone; another -errno
 */
int relay_outbox_send(struct relay_outbox *outbox, int channel_fd, const Nb__Relay__Order *order, const int *fds,
                      size_t n_fds);

/**
 * Takes a link's Begin back, with its descriptors: a relay that does not read keeps nobody's longer than they are of use.
 * @return whether it waited; the relay has not heard of that link then, and will not
 */
bool relay_outbox_withdraw(struct relay_outbox *outbox, uint64_t link);

/** Sends on what waits. @return 0: all was sent; -EAGAIN: the channel takes no more; -ETOOMANYREFS: try in a moment; another -errno */
int relay_outbox_flush(struct relay_outbox *outbox, int channel_fd);

#endif
