/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_CONTROL_H
#define NB_SHIM_CLIENT_CONTROL_H

#include <stdint.h>

#include "proto/frame.h"
#include "shim/client/context.h"

/**
 * Connections that the broker may push before the guest accepts the first. A pushed connection is a descriptor in
 * flight, which the kernel charges to the broker's user; 16 hide the round trip without piling up.
 */
#define NB_ACCEPT_WINDOW 16

/**
 * Makes a control out of what the broker opened; the address has been checked.
 * @param fd  consumed on success
 * @return 0, or -ENOMEM.
 */
int nb_control_new(struct nb_context *context, const Nb__Opened *opened, int fd, uint32_t flags,
                   struct nb_control **ret);

#endif
