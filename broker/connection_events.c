/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection_events.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/sock_diag.h"
#include "broker/broker.h"
#include "loop/deadline.h"

/* How many times 64 events are taken before other descriptors have their turn. */
#define ROUNDS 8

/* So many of strangers in so long are too many: a hundredth of a processor, about. */
#define STRANGERS_MAX 16
#define STRANGERS_MS 100

static void on_event(void *data, uint64_t cookie) {
        struct connection_events *events = data;

        if (!events->ops->freed(events->data, cookie))
                events->n_strangers++;
}

static void look(struct connection_events *events) {
        events->lost = false;
        events->ops->look(events->data);
}

/* ---- listening ---- */

static void listen_again(void *data) {
        struct connection_events *events = data;

        events->leave = deadline_free(events->leave);
        if (events->broker->connections.n == 0)
                return;
        connection_events_want(events);
        look(events);
}

/* What is in the queue is still read. Without memory for the timer it goes on listening. */
static void leave(struct connection_events *events) {
        events->leave = deadline_new(&events->broker->loop, CONNECTION_EVENTS_LEAVE_MS, listen_again, events);
        if (!events->leave)
                return;
        (void)nb_sock_diag_listen(events->fd, false);
        events->listens = false;
}

static bool is_insisted_on(const struct connection_events *events, uint64_t now_ms) {
        return events->insisted_at_ms != 0 && now_ms - events->insisted_at_ms < CONNECTION_EVENTS_LEAVE_MS;
}

/* Whether too many events were strangers'. */
static bool is_too_much(struct connection_events *events) {
        uint64_t now_ms = uv_now(&events->broker->loop);

        if (events->n_strangers > STRANGERS_MAX && !is_insisted_on(events, now_ms))
                return true;
        if (now_ms - events->since_ms < STRANGERS_MS)
                return false;
        events->since_ms = now_ms;
        events->n_strangers = 0;
        return false;
}

void connection_events_want(struct connection_events *events) {
        if (events->listens || events->leave || events->fd < 0)
                return;
        events->listens = true;
        events->since_ms = uv_now(&events->broker->loop);
        events->n_strangers = 0;
        /* Where the kernel refuses, it is tried again later, and sweeps do meanwhile. */
        if (nb_sock_diag_listen(events->fd, true) < 0)
                leave(events);
}

void connection_events_insist(struct connection_events *events) {
        events->insisted_at_ms = uv_now(&events->broker->loop);
        if (events->leave)
                listen_again(events);
}

/* ---- reading ---- */

/*
 * The kernel says once that its queue is full, and goes on dropping events until it is empty: what was lost is looked for behind that.
 * While the queue does not get empty, it is looked for all the same.
 */
static void note_lost(struct connection_events *events) {
        events->lost = true;
        events->ops->losing(events->data);
}

static void ready(struct watch *watch, uint32_t what) {
        struct connection_events *events = nb_container_of(watch, struct connection_events, watch);
        int r = 0;

        (void)what;
        for (int i = 0; i < ROUNDS && (r == 0 || r == -ENOBUFS); ++i) {
                r = nb_sock_diag_read_events(events->fd, on_event, events);
                if (r == -ENOBUFS)
                        note_lost(events);
        }
        if (events->listens && is_too_much(events))
                leave(events);
        if (r == -EAGAIN && events->lost)
                look(events);
}

/* ---- beginning and end ---- */

int connection_events_init(struct connection_events *events, struct broker *broker, int fd_consumed,
                           const struct connection_events_ops *ops, void *data) {
        NB_CLEANUP_FD int fd = fd_consumed;
        int r;

        *events = (struct connection_events){ .broker = broker, .ops = ops, .data = data, .fd = -1 };
        if (fd < 0)
                return fd;
        r = watch_start(&events->watch, &broker->watches, fd, EPOLLIN, ready);
        if (r < 0)
                return r;
        events->fd = nb_steal_fd(&fd);
        return 0;
}

void connection_events_deinit(struct connection_events *events) {
        events->leave = deadline_free(events->leave);
        events->listens = false;
        if (events->fd < 0)
                return;
        watch_end_before_close(&events->watch);
        events->fd = nb_fd_close(events->fd);
}
