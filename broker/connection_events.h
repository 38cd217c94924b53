/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's events of TCP and UDP sockets that are freed (base/sock_diag.h), as long as they are worth their price.
 *
 * The kernel tells of all sockets of the network namespace, also of those that are no business of ours, and each event costs work of the kernel's, a wake and
 * a system call. So nobody listens before there is a connection. And when more than a few events in a moment are strangers', the groups are left for a while,
 * in which sweeps find what is closed; then it is tried again, if there is a connection still. What was missed is looked for like what was lost.
 * While somebody is refused a connection they are not left: he has to have back at once what he closes, and no other tenant's noise may come between.
 */
#ifndef NB_BROKER_CONNECTION_EVENTS_H
#define NB_BROKER_CONNECTION_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/watch.h"

struct broker;
struct deadline;

/** How long the groups are left, in milliseconds. */
#define CONNECTION_EVENTS_LEAVE_MS 2000

struct connection_events_ops {
        /** A socket is freed. @return whether it was one of ours */
        bool (*freed)(void *data, uint64_t cookie);
        /** Some events were lost, and others may go on being lost: what is closed has to be looked for now and then. */
        void (*losing)(void *data);
        /** Some were lost or missed, and now they come again: all connections have to be looked at once. */
        void (*look)(void *data);
};

/** All zeros but for `fd`, which is -1, is one that there are no events for. */
struct connection_events {
        struct broker *broker;
        const struct connection_events_ops *ops;
        void *data;
        int fd; /* -1: there are none */
        struct watch watch;
        bool listens;
        bool lost;               /* some were, and the queue was not empty since */
        unsigned n_strangers;    /* events of others' sockets, since... */
        uint64_t since_ms;       /* by uv_now() */
        struct deadline *leave;  /* until when the groups are left; NULL: they are not */
        uint64_t insisted_at_ms; /* by uv_now(); 0: never */
};

/**
 * Begins, without listening.
 * @param fd_consumed  of nb_sock_diag_open_events()
 * @param data         for the functions, borrowed as they are
 * @return 0 or -errno; on failure it is one that there are no events for
 */
int connection_events_init(struct connection_events *events, struct broker *broker, int fd_consumed,
                           const struct connection_events_ops *ops, void *data);

/** There are no events from now on. Harmless the second time. */
void connection_events_deinit(struct connection_events *events);

/** There is a connection: its end is to be heard of. To be called before anybody else has its socket. */
void connection_events_want(struct connection_events *events);

/** Somebody is refused for want of room: they are joined again if they were left, and not left for as long. */
void connection_events_insist(struct connection_events *events);

/** Whether the groups are left because strangers' sockets were too many. */
static inline bool connection_events_are_left(const struct connection_events *events) {
        return events->leave != NULL;
}

#endif
