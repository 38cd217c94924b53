/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real netbroker-keeper, and brokers that come and go beside it.
 *
 *      struct restart_scene: a scene (tests/support/scene.h) whose daemon leaves what it has with a keeper. restart_gracefully() and restart_killed() end the
 *      daemon and start the next one, which is ready when they return.
 *
 * As tests/support/harness.h: nothing is guessed, and functions fail the test.
 */
#ifndef NB_TESTS_SUPPORT_KEEPER_H
#define NB_TESTS_SUPPORT_KEEPER_H

#include "tests/support/scene.h"

struct keeper {
        char path[HARNESS_PATH_MAX]; /* of its socket */
        pid_t pid;                   /* -1: not running */
        int pidfd;
};

/** Starts it (environment NETBROKER_KEEPER) with a socket in `folder`, and waits until it serves. */
void keeper_start(struct keeper *keeper, const char *folder);

/** The same for a shard of the daemon's (--shards). @param shard  from 1 */
void keeper_start_of_shard(struct keeper *keeper, const char *folder, unsigned shard);

/** Kills it, and removes its socket. */
void keeper_kill(struct keeper *keeper);

/** @return how many descriptors it has open at the moment */
unsigned keeper_count_fds(const struct keeper *keeper);

/** Waits until it has that many. */
void keeper_wait_fds(const struct keeper *keeper, unsigned expected);

#define RESTART_ARGUMENTS_MAX 16

struct restart_scene {
        struct scene scene;
        struct keeper keeper;
        const char *arguments[RESTART_ARGUMENTS_MAX + 1];
        size_t n_arguments;
        struct daemon_options options;
        unsigned keeper_baseline; /* its descriptors before the first broker */
};

/** Prepares a folder and starts the keeper; more arguments and the policy may follow before restart_begin(). */
void restart_prepare(struct restart_scene *world);

/** Gives the daemon, and each that comes after it, one more argument; borrowed. */
void restart_argument(struct restart_scene *world, const char *argument);

/** Starts the daemon, with one session. @param rules  as scene_start() */
void restart_begin(struct restart_scene *world, const char *rules);

/** restart_prepare() and restart_begin(). */
void restart_start(struct restart_scene *world, const char *rules);

/** Ends the daemon by SIGTERM, which must end with status 0. */
void restart_stop(struct restart_scene *world);

/** Kills the daemon, and waits until it is gone. */
void restart_kill(struct restart_scene *world);

/** Ends the daemon in the one way or the other. */
void restart_take_down(struct restart_scene *world, bool killed);

/** Starts the next daemon and waits until it serves. */
void restart_again(struct restart_scene *world);

/** Ends the daemon, in the one way or the other, and starts the next one. */
void restart_one(struct restart_scene *world, bool killed);

/** Takes a Resumed, which must be the next frame; requests count on from there. */
void restart_expect_resumed(struct wire *wire);

/** Takes the Resumed of the session's own channel and of all its protocols. */
void restart_expect_session_resumed(struct restart_scene *world);

/**
 * Opens a control and closes it. Where several brokers have come since the last Resumed was read, the last of them says so when it is asked for the first
 * time, and is asked again.
 */
void restart_expect_served(struct wire *protocol);

/** Closes the session, and checks that daemon and keeper have nothing left; ends both. */
void restart_end(struct restart_scene *world);

#endif
