/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper is told of a session, and a session made of that (proto/STATE.md).
 *
 * Who is at the other end was found when the session was accepted, and is not asked again: the process may have passed its channel on, or be gone. What was kept of
 * that is believed (STATE.md, Trust), and judged by the policy of now.
 */
#ifndef NB_BROKER_SESSION_STATE_H
#define NB_BROKER_SESSION_STATE_H

#include "broker/identity.h"
#include "broker/keep.h"

/** As of struct kept_ops; of a session's own endpoint. */
void session_state_describe(const struct kept *kept, struct kept_sink *sink);

/**
 * Makes an identity of what was kept.
 * @param ret  to be given to identity_deinit()
 * @return 0, or -EBADMSG for what nobody has put, or -ENOMEM
 */
int session_state_identity(const Nb__State__Session *state, struct identity *ret);

#endif
