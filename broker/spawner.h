/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that starts shards (broker/front.h), from before the front has read anything until it ends.
 *
 *      netbrokerd, the front ── spawner ── shard 1, shard 2, ...
 *
 * The front stands behind walls that a shard could not start behind, and has read what strangers sent; so it does not fork itself. The spawner is forked before anything is
 * opened, gives up its privileges at once, and hears numbers and channels from the front and nothing from anybody else. A shard is a fork of it, without an exec: the same program, with
 * the same options and a number.
 */
#ifndef NB_BROKER_SPAWNER_H
#define NB_BROKER_SPAWNER_H

#include "base/log.h"

/** Which process this one is. */
struct shard_place {
        unsigned n_shards;
        unsigned number; /* of a shard, from 1; 0: it is the front */
        int fd;          /* owned: of a shard its channel to the front, of the front that to the spawner */
};

/**
 * Forks the spawner. Returns in the front, and again in each shard.
 * @param user  who shards are, NULL: who the spawner is
 * @return 0; 1 in the spawner, when it is over; -errno
 */
int spawner_fork(const struct nb_log *log, unsigned n_shards, const char *user, struct shard_place *ret);

#endif
