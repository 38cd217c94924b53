/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/endpoint.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <seccomp.h>
#include <uv.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/session.h"
#include "broker/tenant.h"
#include "broker/calls.h"

/*
 * SIOCOUTQ on an AF_UNIX socket counts the memory of what the peer has not read, with the kernel's own bookkeeping for each
 * message (struct sk_buff and skb_shared_info), which alone is more than this.
 */
#define UNREAD_FRAME_SIZE_MIN 512u

uint32_t endpoint_unread_max(const struct endpoint *endpoint) {
        int unread = 0;

        if (ioctl(endpoint->fd, SIOCOUTQ, &unread) < 0 || unread < 0)
                return UINT32_MAX;
        return (uint32_t)unread / UNREAD_FRAME_SIZE_MIN;
}

/*
 * Pushed connections may rightly be unread while an answer has been read, and the kernel does not tell them apart. A frame
 * takes less than four times the least, so this is more than a full window.
 */
#define UNREAD_PUSHED_MAX (4u * (NB_CREDIT_WINDOW_MAX + 1))

/* Whether an earlier answer is still in the peer's queue. */
static bool has_unread_answer(struct endpoint *endpoint) {
        uint32_t unread;

        if (!endpoint->may_have_unread)
                return false;
        unread = endpoint_unread_max(endpoint);
        if (unread <= (endpoint->has_pushed ? UNREAD_PUSHED_MAX : 0))
                endpoint->may_have_unread = endpoint->may_have_unread_fd = false;
        return endpoint->may_have_unread;
}

bool endpoint_has_unread(const struct endpoint *endpoint) {
        return endpoint_unread_max(endpoint) > 0;
}

enum serial {
        SERIAL_NEW,
        SERIAL_EARLIER, /* an earlier broker was asked, and may have answered; who still waits asks again behind our Resumed */
        SERIAL_WRONG,
};

static enum serial take_serial(struct endpoint *endpoint, const Nb__Request *request) {
        if (request->body_case == NB__REQUEST__BODY_CREDIT)
                return request->serial == 0 ? SERIAL_NEW : SERIAL_WRONG;
        if (request->serial <= endpoint->last_serial)
                return request->serial > 0 && endpoint->expects_earlier ? SERIAL_EARLIER : SERIAL_WRONG;
        endpoint->last_serial = request->serial;
        endpoint->expects_earlier = false;
        return SERIAL_NEW;
}

/* @param r  what came of a request */
static void conclude(struct endpoint *endpoint, int r) {
        if (r >= 0)
                return;
        if (r == -EPROTO)
                endpoint_violation(endpoint, "a request that does not belong on this channel now");
        else if (r == -EPIPE || r == -ECONNRESET)
                endpoint_end(endpoint);
        else
                endpoint_violation(endpoint, "answers are not read");
}

static void handle_frame(struct endpoint *endpoint, size_t length) {
        struct broker *broker = endpoint->session->broker;
        Nb__Request *request;

        if (nb_request_decode(&broker->arena, broker->frame, length, &request) < 0) {
                endpoint_violation(endpoint, "a frame that is not a request");
                return;
        }
        switch (take_serial(endpoint, request)) {
        case SERIAL_EARLIER:
                conclude(endpoint, endpoint->owes_resumed ? endpoint->ops->resume(endpoint) : 0);
                return;
        case SERIAL_WRONG:
                endpoint_violation(endpoint, "a request out of order");
                return;
        case SERIAL_NEW:
                break;
        }
        if (has_unread_answer(endpoint)) {
                endpoint_violation(endpoint, "a request before the last answer was read");
                return;
        }
        if (endpoint->session->tenant)
                endpoint->session->tenant->metrics.requests++;
        conclude(endpoint, endpoint->ops->request(endpoint, request));
}

void endpoint_take_frame(struct endpoint *endpoint, size_t length) {
        handle_frame(endpoint, length);
}

static void ready(struct watch *watch, uint32_t events) {
        struct endpoint *endpoint = nb_container_of(watch, struct endpoint, watch);
        struct broker *broker = endpoint->session->broker;
        int n;

        (void)events;
        n = nb_channel_receive_bytes(endpoint->fd, broker->frame);
        if (n == -EAGAIN)
                return;
        if (n == 0 || n == -ECONNRESET) {
                endpoint_end(endpoint);
                return;
        }
        if (n < 0) {
                endpoint_violation(endpoint, "a message that is too long or carries what it must not");
                return;
        }
        handle_frame(endpoint, (size_t)n);
}

/* Half-open sessions have no tenant whose turn it could be. */
static struct watch_set *watches_of(struct session *session) {
        return session->tenant ? &session->tenant->throttle.channels : &session->broker->watches;
}

int endpoint_start(struct endpoint *endpoint, struct session *session, const struct endpoint_ops *ops, int fd) {
        int r;

        endpoint->session = session;
        endpoint->ops = ops;
        endpoint->may_have_unread = false;
        endpoint->may_have_unread_fd = false;
        endpoint->has_pushed = false;
        endpoint->came_with_welcome = false;
        endpoint->is_shared = false;
        endpoint->owes_resumed = false;
        endpoint->expects_earlier = false;
        endpoint->kept = (struct kept){ .id = 0 };
        endpoint->delegation = 0;
        endpoint->last_serial = 0;
        endpoint->fd = -1;
        nb_channel_refuse_fds(fd);
        nb_list_init(&endpoint->link);
        r = watch_start(&endpoint->watch, watches_of(session), fd, EPOLLIN, ready);
        if (r < 0)
                return r;
        endpoint->fd = fd;
        nb_list_append(&session->endpoints, &endpoint->link);
        return 0;
}

int endpoint_start_pair(struct endpoint *endpoint, struct session *session, const struct endpoint_ops *ops,
                        int *ret_fd) {
        NB_CLEANUP_FD int ours = -1, theirs = -1;
        int pair[2], r;

        r = nb_channel_pair(pair);
        if (r < 0)
                return r;
        ours = pair[0];
        theirs = pair[1];
        r = endpoint_start(endpoint, session, ops, ours);
        if (r < 0)
                return r;
        (void)nb_steal_fd(&ours);
        *ret_fd = nb_steal_fd(&theirs);
        return 0;
}

/* ---- left with the keeper ---- */

void endpoint_keep(struct endpoint *endpoint) {
        const struct session *session = endpoint->session;

        /* One that was inherited ends with who started the broker for it. */
        if (!session->broker->keep || session->identity.inherited)
                return;
        endpoint->is_shared = true;
        keep_put(session->broker->keep, &endpoint->kept, &endpoint->ops->kept);
}

/* Whether the other end is closed; what it had asked before is of no use to anybody. */
static bool is_over(int fd) {
        struct pollfd pollfd = { .fd = fd };

        return poll(&pollfd, 1, 0) > 0;
}

int endpoint_restore(struct endpoint *endpoint, struct session *session, const struct endpoint_ops *ops,
                     struct kept_item *item) {
        int r = item->n_fds > 0 ? nb_channel_check(item->fds[0]) : -EBADF;

        if (r < 0)
                return r;
        if (is_over(item->fds[0]))
                return -EPIPE;
        r = endpoint_start(endpoint, session, ops, item->fds[0]);
        if (r < 0)
                return r;
        item->fds[0] = -1;
        /* Above what any broker before has said, and what was counted from there since: nobody asks once a nanosecond. */
        endpoint->last_serial = uv_hrtime();
        endpoint->owes_resumed = endpoint->expects_earlier = true;
        endpoint->may_have_unread = endpoint->may_have_unread_fd = true;
        endpoint->is_shared = true;
        keep_adopt(session->broker->keep, &endpoint->kept, &ops->kept, item->id);
        return 0;
}

int endpoint_send_resumed(struct endpoint *endpoint) {
        Nb__Resumed resumed = NB__RESUMED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;
        int r;

        resumed.serial = endpoint->last_serial;
        reply.body_case = NB__REPLY__BODY_RESUMED;
        reply.resumed = &resumed;
        r = nb_reply_send(endpoint->fd, &reply, NULL, 0);
        if (r == 0)
                endpoint->owes_resumed = false;
        return r;
}

int endpoint_resume(struct endpoint *endpoint) {
        return endpoint_has_unread(endpoint) ? 0 : endpoint_send_resumed(endpoint);
}

/* ---- the end ---- */

/*
 * Closes the channel. Whoever started the broker may have kept a duplicate of the session's descriptor, the keeper has one of what is kept, and the front
 * one of what it has just handed over: then closing ours ends neither the watch nor, for the peer, the channel.
 */
static void close_channel(struct endpoint *endpoint) {
        const struct session *session = endpoint->session;

        if (endpoint->is_shared || session->identity.inherited)
                watch_end(&endpoint->watch);
        watch_end_before_close(&endpoint->watch);
        if (endpoint->is_shared && !keep_is_detached(session->broker->keep))
                (void)shutdown(endpoint->fd, SHUT_RDWR);
        endpoint->fd = nb_fd_close(endpoint->fd);
}

/* A session is kept until its last channel has ended: they came of it. */
static void forget(struct endpoint *endpoint) {
        if (endpoint != &endpoint->session->endpoint)
                keep_forget(&endpoint->kept);
}

static bool has_unread_fd(const struct endpoint *endpoint) {
        return (endpoint->may_have_unread_fd || endpoint->has_pushed) && endpoint_unread_max(endpoint) > 0;
}

static bool leaves_unread_fd(const struct endpoint *endpoint) {
        const struct endpoint *welcomed = &endpoint->session->endpoint;

        if (endpoint->came_with_welcome && welcomed->fd >= 0 && has_unread_fd(welcomed))
                return true;
        return has_unread_fd(endpoint);
}

/* The Welcome is read, or gone with its channel: what lingered because of it need not any more. */
static void end_what_came_with_welcome(struct session *session) {
        bool dropping = session->dropping;

        /* Keeps the session while its list is walked. */
        session->dropping = true;
        nb_list_foreach_safe(link, &session->lingering) {
                struct endpoint *endpoint = nb_container_of(link, struct endpoint, link);

                if (endpoint->came_with_welcome && !leaves_unread_fd(endpoint))
                        endpoint_end_now(endpoint);
        }
        session->dropping = dropping;
}

void endpoint_end_now(struct endpoint *endpoint) {
        struct session *session = endpoint->session;
        bool is_session = endpoint == &session->endpoint;

        forget(endpoint);
        close_channel(endpoint);
        nb_list_remove(&endpoint->link);
        endpoint->ops->free(endpoint);
        if (is_session) {
                session_channel_closed(session);
                end_what_came_with_welcome(session);
        }
        session_free_if_unused(session);
}

/* The peer has read something, or is gone. */
static void lingering_changed(struct watch *watch, uint32_t events) {
        struct endpoint *endpoint = nb_container_of(watch, struct endpoint, watch);

        (void)events;
        if (!leaves_unread_fd(endpoint))
                endpoint_end_now(endpoint);
}

/*
 * The kernel reports room to write whenever the peer's queue gets shorter, also by the peer's end; edge-triggered, for the hang-up
 * that the shutdown causes lasts.
 */
static int start_lingering(struct endpoint *endpoint) {
        if (shutdown(endpoint->fd, SHUT_RDWR) < 0)
                return -errno;
        endpoint->watch.function = lingering_changed;
        return watch_change(&endpoint->watch, EPOLLOUT | EPOLLET);
}

void endpoint_end(struct endpoint *endpoint) {
        struct session *session = endpoint->session;

        if (session->broker->stopping || !leaves_unread_fd(endpoint) || start_lingering(endpoint) < 0) {
                endpoint_end_now(endpoint);
                return;
        }
        forget(endpoint);
        nb_list_remove(&endpoint->link);
        nb_list_append(&session->lingering, &endpoint->link);
        endpoint->ops->stop(endpoint);
}

void endpoint_note_answer(struct endpoint *endpoint, bool with_fd) {
        endpoint->may_have_unread = true;
        if (with_fd)
                endpoint->may_have_unread_fd = true;
}

int endpoint_reply(struct endpoint *endpoint, const Nb__Reply *reply, int fd) {
        int r = nb_reply_send(endpoint->fd, reply, &fd, fd >= 0 ? 1 : 0);

        if (r == 0)
                endpoint_note_answer(endpoint, fd >= 0);
        return r;
}

int endpoint_push(struct endpoint *endpoint, const Nb__Reply *reply, int fd) {
        endpoint->has_pushed = true;
        return nb_reply_send(endpoint->fd, reply, &fd, 1);
}

int endpoint_refuse(struct endpoint *endpoint, enum nb_wasi_errno error, const char *reason) {
        const struct tenant *tenant = endpoint->session->tenant;
        bool explain = reason && tenant && tenant->policy && tenant->policy->explain_denials;
        Nb__Refused refused = NB__REFUSED__INIT;
        Nb__Reply reply = NB__REPLY__INIT;

        assert(error != NB_WASI_SUCCESS);
        refused.error = error;
        if (explain)
                refused.reason = (char *)reason;
        reply.body_case = NB__REPLY__BODY_REFUSED;
        reply.refused = &refused;
        return endpoint_reply(endpoint, &reply, -1);
}

void endpoint_violation(struct endpoint *endpoint, const char *what) {
        if (endpoint->delegation > 0)
                session_drop_delegation(endpoint->session, endpoint->delegation, endpoint->ops->kind, what);
        else
                session_drop(endpoint->session, endpoint->ops->kind, what);
}

static const struct confine_call calls[] = {
        CONFINE_CALL(recvmsg, "requests, and what comes with descriptors"),
        CONFINE_CALL(recvfrom, "answers of the helper, of the keeper, of operators"),
        CONFINE_CALL(sendmsg, "answers with descriptors"),
        CONFINE_CALL(sendto, "answers"),
        CONFINE_CALL(shutdown, "the end of a channel, whoever has duplicates of it"),
        CONFINE_CALL_WHERE(ioctl, 1, SIOCOUTQ, "what was read of them"),
};
const struct confine_list endpoint_calls = CONFINE_LIST(calls);
