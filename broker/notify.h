/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager is told (sd_notify(3)): that we serve, load the policy again, end; a sentence on how much there is; and that we are alive.
 *
 * The word that we are alive comes from a timer of the loop, twice in the time that the manager grants (WATCHDOG_USEC): a loop that hangs says nothing, and
 * is ended and started again, which with a keeper costs nobody a connection. The sentence is looked at each second, and told if it has changed.
 *
 * Both are sent without waiting: a manager that does not read must not hold up guests. What it waits for itself, READY and RELOADING, is sent until
 * it is taken.
 */
#ifndef NB_BROKER_NOTIFY_H
#define NB_BROKER_NOTIFY_H

struct broker;
struct notify;

/**
 * Finds out whether there is a manager (NOTIFY_SOCKET), and what it expects. Its socket is opened here, so that nothing has to be opened later.
 * A manager that is never told that we serve would end us.
 * @param ret  owned by the caller; NULL: there is none; all functions take that
 * @return 0 or -errno
 */
int notify_new(struct broker *broker, struct notify **ret);

/** Takes NULL. @return NULL */
struct notify *notify_free(struct notify *notify);

/** Tells the watchdog that we live, from where the loop does not turn for a while. */
void notify_alive(const struct notify *notify);

/** We serve, again after notify_reloading(). From the first time on the rest is told by itself. */
void notify_ready(struct notify *notify);

/** The policy is loaded again: notify_ready() says when that is over. */
void notify_reloading(struct notify *notify);

/** We end. */
void notify_stopping(struct notify *notify);

#endif
