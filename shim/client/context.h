/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all objects of one session share: how to wait, why the policy last said no, and the memory to receive into.
 *
 * A frame can be 64 KiB long and its decoded form longer still. That is too much for each of thousands of controls,
 * and for the small stacks of hosts that run guests as fibers, so a session has it once, and its objects take
 * turns. It is one allocation whose untouched pages cost no memory: the usual frame touches two or three of
 * them. Nothing stays in it while a call waits, so a wait function may run other calls on other objects of
 * the session meanwhile.
 */
#ifndef NB_SHIM_CLIENT_CONTEXT_H
#define NB_SHIM_CLIENT_CONTEXT_H

#include <stdint.h>

#include "base/channel.h"
#include "netbroker/client.h"
#include "proto/frame.h"

/** How many of the host's descriptors no guest gets; of a soft limit of less than four times as many, a quarter. */
#define NB_FD_RESERVE 32

struct nb_context {
        unsigned n_references;
        nb_wait_function wait;
        void *wait_data; /* borrowed */
        int fd_limit;    /* what is received with a number at or above it, is refused */
        char denial[NB_REASON_LENGTH_MAX + 1];
        uint64_t n_denials; /* how often one was kept: whoever saw it grow over a call was told `denial` by that call */
        uint8_t frame[NB_CHANNEL_MESSAGE_MAX];
        struct nb_frame_arena arena;
};

/**
 * What of the host's descriptors its guests may take. The kernel gives out the lowest free number, so one at or above this
 * means that all but the reserve are in use.
 * @return RLIMIT_NOFILE's soft limit, less the reserve
 */
int nb_fd_limit(void);

/** @param wait  NULL: ppoll(). @return one reference owned by the caller, or NULL without memory. */
struct nb_context *nb_context_new(nb_wait_function wait, void *wait_data);

/** @return the context of a session, borrowed. */
const struct nb_context *nb_session_context(const struct nb_session *session);

/** @return `context`. */
struct nb_context *nb_context_ref(struct nb_context *context);

/** Takes NULL. @return NULL. */
struct nb_context *nb_context_unref(struct nb_context *context);

/** Keeps a reason of at most NB_REASON_LENGTH_MAX bytes. */
void nb_context_set_denial(struct nb_context *context, const char *reason);

/**
 * Waits for `events` on `fd` for as long as it takes.
 * @return 0, also when woken for nothing; or what the wait function failed with
 */
int nb_context_wait(const struct nb_context *context, int fd, short events);

/** Lets a time pass. @return as nb_context_wait(). */
int nb_context_pause(const struct nb_context *context, int64_t time_ns);

#endif
