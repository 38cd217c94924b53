/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper is told of a control, and a control made of that (proto/STATE.md).
 *
 * Of a control that is bound to nothing, and was not preopened, nothing is kept: whoever holds it opens another one, unseen by its guest.
 */
#ifndef NB_BROKER_CONTROL_STATE_H
#define NB_BROKER_CONTROL_STATE_H

#include <stdbool.h>

#include "broker/keep.h"

struct control;

/** Whether the control is to come back after a restart. */
bool control_state_is_kept(const struct control *control);

/** As of struct kept_ops; of a control's endpoint. */
void control_state_describe(const struct kept *kept, struct kept_sink *sink);

/**
 * Fills in what a control is by what was kept of it: addresses, rights, what it has done.
 * @param control  without socket and server, which are the caller's to take from the item
 * @return 0; -EBADMSG for what nobody has put
 */
int control_state_read(const Nb__State__Control *state, struct control *control);

#endif
