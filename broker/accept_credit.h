/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many accepted connections a session is ready for, and how many are on their way to it.
 *
 * The session gives credit: a total, raised as its guest accepts. What is pushed and has not arrived is charged to the tenant as in
 * flight. What the session says it has accepted is believed only as far as the kernel confirms that it was read: one that raises its
 * credit without reading would otherwise pile up descriptors in flight.
 */
#ifndef NB_BROKER_ACCEPT_CREDIT_H
#define NB_BROKER_ACCEPT_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

struct control;

struct accept_credit {
        uint64_t sent;         /* connections pushed; refused peers are not counted */
        uint64_t total;        /* up to which they may be */
        uint64_t acknowledged; /* the part of `sent` that has arrived at the guest; the rest is charged */
};

/** @param received  how many connections the session already has of this listener (after Resumed) */
void accept_credit_init(struct accept_credit *credit, uint64_t received);

/**
 * Goes on where an earlier broker was: what lies in the session's queue is charged as in flight.
 * @param credit    a new one, in which nothing is charged
 * @param received  how many connections the session says that it has
 */
void accept_credit_resume(struct accept_credit *credit, const struct control *control, uint64_t received);

/** Whether one more may be pushed. */
bool accept_credit_is_left(const struct accept_credit *credit);

/** Raises the total; a lower one than before is ignored, and none reaches further than NB_CREDIT_WINDOW_MAX ahead of what has arrived. */
void accept_credit_raise(struct accept_credit *credit, const struct control *control, uint64_t total);

/** Gives the tenant back what is charged as in flight; for the end of the control. */
void accept_credit_release(struct accept_credit *credit, const struct control *control);

#endif
