/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/watch.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "loop/nudge.h"

/* A signal ends the wait, with nothing: whoever waits again knows how long. */
static unsigned collect(struct watch_set *set, unsigned most, int timeout_ms) {
        int n = epoll_wait(set->epoll_fd, set->batch, (int)(most < WATCH_BATCH ? most : WATCH_BATCH), timeout_ms);

        set->n_batch = n > 0 ? (unsigned)n : 0;
        return set->n_batch;
}

unsigned watch_set_collect(struct watch_set *set, unsigned most) {
        return collect(set, most, 0);
}

bool watch_set_dispatch(struct watch_set *set) {
        /* The one above lives longer, so it is what tells whether this one is still there. */
        struct watch_set *parent = set->outer.set;

        if (parent)
                parent->serving = set;
        for (unsigned i = 0; i < set->n_batch; ++i) {
                struct watch *watch = set->batch[i].data.ptr;

                if (watch)
                        watch->function(watch, set->batch[i].events);
                if (parent && parent->serving != set)
                        return false;
        }
        set->n_batch = 0;
        if (parent)
                parent->serving = NULL;
        return true;
}

static void libuv_ready(struct watch *watch, uint32_t events) {
        const struct watch_set *set = nb_container_of(watch, struct watch_set, libuv);

        (void)events;
        (void)uv_run(set->loop, UV_RUN_NOWAIT);
}

/* In milliseconds, until libuv has something to do, if it is not told before. One with no handle waits for nothing, and says 0 of it. */
static int time_left(const uv_loop_t *loop) {
        return uv_loop_alive(loop) ? uv_backend_timeout(loop) : -1;
}

void watch_set_turn(struct watch_set *set, bool wait) {
        uv_update_time(set->loop);
        if (collect(set, WATCH_BATCH, wait ? time_left(set->loop) : 0) > 0)
                nudge_on(set->loop);
        uv_update_time(set->loop);
        (void)watch_set_dispatch(set);
        /* A timer, a handle that is being closed, or a watch of libuv's that the kernel does not know yet. */
        if (time_left(set->loop) == 0)
                (void)uv_run(set->loop, UV_RUN_NOWAIT);
}

/* @return the descriptor, or -errno; the set is one that is not started in any case */
static int prepare(struct watch_set *set) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

        *set = (struct watch_set){ .epoll_fd = -1 };
        return epoll_fd < 0 ? -errno : epoll_fd;
}

int watch_set_start(struct watch_set *set, uv_loop_t *loop) {
        int epoll_fd = prepare(set);
        int r;

        if (epoll_fd < 0)
                return epoll_fd;
        set->loop = loop;
        set->epoll_fd = epoll_fd;
        r = watch_start(&set->libuv, set, uv_backend_fd(loop), EPOLLIN, libuv_ready);
        if (r < 0) {
                set->epoll_fd = nb_fd_close(set->epoll_fd);
                return r;
        }
        /* It tells the kernel of its descriptors when it is run, and aborts where there is no memory for one: then let it be now. */
        (void)uv_run(loop, UV_RUN_NOWAIT);
        return 0;
}

int watch_set_start_within(struct watch_set *set, struct watch_set *parent, watch_function ready) {
        NB_CLEANUP_FD int epoll_fd = prepare(set);
        int r;

        if (epoll_fd < 0)
                return epoll_fd;
        r = watch_start(&set->outer, parent, epoll_fd, EPOLLIN, ready);
        if (r < 0)
                return r;
        set->epoll_fd = nb_steal_fd(&epoll_fd);
        return 0;
}

void watch_set_stop(struct watch_set *set) {
        if (set->epoll_fd < 0)
                return;
        if (set->outer.set) {
                if (set->outer.set->serving == set)
                        set->outer.set->serving = NULL;
                watch_end_before_close(&set->outer);
        }
        set->epoll_fd = nb_fd_close(set->epoll_fd);
}

int watch_start(struct watch *watch, struct watch_set *set, int fd, uint32_t events, watch_function function) {
        struct epoll_event event = { .events = events, .data.ptr = watch };

        if (epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;
        *watch = (struct watch){ .set = set, .function = function, .fd = fd, .events = events };
        return 0;
}

int watch_change(struct watch *watch, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = watch };

        if (events == watch->events)
                return 0;
        if (epoll_ctl(watch->set->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0)
                return -errno;
        watch->events = events;
        return 0;
}

int watch_move(struct watch *watch, struct watch_set *set) {
        struct epoll_event event = { .events = watch->events, .data.ptr = watch };

        if (epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) < 0)
                return -errno;
        watch_end(watch);
        watch->set = set;
        return 0;
}

void watch_end_before_close(struct watch *watch) {
        if (!watch->set)
                return;
        for (unsigned i = 0; i < watch->set->n_batch; ++i) {
                if (watch->set->batch[i].data.ptr == watch)
                        watch->set->batch[i].data.ptr = NULL;
        }
        watch->set = NULL;
}

void watch_end(struct watch *watch) {
        if (!watch->set)
                return;
        (void)epoll_ctl(watch->set->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
        watch_end_before_close(watch);
}
