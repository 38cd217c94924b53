/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes, through which bytes go from one socket to another without a copy in between (splice(2)).
 *
 * A pipe is a link's only while it holds something. When it is empty it goes back to the pool of the relay, and the few that are there serve all
 * links; who gets none goes on by read and write.
 */
#ifndef NB_RELAY_SPLICE_H
#define NB_RELAY_SPLICE_H

#include <stddef.h>

struct pipe {
        int read_fd;  /* owned */
        int write_fd; /* owned */
        size_t held;  /* bytes in it */
};

/** Pipes of one relay, at most: unprivileged users have 1,024 of full size each (pipe(7)). */
#define PIPES_MAX 64

/** All zeros to begin. */
struct pipe_pool {
        struct pipe *idle[PIPES_MAX]; /* owned */
        unsigned n_idle;
        unsigned n_pipes; /* with those that are lent */
};

/** @return an empty pipe, to be given back; NULL when there is none to be had */
struct pipe *pipe_take(struct pipe_pool *pool);

/** Gives one back; what it holds is lost. Takes NULL. @return NULL */
struct pipe *pipe_give_back(struct pipe_pool *pool, struct pipe *pipe);

/** Frees the pipes that were given back. */
void pipe_pool_deinit(struct pipe_pool *pool);

#endif
