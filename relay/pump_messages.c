/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump for messages: whole ones, never merged or split. A guest that does not read in time loses some, as with UDP; a peer's socket that is full
 * stops the guest, which is a kindness of one message. Errors of sending and receiving are those of one message: the kernel's notice that nobody
 * listened (ECONNREFUSED) cannot be passed on through a pair, so it is dropped.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "relay/link.h"
#include "relay/pair.h"
#include "relay/pump.h"
#include "relay/relay.h"

static bool is_end(int error) {
        return error == -EPIPE || error == -ECONNRESET || error == -ENOTCONN;
}

/* @return what there is to write, or a negative number after which there may be more, or -EAGAIN */
static ssize_t read_message(struct link *link, struct transport *source) {
        ssize_t n = source->ops->read(source, link->relay->scratch, RELAY_SCRATCH_SIZE);

        /* Above the largest datagram that UDP has. */
        return n == RELAY_SCRATCH_SIZE ? TRANSPORT_TOO_LONG : n;
}

/* @return whether there may be more */
static bool move_to_guest(struct link *link) {
        struct pump *pump = link->pump;
        ssize_t n = read_message(link, link->peer), r;

        if (n == -EAGAIN) {
                pump->peer.may_read = false;
                return false;
        }
        if (n < 0 && n != TRANSPORT_EMPTY)
                return true;
        n = n < 0 ? 0 : n;
        r = link->guest->ops->write(link->guest, link->relay->scratch, (size_t)n);
        if (r >= 0)
                link->bytes_to_guest += (uint64_t)n;
        else if (is_end((int)r))
                pump->to_guest.sink_is_gone = true;
        return !pump->to_guest.sink_is_gone;
}

/* What cannot be sent now is kept. @return whether there may be more */
static bool send_to_peer(struct link *link, size_t length) {
        struct pump *pump = link->pump;
        ssize_t r = link->peer->ops->write(link->peer, link->relay->scratch, length);

        if (r >= 0)
                link->bytes_to_peer += length;
        if (r != -EAGAIN || flow_keep(&pump->to_peer, link->relay->scratch, length) < 0)
                return true;
        pump->peer.may_write = false;
        (void)watch_change(&link->peer_watch, link->peer_watch.events | EPOLLOUT);
        return false;
}

/* @return whether the peer has room for another */
static bool send_kept(struct link *link) {
        struct flow *flow = &link->pump->to_peer;
        ssize_t r;

        if (!flow->kept)
                return true;
        r = link->peer->ops->write(link->peer, flow->kept, flow->kept_end);
        if (r == -EAGAIN) {
                link->pump->peer.may_write = false;
                return false;
        }
        if (r >= 0)
                link->bytes_to_peer += flow->kept_end;
        flow_drop(flow, link->relay);
        (void)watch_change(&link->peer_watch, link->peer_watch.events & ~(uint32_t)EPOLLOUT);
        return true;
}

/* @return whether there may be more */
static bool move_to_peer(struct link *link) {
        struct pump *pump = link->pump;
        ssize_t n;

        if (!pump->peer.may_write || !send_kept(link))
                return false;
        n = read_message(link, link->guest);
        if (n == -EAGAIN) {
                pump->guest.may_read = false;
                return false;
        }
        if (n == 0 || is_end((int)n)) {
                pump->to_peer.end = FLOW_CLEAN;
                return false;
        }
        if (n < 0 && n != TRANSPORT_EMPTY)
                return true;
        return send_to_peer(link, n < 0 ? 0 : (size_t)n);
}

/* @return whether there may be more */
static bool move_all(struct link *link, bool (*move)(struct link *link)) {
        unsigned n = PUMP_MESSAGES;

        while (n > 0 && move(link))
                n--;
        return n == 0;
}

enum pump_result pump_run_messages(struct link *link) {
        struct pump *pump = link->pump;
        bool has_more = false;

        if (pump->guest.may_read && pump->to_peer.end == FLOW_OPEN)
                has_more = move_all(link, move_to_peer);
        if (pump->peer.may_read && !pump->to_guest.sink_is_gone)
                has_more = move_all(link, move_to_guest) || has_more;
        if ((pump->guest.is_gone || pump->to_guest.sink_is_gone) && pump->to_peer.end != FLOW_OPEN) {
                /* If it has shut down both directions and not closed, it reads the end that it asked for. */
                if (!pump->to_peer.kept)
                        pair_settle(link->guest);
                (void)link_fail(link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE, "the guest closed its stream");
                return PUMP_HAS_ENDED;
        }
        return has_more ? PUMP_HAS_MORE : PUMP_WAITS;
}
