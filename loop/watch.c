/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/watch.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "loop/nudge.h"

static unsigned collect(struct watch_set *set, unsigned most, int timeout_ms) {
        int n;

        do
                n = epoll_wait(set->epoll_fd, set->batch, (int)(most < WATCH_BATCH ? most : WATCH_BATCH), timeout_ms);
        while (n < 0 && errno == EINTR);
        set->n_batch = n > 0 ? (unsigned)n : 0;
        return set->n_batch;
}

unsigned watch_set_collect(struct watch_set *set, unsigned most) {
        return collect(set, most, 0);
}

unsigned watch_set_wait(struct watch_set *set, int timeout_ms) {
        return collect(set, WATCH_BATCH, timeout_ms);
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

static void loop_ready(uv_poll_t *poll, int status, int uv_events) {
        struct watch_set *set = poll->data;

        (void)status;
        (void)uv_events;
        (void)watch_set_collect(set, WATCH_BATCH);
        nudge_on(poll->loop);
        (void)watch_set_dispatch(set);
}

/* @return the descriptor, or -errno; the set is one that is not started in any case */
static int prepare(struct watch_set *set) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

        *set = (struct watch_set){ .epoll_fd = -1 };
        return epoll_fd < 0 ? -errno : epoll_fd;
}

int watch_set_start(struct watch_set *set, uv_loop_t *loop) {
        NB_CLEANUP_FD int epoll_fd = prepare(set);
        int r;

        if (epoll_fd < 0)
                return epoll_fd;
        r = uv_poll_init(loop, &set->poll, epoll_fd);
        if (r < 0)
                return r;
        set->poll.data = set;
        r = uv_poll_start(&set->poll, UV_READABLE, loop_ready);
        if (r < 0)
                return r;
        set->epoll_fd = nb_steal_fd(&epoll_fd);
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
        } else {
                uv_close((uv_handle_t *)&set->poll, NULL);
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
