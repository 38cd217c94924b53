/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a shard comes to be: its spawner (broker/spawner.h) executes the program that runs, once more, and says in front of the front's own arguments which shard it is.
 *
 *      netbrokerd --as-shard=2 --shards 4 ...
 *          0 to 2   the standard streams
 *          3        its channel to the front
 *          4        the audit, where there is --audit: the file may be one that only who started the front may open
 *
 * A fork would do, and have the layout of memory that front, spawner and all other shards have: who finds that out from one, would know it of each, also of one that
 * is started again behind a guess that was wrong. Executed, each has a layout of its own, nothing of another's memory, and no descriptor but these.
 *
 * It is /proc/self/exe that is executed: front and shards are the same program also where an upgrade has put another in its place meanwhile, so that what they say to
 * each other needs no version (broker/shard_message.h). The option is in no table and in no manual, for it means nothing to people: without the descriptors it is refused.
 */
#ifndef NB_BROKER_SHARD_EXEC_H
#define NB_BROKER_SHARD_EXEC_H

#include <sys/types.h>

/** Which process this one is, and what it has been given. */
struct shard_place {
        unsigned n_shards; /* of how many; as the arguments say */
        unsigned number;   /* of a shard, from 1; 0: it is none */
        int fd; /* owned: of a shard its channel to the front, of the front that to the spawner; -1: it has none */
        int audit_fd; /* owned; -1: there is none */
};

/** The first descriptor that a shard is not given: what is to be handed to one has no lower number. */
#define SHARD_EXEC_FD_END 5

/** What shard_exec() is to be given, before it is parsed, which takes it apart. @return owned by the caller, its words are not; NULL without memory */
char **shard_exec_copy_arguments(int argc, char *const *argv);

/**
 * Starts a shard.
 * @param argv   the front's arguments, its name the first, with a NULL behind them; borrowed
 * @param place  its descriptors are borrowed; that of the audit is from SHARD_EXEC_FD_END up
 * @param ret    owned by the caller, who waits for it
 * @return 0; -errno, and there is no process
 */
int shard_exec(char *const *argv, const struct shard_place *place, pid_t *ret);

/**
 * Finds out, in a program that is started, whether it is to be a shard. To be called before any descriptor is opened.
 * @param argc  one less afterwards, if it is a shard
 * @param argv  what is for this is taken out of it
 * @param ret   number 0, without descriptors, if it is none; owned by the caller
 * @return 0; -EINVAL: whoever has started it is no spawner
 */
int shard_exec_take(int *argc, char **argv, struct shard_place *ret);

/** Closes what is left in it. */
void shard_place_deinit(struct shard_place *place);

#endif
