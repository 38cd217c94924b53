/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets whose last descriptor is closed, by the word of the seal (broker/seal.h) or of a sweep that cannot wait, and that the kernel may still need.
 *
 * The seal tells of a close before the kernel does it. A socket of UDP is gone then, and its connection ends at once. One of TCP may still hold what was written
 * and is not acknowledged, which counts (broker/connection_watch.h); so the kernel is asked for that one socket, at once and then after 10, 40, 160 and
 * 640 ms. Mostly it is gone the first time. What is left after that is found by the dumps that go with sweeps.
 */
#ifndef NB_BROKER_CONNECTION_RELEASE_H
#define NB_BROKER_CONNECTION_RELEASE_H

#include <stdbool.h>

#include "base/list.h"

struct broker;
struct connection;
struct deadline;
struct tenant;

/** How often the kernel is asked about one, after the first time. */
#define CONNECTION_RELEASE_STEPS 4

struct connection_release_step {
        struct connection_release *release;
        struct nb_list connections; /* by in_closing */
        struct deadline *deadline;  /* when these are looked at; NULL: there are none */
        unsigned number;
};

struct connection_release {
        struct broker *broker;
        int fd; /* of sock_diag; -1: the kernel cannot be asked */
        struct connection_release_step steps[CONNECTION_RELEASE_STEPS];
        void (*left)(void *data, struct connection *connection);
        void *data;
};

/**
 * Begins. What cannot be asked is taken for something that is left.
 * @param left  gets each connection that is still there after the last time; it is in no list
 */
void connection_release_init(struct connection_release *release, struct broker *broker,
                             void (*left)(void *data, struct connection *connection), void *data);

/** No connection is in its lists any more. Harmless where it is all zeros. */
void connection_release_deinit(struct connection_release *release);

/** Ends the connection as soon as the kernel has no socket of it any more. Harmless for one that is looked at already. */
void connection_release_take(struct connection_release *release, struct connection *connection);

/** Asks the kernel once more about the tenant's, as far as they are among those that it was asked about last. */
void connection_release_look_again(struct connection_release *release, const struct tenant *tenant);

#endif
