/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A protocol channel: a factory of controls, for whoever holds it.
 */
#ifndef NB_BROKER_PROTOCOL_H
#define NB_BROKER_PROTOCOL_H

struct policy_protocol;
struct session;

/**
 * Makes a protocol of an open session.
 * @param ret_fd  the other end of its channel, owned by the caller
 * @return 0 or -errno
 */
int protocol_new(struct session *session, const struct policy_protocol *policy, int *ret_fd);

#endif
