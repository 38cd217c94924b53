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
 * until a timer has the tokens for a slice: who asks too much waits, and nobody else pays for it. A session takes tokens when it is opened,
 * and without any its Welcome waits for them.
 *
 * Requests are not all the same: a connect into a black hole is work for ten others. So a tenant has a share of the loop's time as well,
 * 20 us for each request of its rate and a fifth of the loop in any case; beyond that it waits as if it had no token. Without that
 * a tenant that keeps its rate could still make the others wait for half of their time.
 */
#ifndef NB_BROKER_THROTTLE_H
#define NB_BROKER_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/rate.h"
#include "loop/watch.h"

struct deadline;
struct tenant;
struct throttle_waiter;

/** Called when its turn has come. It may end the tenant. */
typedef void (*throttle_function)(struct throttle_waiter *waiter);

/** One that waits for tokens. Its memory is the caller's. */
struct throttle_waiter {
        struct nb_list link; /* initialised by throttle_waiter_init() */
        throttle_function function;
};

/** A tenant's. Zero is one that was not started. */
struct throttle {
        struct tenant *tenant;     /* borrowed */
        struct watch_set channels; /* endpoints are watched here */
        struct watch_set sockets;  /* and what has no requests here */
        struct rate requests;      /* RequestRate= */
        struct rate time;          /* of the loop, in us */
        struct deadline *pause;    /* while the channels wait */
        struct nb_list waiters;
        struct deadline *next_waiter; /* while there are some */
};

/** Starts the tenant's sets, two descriptors, on its broker's loop. @return 0 or -errno, with nothing started */
int throttle_start(struct throttle *throttle, struct tenant *tenant);

/** Stops them; all watches must have ended, and nobody wait. Takes one that was not started. */
void throttle_stop(struct throttle *throttle);

/** Takes the rate of the tenant's policy, from the next request on. */
void throttle_apply_policy(struct throttle *throttle);

/** Makes one that does not wait. */
void throttle_waiter_init(struct throttle_waiter *waiter, throttle_function function);

/**
 * Takes tokens for what did not come by the tenant's channels.
 * @return true: they were there; false: the waiter's function is called when they are, unless it is cancelled
 */
bool throttle_take(struct throttle *throttle, uint64_t n, struct throttle_waiter *waiter);

/** Waits no more; harmless for one that does not wait. */
void throttle_cancel(struct throttle_waiter *waiter);

#endif
