/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that a guest has accepted by sock_accept, and that have no stream yet.
 *
 * sock_accept is accept and stream_accept in one, and where connections multiplex, the second has to wait for the peer: it may open its first stream much later than
 * the connection, or never. So such a connection waits here, in its control, while others are accepted. There is a bound; beyond it the oldest goes, since a peer that
 * makes many connections and no stream shall not keep the others out. A guest that calls accept gets those that wait here first.
 */
#ifndef NB_SHIM_WASI_WAITING_H
#define NB_SHIM_WASI_WAITING_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "netbroker/client.h"

/** How many may wait in one control. */
#define NB_WAITING_MAX 16

struct nb_waiting;

/** Closes the connections. Takes NULL. @return NULL. */
struct nb_waiting *nb_waiting_free(struct nb_waiting *waiting);

/** @return how many there are. Takes NULL. */
unsigned nb_waiting_n(const struct nb_waiting *waiting);

/**
 * Puts a connection behind the others; where there is no room the first is closed.
 * @param waiting     made with the first, owned by the caller
 * @param connection  consumed, also on failure
 * @return 0 or -ENOMEM
 */
int nb_waiting_add(struct nb_waiting **waiting, struct nb_connection *connection);

/** Takes the one that has waited longest. @return owned by the caller; NULL if there is none. Takes NULL. */
struct nb_connection *nb_waiting_take_first(struct nb_waiting *waiting);

/**
 * Takes the first that has a stream, with that. Those that are over are closed.
 * @param ret         owned by the caller
 * @param ret_stream  its descriptor is owned by the caller
 * @return whether there was one. Takes NULL.
 */
bool nb_waiting_take_stream(struct nb_waiting *waiting, struct nb_connection **ret, struct nb_stream *ret_stream);

/** Whether one of them is known to have a stream; nothing is taken in. Takes NULL. */
bool nb_waiting_has_stream(const struct nb_waiting *waiting);

/**
 * Takes in what has come; those that are over are closed.
 * @param fds  what is polled, with what nb_waiting_poll_fds() has told; what is closed is taken out of it (-1): poll() would not wait any more
 * @param n    how many these are
 * @return whether one of them has a stream. Takes NULL.
 */
bool nb_waiting_is_ready(struct nb_waiting *waiting, struct pollfd *fds, size_t n);

/** Tells what to poll to learn when that changes. @param fds  filled in, of NB_WAITING_MAX places @return how many. Takes NULL. */
unsigned nb_waiting_poll_fds(const struct nb_waiting *waiting, struct pollfd *fds);

#endif
