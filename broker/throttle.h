/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tenant's turn on the loop, and RequestRate=.
 *
 * All channels of a tenant are in a set of watches of its own, which is one watch among those of the loop, and so are its other sockets: those
 * that listen, and those that are being connected. So each tenant that has something to do has its turn, of a few events, in a round with the
 * others, and a tenant with 10,000 ready channels delays another by its few events and not by 10,000. Within the tenant it is the kernel that
 * goes round: epoll(7) puts what it has reported to the end of its list.
 *
 *      the loop ─ the broker's watches ─ a tenant's channels ─ its sessions, protocols, controls
 *                                      ├ a tenant's sockets  ─ its listeners, its connects under way
 *                                      └ where sessions arrive, and half-open ones
 *
 * Each event of a channel, a request or its end, takes one token of RequestRate=. Without one the whole set is left alone, by one system call,
 * until a timer has the tokens for a slice: who asks too much waits, and nobody else pays for it.
 */
#ifndef NB_BROKER_THROTTLE_H
#define NB_BROKER_THROTTLE_H

#include <stdint.h>

#include "broker/rate.h"
#include "broker/watch.h"

struct deadline;
struct tenant;

/** A tenant's. Zero is one that was not started. */
struct throttle {
        struct tenant *tenant;     /* borrowed */
        struct watch_set channels; /* endpoints are watched here */
        struct watch_set sockets;  /* and what has no requests here */
        struct rate requests;      /* RequestRate= */
        struct deadline *pause;    /* while there are no tokens */
};

/** Starts the tenant's sets, two descriptors, on its broker's loop. @return 0 or -errno, with nothing started */
int throttle_start(struct throttle *throttle, struct tenant *tenant);

/** Stops them; all watches must have ended. Takes one that was not started. */
void throttle_stop(struct throttle *throttle);

/** Takes the rate of the tenant's policy, from the next request on. */
void throttle_apply_policy(struct throttle *throttle);

#endif
