/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of the connections in tenants' hands: that they are gone, and how much their buffers take.
 *
 *      events     of sock_diag: a TCP or UDP socket was freed. The usual way, and the prompt one, without the seal. They are of the whole network
 *                 namespace, so they are left while others' sockets are too many (broker/connection_events.h).
 *      releases   of the seal (broker/seal.h), where it is proven, instead of events: the last descriptor of a socket of ours was closed.
 *      sweeps     of the shelves (broker/connection_files.h): which files are closed. For Unix sockets, of which there are no events;
 *                 and for all after events or releases were lost, where events are left, before a tenant is refused for too many, and from time to time.
 *      dumps      of sock_diag: whether a TCP socket whose file is closed is still in the kernel, and what buffers take. For a tenant that waits
 *                 for room the kernel is asked for each single one, which is dearer, and has its answer at once (broker/connection_release.h); but of a
 *                 socket that its holder may have connected elsewhere only a dump knows.
 *
 * When a connection stops to count: when its file is closed, in all processes that have it, and for TCP when the kernel has freed
 * the socket as well. Until then it holds what was written and is not acknowledged, up to the size of its buffers, and a tenant could otherwise
 * leave any number of such behind. TIME_WAIT does not count: it is 200 bytes for a minute, the kernel bounds how many there are
 * (tcp_max_tw_buckets), and a limit on them would be one on the rate of connections. What a holder does to its socket, shutting it down or
 * disconnecting it, ends no entry.
 *
 * A sweep costs 1.5 us a connection. So it is done a shelf at a time, and for a tenant at its limit at most a sixty-fourth of the
 * time, but when it finds what it looks for.
 */
#ifndef NB_BROKER_CONNECTION_WATCH_H
#define NB_BROKER_CONNECTION_WATCH_H

#include <stdint.h>

#include "base/list.h"

struct broker;
struct connection;
struct connection_watch;
struct session_token;
struct tenant;

/** What is known of one tenant's connections together. */
struct tenant_holding {
        struct nb_list shelves; /* broker/connection_files.h */
        uint64_t bytes;        /* that the buffers of its TCP and UDP sockets take; measured only if there is a limit */
        uint64_t bytes_so_far; /* of the measurement that goes on */
        uint64_t no_sweep_before; /* by uv_hrtime() */
};

/**
 * Starts to watch. To be called while the process has its privileges, with which the kernel makes a longer queue for the events. Where
 * sock_diag cannot be had, it is logged, and sweeps do alone.
 * @return owned by the caller, or NULL without memory
 */
struct connection_watch *connection_watch_new(struct broker *broker);

/** All connections must have ended. Takes NULL. @return NULL */
struct connection_watch *connection_watch_free(struct connection_watch *watch);

/** Notes a connection that is registered now. */
void connection_watch_add(struct connection_watch *watch, const struct connection *connection);

/** Notes that one goes. */
void connection_watch_remove(struct connection_watch *watch, struct connection *connection);

/**
 * Looks whether some of a tenant's connections are gone, if it is time for that: it has as many as it may have.
 * @param token  the session's, if it is that one which lets it have no more; NULL: the tenant's own limit does
 */
void connection_watch_make_room(struct connection_watch *watch, struct tenant *tenant,
                                const struct session_token *token);

/** Notes that a connection was revoked: if its holder brings it back to life, it is revoked again. Harmless the second time. */
void connection_watch_revoked(struct connection_watch *watch, struct connection *connection);

/** Has the seal tell what is closed from now on, and not the kernel's events. */
void connection_watch_be_told(struct connection_watch *watch);

/** The last descriptor of a socket is closed. @param cookie  of any socket, or 0 */
void connection_watch_released(struct connection_watch *watch, uint64_t cookie);

/** The seal could not tell of some. */
void connection_watch_lost_some(struct connection_watch *watch);

/** Looks at all connections, soon: they were an earlier broker's. */
void connection_watch_restored(struct connection_watch *watch);

/** To be called when limits may have changed. */
void connection_watch_policy_changed(struct connection_watch *watch);

#endif
