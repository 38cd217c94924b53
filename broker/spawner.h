/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that starts shards (broker/front.h), from before the front has read anything until it ends.
 *
 *      netbrokerd, the front ── spawner ── shard 1, shard 2, ...
 *
 * The front stands behind walls that a shard could not start behind, and has read what strangers sent; so it does not fork itself. The spawner is forked before anything is
 * opened, gives up its privileges at once, and hears numbers and channels from the front and nothing from anybody else. What it starts is the same program, with the same arguments and a
 * number (broker/shard_exec.h).
 */
#ifndef NB_BROKER_SPAWNER_H
#define NB_BROKER_SPAWNER_H

#include "base/log.h"

/** What shards are started with. All of it is borrowed, and must last as long as the spawner. */
struct spawner_plan {
        char *const *argv; /* the front's own, with a NULL behind them */
        unsigned n_shards;
        const char *user; /* who they are; NULL: who the spawner is */
        int audit_fd;     /* -1: there is no audit */
};

/**
 * Forks the spawner.
 * @param ret_fd  the front's channel to it; owned by the caller
 * @return 0 in the front; 1 in the spawner, when it is over; -errno
 */
int spawner_fork(const struct nb_log *log, const struct spawner_plan *plan, int *ret_fd);

#endif
