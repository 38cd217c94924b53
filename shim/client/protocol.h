/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_PROTOCOL_H
#define NB_SHIM_CLIENT_PROTOCOL_H

#include <stdbool.h>

#include "proto/frame.h"
#include "shim/client/context.h"

struct nb_lost;

/**
 * Makes a protocol out of what a Welcome says of it; its name has been checked.
 * @param fd  consumed on success
 * @return 0, or -ENOMEM.
 */
int nb_protocol_new(struct nb_context *context, const Nb__Protocol *description, int fd, struct nb_protocol **ret);

/**
 * Makes a protocol out of the channel that nb_protocol_export() gave in another process: asks the broker what it is.
 * @param fd          consumed on success
 * @param name        what it is to be called; NULL: as the policy calls it
 * @param ret_tenant  whose it is
 * @return as nb_protocol_import()
 */
int nb_protocol_new_described(struct nb_context *context, int fd, const char *name, struct nb_protocol **ret,
                              char ret_tenant[static NB_NAME_LENGTH_MAX + 1]);

/** @return what its objects share, borrowed. */
struct nb_context *nb_protocol_context(const struct nb_protocol *protocol);

/**
 * Has a control that was lost once more (shim/client/lost.h), or goes on with it.
 * @param lost  borrowed until what came of it is in it, or nb_protocol_forget()
 * @param wait  whether to wait; else nb_protocol_poll_fd() says when to come again
 * @return 0: `lost` has the channel, which is the caller's then, or the error; -EAGAIN; -ENOMEM; what the wait function failed with
 */
int nb_protocol_find(struct nb_protocol *protocol, struct nb_lost *lost, bool wait);

/** Is not to come back any more. Harmless where it does not wait. */
void nb_protocol_forget(struct nb_protocol *protocol, struct nb_lost *lost);

/** The descriptor to poll, and for what, until nb_protocol_find() goes further. @return borrowed */
int nb_protocol_poll_fd(const struct nb_protocol *protocol, short *ret_events);

/** @return how many brokers have come since the beginning and said so on the protocol's channel */
uint64_t nb_protocol_n_resumed(const struct nb_protocol *protocol);

/** Whether its channel has ended, so that nothing can be had of it any more. */
bool nb_protocol_has_ended(const struct nb_protocol *protocol);

#endif
