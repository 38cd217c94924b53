/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/splice.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "relay/calls.h"

static struct pipe *pipe_free(struct pipe *pipe) {
        (void)nb_fd_close(pipe->read_fd);
        (void)nb_fd_close(pipe->write_fd);
        free(pipe);
        return NULL;
}

static struct pipe *pipe_new(void) {
        struct pipe *pipe = malloc(sizeof(*pipe));
        int fds[2];

        if (!pipe)
                return NULL;
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
                free(pipe);
                return NULL;
        }
        *pipe = (struct pipe){ .read_fd = fds[0], .write_fd = fds[1] };
        return pipe;
}

struct pipe *pipe_take(struct pipe_pool *pool) {
        struct pipe *pipe;

        if (pool->n_idle > 0)
                return pool->idle[--pool->n_idle];
        pipe = pool->n_pipes < PIPES_MAX ? pipe_new() : NULL;
        pool->n_pipes += pipe != NULL;
        return pipe;
}

struct pipe *pipe_give_back(struct pipe_pool *pool, struct pipe *pipe) {
        if (!pipe)
                return NULL;
        if (pipe->held > 0) {
                pool->n_pipes--;
                return pipe_free(pipe);
        }
        pool->idle[pool->n_idle++] = pipe;
        return NULL;
}

void pipe_pool_deinit(struct pipe_pool *pool) {
        while (pool->n_idle > 0)
                (void)pipe_free(pool->idle[--pool->n_idle]);
}

static const struct confine_call calls[] = {
        CONFINE_CALL(pipe2, "pipes for splice"),
};
const struct confine_list splice_calls = CONFINE_LIST(calls);
