/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting for a listening control, and pushing what was accepted.
 *
 * The session gives credit: a total of connections that it is ready for, raised as its guest accepts. Up to that total each
 * connection is accepted, judged, and sent at once; without credit peers wait in the kernel's backlog. A peer that a
 * Deny rule names is closed and never shown. When descriptors or the tenant's account are exhausted the acceptor pauses for
 * a moment instead of spinning.
 */
#ifndef NB_BROKER_ACCEPTOR_H
#define NB_BROKER_ACCEPTOR_H

#include <stdint.h>

struct acceptor;
struct control;

/**
 * Starts accepting on a listening socket, when credit comes.
 * @param fd  consumed on success only
 * @param received  how many connections the session already has of this listener (after Resumed)
 * @return owned by the caller, or NULL (errno is set)
 */
struct acceptor *acceptor_new(struct control *control, int fd, uint64_t received);

/**
 * Goes on for a session that had the listener of an earlier broker, and says now what it has received. To be called once, and before that nobody is
 * accepted of a listener that came back: acceptor_new() gives no credit.
 */
void acceptor_resume(struct acceptor *acceptor, uint64_t received);

/** @return the listening socket, borrowed */
int acceptor_fd(const struct acceptor *acceptor);

/** @return a peer that was accepted and cannot be handed out at the moment, borrowed; -1: none */
int acceptor_pending_fd(const struct acceptor *acceptor);

/** Takes over such a peer of an earlier broker. @param fd  consumed, even on failure @return 0 or -errno */
int acceptor_take_pending(struct acceptor *acceptor, int fd);

/** Stops listening. What is under way to the session stays charged until acceptor_free(). */
void acceptor_stop(struct acceptor *acceptor);

/** Stops listening; who waits in the backlog is reset by the kernel. Takes NULL. @return NULL */
struct acceptor *acceptor_free(struct acceptor *acceptor);

/**
 * Raises the total; a lower one than before is ignored, and none reaches further than NB_CREDIT_WINDOW_MAX connections ahead
 * of what has arrived.
 * @return 0 or -errno
 */
int acceptor_set_credit(struct acceptor *acceptor, uint64_t total);

/** Judges a peer that was accepted and is not pushed yet by a new policy. */
void acceptor_policy_changed(struct acceptor *acceptor);

/** Changes how many peers may wait. @return 0 or -errno of listen(2) */
int acceptor_set_backlog(struct acceptor *acceptor, int backlog);

#endif
