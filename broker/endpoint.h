/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel to a session's process: what session, protocol and control have in common.
 *
 * An endpoint owns its descriptor and is linked into its session. It receives one frame at a time, checks it, and
 * hands the request to its object. Whatever is not a well-formed request without descriptors is a violation, upon which the
 * whole session is dropped: a process that sends such a thing has been taken over, and its other channels with it. But for what came of a restricted protocol
 * (broker/restriction.h): that may be in the hands of another process, and only this delegation is dropped. This is the one place that decides who is
 * disconnected.
 *
 * No process may have more than one answer of ours unread on a channel, beside the accepted connections that it
 * gave credit for: what is unread is our memory, and the descriptors in it are charged to our user. The kernel tells (SIOCOUTQ); it is
 * asked at each request but the first.
 *
 * Closing our end takes nothing back from the peer's queue. So when we end an object whose descriptors are still unread, its channel
 * is shut down but kept, and the object stays charged to its tenant, until the peer has read them or closed its end:
 *
 *      serving ──peer closes, or nothing is unread──► freed
 *         └──ended by us with descriptors unread──► lingering ──read, or closed──► freed
 *
 * Otherwise a process could let itself be dropped again and again, and leave all tenants without descriptors in flight. The
 * descriptors of a Welcome are charged as the protocols that they lead to, so these linger with it.
 *
 * Where there is a keeper (broker/keep.h) it has a duplicate of each channel that is to come back after a restart. Closing ours ends nothing then, so such
 * a channel is shut down when its object ends; and when the broker ends, to be started again, it is not.
 */
#ifndef NB_BROKER_ENDPOINT_H
#define NB_BROKER_ENDPOINT_H

#include <stdbool.h>

#include "base/list.h"
#include "broker/keep.h"
#include "loop/watch.h"
#include "proto/frame.h"
#include "proto/wasi.h"

struct broker;
struct grant;
struct session;
struct endpoint;

struct endpoint_ops {
        const char *kind; /* "session", "protocol", "control" */
        /**
         * Handles one request.
         * @return 0; a positive value when the object has ended meanwhile; -EPROTO for a request that this object
         *         does not take, a violation; another -errno when the channel cannot be answered on
         */
        int (*request)(struct endpoint *endpoint, const Nb__Request *request);
        /** Stops all that the object does, and keeps what it is charged for. Called at most once, before `free`. */
        void (*stop)(struct endpoint *endpoint);
        /** Frees the object and all it holds. The endpoint's own descriptor is closed and unlinked already. */
        void (*free)(struct endpoint *endpoint);
        /** Judges the object by a new policy: ends what is no longer granted. May end itself. */
        void (*policy_changed)(struct endpoint *endpoint);
        /** @return by which grant of its tenant the object is there, borrowed; NULL: by none */
        const struct grant *(*grant)(const struct endpoint *endpoint);
        /** Says Resumed after a restart, as endpoint_resume(). @return 0, or -errno: the object is to be ended */
        int (*resume)(struct endpoint *endpoint);
        /** How it is left with the keeper, of `endpoint.kept`. */
        struct kept_ops kept;
};

struct endpoint {
        struct nb_list link; /* in its session */
        struct session *session;
        const struct endpoint_ops *ops;
        struct watch watch;
        int fd;
        uint64_t last_serial;    /* of the newest request, or what no request of an earlier broker's exceeds */
        bool may_have_unread;    /* we answered and do not know yet that it was received */
        bool may_have_unread_fd; /* and with a descriptor */
        bool has_pushed;         /* descriptors that were not asked for */
        bool came_with_welcome;  /* the peer's end of the channel travelled in the session's Welcome */
        bool is_shared;          /* the keeper, or the front, has or had a duplicate of the descriptor */
        bool owes_resumed;       /* an earlier broker's channel, on which ours was not said yet: something was unread */
        bool expects_earlier;    /* what an earlier broker was asked may be in the channel: nobody has asked us yet */
        struct kept kept;
        uint64_t delegation; /* of which restricted protocol it came; 0: of none */
};

/** Starts serving `fd`. @param fd consumed on success only @return 0 or -errno */
int endpoint_start(struct endpoint *endpoint, struct session *session, const struct endpoint_ops *ops, int fd);

/** Starts serving one end of a new channel. @param ret_fd the other end, owned by the caller @return 0 or -errno */
int endpoint_start_pair(struct endpoint *endpoint, struct session *session, const struct endpoint_ops *ops,
                        int *ret_fd);

/** Handles a frame that another process has read from the channel, and that is in the broker's memory for frames. The endpoint may be gone when this returns. */
void endpoint_take_frame(struct endpoint *endpoint, size_t length);

/** Leaves the object with the keeper, or says what has become of it. To be called before anybody is told of it. */
void endpoint_keep(struct endpoint *endpoint);

/**
 * Goes on serving a channel that an earlier broker has left. What that one was asked is passed over (PROTOCOL.md, Resumed).
 * @param item  whose first descriptor is the channel, which is taken on success only; the endpoint is its owner then
 * @return 0; -EPIPE: the peer has closed it meanwhile; another -errno
 */
int endpoint_restore(struct endpoint *endpoint, struct session *session, const struct endpoint_ops *ops,
                     struct kept_item *item);

/** Whether something of ours lies in the peer's queue; asks the kernel. */
bool endpoint_has_unread(const struct endpoint *endpoint);

/**
 * Says Resumed, once. It may lie there for as long as the peer has nothing to ask.
 * @return 0 or -errno
 */
int endpoint_send_resumed(struct endpoint *endpoint);

/**
 * Says Resumed where the peer may wait for an answer: if nothing is unread. What is unread is the answer itself, or a Resumed of an earlier broker; whoever
 * asks when it has read that asks with too low a number, and is told then.
 * @return 0, or -errno: the peer is gone, or does not read
 */
int endpoint_resume(struct endpoint *endpoint);

/**
 * Ends an object: closes its channel and frees it, at once or when it has lingered; the session too, if that was its last. It
 * serves nothing any more.
 */
void endpoint_end(struct endpoint *endpoint);

/** Ends an object, lingering or not, at once. */
void endpoint_end_now(struct endpoint *endpoint);

/**
 * Sends an answer. @param fd borrowed, -1 for none
 * @return 0; -ETOOMANYREFS when too many descriptors are in flight; another -errno: the peer is gone or does not read
 */
int endpoint_reply(struct endpoint *endpoint, const Nb__Reply *reply, int fd);

/** Sends what was not asked for, within credit: it may be unread when the next request comes. As endpoint_reply(). */
int endpoint_push(struct endpoint *endpoint, const Nb__Reply *reply, int fd);

/** Says that an answer was sent by other means than endpoint_reply(). */
void endpoint_note_answer(struct endpoint *endpoint, bool with_fd);

/** Answers with an errno; `reason` may be NULL and is sent only if the tenant's policy lets the guest know. */
int endpoint_refuse(struct endpoint *endpoint, enum nb_wasi_errno error, const char *reason);

/** @return how many of our frames the peer may not have read yet, at the most; asks the kernel. */
uint32_t endpoint_unread_max(const struct endpoint *endpoint);

/** Drops the endpoint's whole session for a violation of the protocol, or its delegation. */
void endpoint_violation(struct endpoint *endpoint, const char *what);

#endif
