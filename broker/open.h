/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How controls come into being: by Open on a protocol's channel, or with the session, as a preopened socket.
 */
#ifndef NB_BROKER_OPEN_H
#define NB_BROKER_OPEN_H

#include "broker/endpoint.h"
#include "policy/policy.h"

struct grant;
struct narrowings;
struct session;

/**
 * Handles Open: judges, binds, makes the control and answers on the protocol's channel.
 * @param narrowings  of the protocol; borrowed, NULL: none
 * @param rights_cap  what the protocol passes on
 * @return as endpoint_ops.request
 */
int open_control(struct endpoint *protocol, struct grant *grant, const struct narrowings *narrowings,
                 uint64_t rights_cap, const Nb__Open *open);

/**
 * Makes the control of a preopened socket, which has done nothing yet: its one address is bound, or connected to, when the session
 * asks for it.
 * @param preopen  borrowed; what is asked for by the control is decided by its protocol, as it is then
 * @param message  gets what Welcome says of it; texts are borrowed from `preopen` and `address`
 * @param address  gets the text of its address
 * @param ret_fd   the other end of its channel, owned by the caller
 * @return 0 or -errno
 */
int open_preopened(struct session *session, const struct policy_preopen *preopen, Nb__Preopen *message,
                   char address[static NB_SOCKET_ADDRESS_TEXT_MAX], int *ret_fd);

#endif
