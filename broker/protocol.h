/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A protocol channel: a factory of controls, for whoever holds it.
 */
#ifndef NB_BROKER_PROTOCOL_H
#define NB_BROKER_PROTOCOL_H

#include <stdint.h>

struct narrowings;
struct policy_protocol;
struct session;
struct kept_item;

/**
 * Makes a protocol of an open session.
 * @param ret_fd  the other end of its channel, owned by the caller
 * @return 0 or -errno
 */
int protocol_new(struct session *session, const struct policy_protocol *policy, int *ret_fd);

/**
 * Makes a protocol of what an earlier broker has left, without judging it.
 * @param item  of kind Protocol; what is taken of it is taken on success only
 * @return 0; -EPIPE: nobody holds it any more; another -errno
 */
int protocol_restore(struct session *session, struct kept_item *item);

/** @return what narrows the protocol of a delegation, or the session where that is 0; borrowed; NULL: nothing, or the protocol is closed */
const struct narrowings *protocol_narrowings(const struct session *session, uint64_t delegation);

#endif
