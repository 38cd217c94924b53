/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Welcome: all that a session is given at its start, in one message.
 *
 * A channel for each protocol and a control for each preopened socket, in the order of the policy. The parser sees to it that they fit one
 * message (POLICY_PROTOCOLS_MAX).
 */
#ifndef NB_BROKER_WELCOME_H
#define NB_BROKER_WELCOME_H

struct session;

/**
 * Makes the channels of a session that has its tenant, and sends their other ends.
 * @return 0 or -errno; then what was made is the session's, and ends with it
 */
int welcome_send(struct session *session);

#endif
