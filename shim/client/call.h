/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object's end of its channel, and the one exchange of a request for its reply that all of them make.
 *
 * At most one request is outstanding on a channel. It is described again by each call that continues it, so
 * that what was interrupted (-EINTR), or not waited for, or asked for again by a broker that came back
 * (Resumed), is sent from the same description.
 *
 * `serial` tells a broker what it was asked from what an earlier one was, which it passes over: Resumed says from where requests count on, also the one
 * that is repeated. So each broker answers what was asked behind its Resumed, once, and nothing comes behind Resumed before that.
 *
 * A control whose channel has ended with its broker may get another one in its place (nb_endpoint_replace()).
 *
 * A broken endpoint keeps its descriptor, shut down in both directions: the broker sees its end, and who polls the
 * descriptor is woken to learn the error, which a closed number would not do.
 */
#ifndef NB_SHIM_CLIENT_CALL_H
#define NB_SHIM_CLIENT_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/channel.h"
#include "proto/frame.h"
#include "shim/client/context.h"

struct nb_endpoint {
        struct nb_context *context; /* one reference */
        int fd;                     /* owned */
        int error;                  /* 0, or the negative errno that all further calls give */
        uint64_t serial;            /* of the last new request */
        uint64_t n_resumed;         /* brokers that have come and said so */
        unsigned n_sent;            /* how often the request was sent without an answer since */
        bool outstanding;           /* a request waits for its reply */
        bool unsent;                /* the request must be sent, for the first time or again */
        bool is_repeated;           /* again, behind Resumed */
};

/** A decoded reply and the descriptors that came with it. */
struct nb_answer {
        const Nb__Reply *reply;    /* borrowed from the context until anything else is received */
        struct nb_channel_fds fds; /* owned by who receives the answer */
};

/**
 * How many Resumed a channel may have one after the other: one for each time that a broker was started while nobody read. That is more than
 * the kernel has room for by its defaults (278 frames in net.core.wmem_default of 212,992 bytes), and the broker leaves out what does not fit.
 */
#define NB_RESUMED_MAX 512

/** Takes a reference of `context` and consumes `fd`. */
void nb_endpoint_init(struct nb_endpoint *endpoint, struct nb_context *context, int fd);

/** Closes the channel, and gives the reference of the context back. */
void nb_endpoint_deinit(struct nb_endpoint *endpoint);

/** Breaks the endpoint: `error`, negative, is what it gives from now on. @return `error`. */
int nb_endpoint_fail(struct nb_endpoint *endpoint, int error);

/** Says that the next nb_exchange() starts a new request. */
void nb_endpoint_begin(struct nb_endpoint *endpoint);

/** Notes a Resumed: requests count on from there, and the one that is outstanding must be sent again. */
void nb_endpoint_repeat(struct nb_endpoint *endpoint, const Nb__Resumed *resumed);

/**
 * Puts another channel in the place of one that has ended: requests count from 1 again, and the one that is outstanding, if there is one, is to be sent on it.
 * @param fd  consumed; the one before is closed
 */
void nb_endpoint_replace(struct nb_endpoint *endpoint, int fd);

/**
 * Sends one frame without waiting. A peer that is gone is no error here: what it said before is still to be read, and
 * then the end of the channel.
 * @return 0; -EAGAIN; another -errno.
 */
int nb_endpoint_send(struct nb_endpoint *endpoint, Nb__Request *request);

/** Sends the request if it is still to be sent, without waiting. @return as nb_endpoint_send(); 0 also when there is nothing to be sent */
int nb_endpoint_flush(struct nb_endpoint *endpoint, Nb__Request *request);

/**
 * Looks at the next frame without taking it.
 * @param ret  its kind, as far as its first byte tells
 * @return 0; -EAGAIN: there is none; -EPIPE: the channel has ended; another -errno
 */
int nb_endpoint_peek(const struct nb_endpoint *endpoint, Nb__Reply__BodyCase *ret);

/**
 * Receives one frame without waiting, whatever it says; but for what follows Resumed before anything was asked again: that is -EPROTO.
 * @param ret  filled in on success, its descriptors owned by the caller; after -EMFILE too, without them
 * @return 0; -EAGAIN; -EMFILE: the descriptors are lost; -EPIPE, -EPROTO: the endpoint is broken; another -errno
 */
int nb_endpoint_receive(struct nb_endpoint *endpoint, struct nb_answer *ret);

/**
 * Sends `request` if that is due, and receives frames until one is not Resumed; behind the last Resumed the request is sent again.
 * @param wait  whether to wait; else -EAGAIN says that there is nothing yet
 * @param ret   filled in on success, its descriptors owned by the caller; nb_endpoint_settle() closes an answer
 * @return 0; -EAGAIN; -EINTR, or what else the wait function failed with: the same call continues; -EMFILE:
 *         the frame is lost, and with it what it gave; -EPIPE, -EPROTO, also for Resumed without an end: the endpoint is broken; another -errno.
 */
int nb_exchange(struct nb_endpoint *endpoint, Nb__Request *request, bool wait, struct nb_answer *ret);

/**
 * Judges an answer by its kind. The request counts as answered, whatever comes of it.
 * @param expected  the kind that means success
 * @param n_fds     how many descriptors come with that kind
 * @return 0 when it is that kind, its descriptors left in `answer`. Otherwise the descriptors are closed: the
 *         refusal's negative errno (its reason is kept when it is -EACCES), or -EPROTO and the endpoint is broken.
 */
int nb_endpoint_settle(struct nb_endpoint *endpoint, struct nb_answer *answer, Nb__Reply__BodyCase expected,
                       size_t n_fds);

/** Whether a text from outside may travel as one of at most `max` bytes: not empty, UTF-8, no NUL. */
bool nb_text_is_valid(const char *text, size_t length, size_t max);

#endif
