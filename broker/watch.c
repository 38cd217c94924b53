/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/watch.h"

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/nudge.h"

static void dispatch(uv_poll_t *poll, int status, int uv_events) {
        struct watch_set *set = poll->data;

        (void)status;
        (void)uv_events;
        do
                set->n_batch = epoll_wait(set->epoll_fd, set->batch, WATCH_BATCH, 0);
        while (set->n_batch < 0 && errno == EINTR);

        nudge_on(poll->loop);
        for (int i = 0; i < set->n_batch; ++i) {
                struct watch *watch = set->batch[i].data.ptr;

                if (watch)
                        watch->function(watch, set->batch[i].events);
        }
        set->n_batch = 0;
}

int watch_set_start(struct watch_set *set, uv_loop_t *loop) {
        NB_CLEANUP_FD int epoll_fd = -1;
        int r;

        set->epoll_fd = -1;
        set->n_batch = 0;
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_fd < 0)
                return -errno;
        r = uv_poll_init(loop, &set->poll, epoll_fd);
        if (r < 0)
                return r;
        set->poll.data = set;
        r = uv_poll_start(&set->poll, UV_READABLE, dispatch);
        if (r < 0)
                return r;
        set->epoll_fd = nb_steal_fd(&epoll_fd);
        return 0;
}

void watch_set_stop(struct watch_set *set) {
        if (set->epoll_fd < 0)
                return;
        uv_close((uv_handle_t *)&set->poll, NULL);
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

void watch_end_before_close(struct watch *watch) {
        if (!watch->set)
                return;
        for (int i = 0; i < watch->set->n_batch; ++i) {
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
