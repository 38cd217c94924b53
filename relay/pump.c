/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "relay/link.h"
#include "relay/pair.h"
#include "relay/relay.h"
#include "relay/socket_io.h"
#include "relay/splice.h"

/* A read of that much begins a long transfer, and a splice of less ends it. */
#define LONG_READ 32768
#define SHORT_SPLICE 8192

/* What is asked of one splice; how much it is the pipe's size says. */
#define SPLICE_SIZE (1024 * 1024)

/* One direction with all that it touches, for as long as it runs. */
struct run {
        struct link *link;
        struct flow *flow;
        struct transport *source;
        struct transport *sink;
        struct pump_side *source_side;
        struct pump_side *sink_side;
        uint64_t *count;
        unsigned rounds;
};

struct pump *pump_new(bool had_stages) {
        struct pump *pump = malloc(sizeof(*pump));

        /* What is there already is told as soon as it is watched; but a stage may have heard of it, and not have read all. */
        if (pump)
                *pump = (struct pump){
                        .peer = { .may_read = had_stages, .may_write = true },
                        .guest = { .may_write = true },
                };
        return pump;
}

void flow_drop(struct flow *flow, struct relay *relay) {
        free(flow->kept);
        flow->kept = NULL;
        flow->pipe = pipe_give_back(&relay->pipes, flow->pipe);
}

struct pump *pump_free(struct pump *pump, struct relay *relay) {
        if (!pump)
                return NULL;
        flow_drop(&pump->to_guest, relay);
        flow_drop(&pump->to_peer, relay);
        free(pump);
        return NULL;
}

void pump_side_changed(struct pump_side *side, uint32_t events, bool is_socket) {
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                side->hung_up = true;
        if (events & EPOLLHUP)
                side->is_gone = true;
        if (events & EPOLLPRI)
                side->has_urgent = true;
        if (!is_socket || (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
                side->may_read = true;
        if (!is_socket || (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
                side->may_write = true;
}

int flow_keep(struct flow *flow, const uint8_t *bytes, size_t length) {
        uint8_t *kept = malloc(length > 0 ? length : 1);

        if (!kept)
                return -ENOMEM;
        memcpy(kept, bytes, length);
        flow->kept = kept;
        flow->kept_start = 0;
        flow->kept_end = (uint32_t)length;
        return 0;
}

int flow_flush(struct flow *flow, struct transport *sink, uint64_t *count) {
        while (flow->kept && flow->kept_start < flow->kept_end) {
                ssize_t n = sink->ops->write(sink, flow->kept + flow->kept_start, flow->kept_end - flow->kept_start);

                if (n < 0)
                        return (int)n;
                flow->kept_start += (uint32_t)n;
                *count += (uint64_t)n;
        }
        free(flow->kept);
        flow->kept = NULL;
        return 0;
}

/*
 * The guest's end wakes us whenever the guest has read, if we let it; so that is asked for only while we wait for it. A peer's of TCP does so
 * only when it was full: once asked for, that stays.
 */
static void wait_for_room(struct run *run) {
        struct watch *watch = run->sink == run->link->guest ? &run->link->guest_watch : &run->link->peer_watch;

        run->sink_side->may_write = false;
        (void)watch_change(watch, watch->events | EPOLLOUT);
}

/* @return 0 to go on with this direction, -EAGAIN, -ENOMEM */
static int sink_failed(struct run *run, int error) {
        /* The sink is as it was, and would never say that bytes are missing. */
        if (error == -ENOBUFS || error == -ENOMEM)
                return -ENOMEM;
        if (error == -EAGAIN) {
                wait_for_room(run);
                return -EAGAIN;
        }
        run->flow->sink_is_gone = true;
        run->flow->has_dropped = true;
        flow_drop(run->flow, run->link->relay);
        /* What has happened is for the other direction to find out: its source is our sink. */
        run->sink_side->may_read = true;
        return 0;
}

/* @return 0 to go on, -EAGAIN */
static int source_said(struct run *run, ssize_t n) {
        if (n == -EAGAIN) {
                run->source_side->may_read = false;
                return -EAGAIN;
        }
        run->flow->end = n == 0 ? FLOW_CLEAN : FLOW_BROKEN;
        run->flow->error = (int)n;
        return 0;
}

static int empty_pipe(struct run *run) {
        struct pipe *pipe = run->flow->pipe;

        while (pipe && pipe->held > 0) {
                ssize_t n = socket_io_unsplice(pipe->read_fd, run->sink->fd, pipe->held);

                if (n <= 0)
                        return n < 0 ? (int)n : -EAGAIN;
                pipe->held -= (size_t)n;
                *run->count += (uint64_t)n;
        }
        return 0;
}

/* @return 0 to go on, -EAGAIN, -ENOMEM */
static int flush(struct run *run) {
        int r = flow_flush(run->flow, run->sink, run->count);

        if (r == 0)
                r = empty_pipe(run);
        return r < 0 ? sink_failed(run, r) : 0;
}

/* @return 0 to go on, -EAGAIN */
static int move_by_pipe(struct run *run) {
        struct flow *flow = run->flow;
        ssize_t n;

        if (!flow->pipe)
                flow->pipe = pipe_take(&run->link->relay->pipes);
        if (!flow->pipe) {
                flow->is_long = false;
                return 0;
        }
        n = run->source->ops->splice(run->source, flow->pipe->write_fd, SPLICE_SIZE);
        flow->is_long = n >= SHORT_SPLICE;
        /* Only a read gets past an urgent byte. */
        if (n == TRANSPORT_SHORT || (n == -EAGAIN && run->source_side->has_urgent))
                return 0;
        if (n <= 0)
                return source_said(run, n);
        flow->pipe->held = (size_t)n;
        return flush(run);
}

static int write_scratch(struct run *run, size_t length) {
        const uint8_t *scratch = run->link->relay->scratch;
        size_t done = 0;
        ssize_t n = 0;

        if (run->flow->sink_is_gone) {
                run->flow->has_dropped = true;
                return 0;
        }
        while (done < length) {
                n = run->sink->ops->write(run->sink, scratch + done, length - done);
                if (n < 0)
                        break;
                done += (size_t)n;
                *run->count += (uint64_t)n;
        }
        if (n >= 0)
                return 0;
        if (n == -EAGAIN && flow_keep(run->flow, scratch + done, length - done) < 0)
                return -ENOMEM;
        return sink_failed(run, (int)n);
}

/* @return 0 to go on, -EAGAIN, -ENOMEM */
static int move_by_scratch(struct run *run) {
        ssize_t n = run->source->ops->read(run->source, run->link->relay->scratch, RELAY_SCRATCH_SIZE);

        if (n <= 0)
                return source_said(run, n);
        if (run->source->is_drained && !run->source_side->hung_up && !run->source_side->has_urgent)
                run->source_side->may_read = false;
        run->flow->is_long = n >= LONG_READ && run->source->ops->splice && run->sink->fd >= 0;
        return write_scratch(run, (size_t)n);
}

/* Tells the sink of a clean end. @return 0, -EAGAIN, -ENOMEM */
static int tell_end(struct run *run) {
        int r;

        if (run->flow->is_told || run->flow->sink_is_gone)
                return 0;
        r = run->sink->ops->finish(run->sink);
        if (r < 0)
                return sink_failed(run, r);
        run->flow->is_told = true;
        return 0;
}

/* @return 0: there is more to do; -EAGAIN: an event is waited for, or the direction has ended; -ENOMEM */
static int flow_run(struct run *run) {
        struct flow *flow = run->flow;
        int r;

        for (; run->rounds > 0; --run->rounds) {
                if (!run->sink_side->may_write && !flow->sink_is_gone)
                        return -EAGAIN;
                r = flush(run);
                if (r < 0)
                        return r;
                if (flow->end == FLOW_CLEAN)
                        r = tell_end(run);
                if (r == -ENOMEM)
                        return r;
                if (flow->end != FLOW_OPEN || !run->source_side->may_read)
                        return -EAGAIN;
                r = flow->is_long && !flow->sink_is_gone ? move_by_pipe(run) : move_by_scratch(run);
                if (r < 0 && r != -EAGAIN)
                        return r;
        }
        return 0;
}

static bool is_empty(const struct flow *flow) {
        return !flow->kept && (!flow->pipe || flow->pipe->held == 0);
}

/* Its source has ended, and its sink knows that or will never know anything. */
static bool is_done(const struct flow *flow) {
        return flow->is_told || (flow->sink_is_gone && flow->end != FLOW_OPEN);
}

/* The peer, or its TLS, has ended in another way than it should. What a transport has said of that already stays. */
static bool end_by_peer(struct link *link, int error) {
        (void)link_fail(link, NB__RELAY__CAUSE__CAUSE_RESET, "the connection to the peer broke: %s", strerror(-error));
        return true;
}

/*
 * The guest may have shut down both directions and not closed: all that it wrote has arrived, and what it reads from now on is the end that it asked for,
 * also where its peer has ended before and it was not told any more.
 */
static void settle_guest(struct link *link) {
        if (link->pump->to_peer.is_told && !link->pump->to_guest.is_told)
                pair_settle(link->guest);
}

/* The kernel resets the peer if it has sent what was never read; for what we have read and dropped we must ask for it. */
static bool end_by_guest(struct link *link) {
        if (link->pump->to_peer.end == FLOW_BROKEN || link->pump->to_guest.has_dropped)
                transport_reset(link->peer);
        settle_guest(link);
        (void)link_fail(link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE, "the guest closed its stream");
        return true;
}

/* @return whether the link has come to its end, which link_fail() has noted then */
static bool has_ended(struct link *link) {
        const struct pump *pump = link->pump;
        const struct flow *to_guest = &pump->to_guest, *to_peer = &pump->to_peer;

        if (to_guest->end == FLOW_BROKEN && is_empty(to_guest))
                return end_by_peer(link, to_guest->error);
        if (to_peer->end == FLOW_BROKEN)
                return end_by_guest(link);
        /* Nothing can be sent, and all that had come is read. */
        if (to_peer->sink_is_gone && is_empty(to_guest) && (to_guest->end != FLOW_OPEN || !pump->peer.may_read))
                return end_by_peer(link, -ECONNRESET);
        if (is_done(to_guest) && is_done(to_peer)) {
                settle_guest(link);
                return link_fail(link, NB__RELAY__CAUSE__CAUSE_CLOSED, "both sides have closed") < 0;
        }
        return pump->guest.is_gone && is_done(to_peer) && end_by_guest(link);
}

static void give_back_pipe(struct flow *flow, struct relay *relay) {
        if (flow->pipe && flow->pipe->held == 0)
                flow->pipe = pipe_give_back(&relay->pipes, flow->pipe);
}

enum pump_result pump_run(struct link *link) {
        struct pump *pump = link->pump;
        struct run to_peer = { link,         &pump->to_peer, link->guest,          link->peer,
                               &pump->guest, &pump->peer,    &link->bytes_to_peer, PUMP_ROUNDS };
        struct run to_guest = { link,         &pump->to_guest,       link->peer, link->guest, &pump->peer,
                                &pump->guest, &link->bytes_to_guest, PUMP_ROUNDS };
        bool could_write;
        int r_peer, r_guest;

        if (pump->guest.is_gone && !pump->to_guest.is_told)
                pump->to_guest.sink_is_gone = true;
        could_write = !pump->to_guest.sink_is_gone;
        r_peer = flow_run(&to_peer);
        r_guest = flow_run(&to_guest);
        give_back_pipe(&pump->to_peer, link->relay);
        give_back_pipe(&pump->to_guest, link->relay);
        if (r_peer == -ENOMEM || r_guest == -ENOMEM) {
                (void)link_fail(link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "the relay has no memory left");
                return PUMP_HAS_ENDED;
        }
        if (has_ended(link))
                return PUMP_HAS_ENDED;
        /* A write that failed makes the other direction look again, which has had its turn. */
        if (r_peer == 0 || r_guest == 0 || (could_write && pump->to_guest.sink_is_gone))
                return PUMP_HAS_MORE;
        return PUMP_WAITS;
}
