/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_PROTOCOL_H
#define NB_SHIM_CLIENT_PROTOCOL_H

#include "proto/frame.h"
#include "shim/client/context.h"

/**
 * Makes a protocol out of what a Welcome says of it; its name has been checked.
 * @param fd  consumed on success
 * @return 0, or -ENOMEM.
 */
int nb_protocol_new(struct nb_context *context, const Nb__Protocol *description, int fd, struct nb_protocol **ret);

#endif
