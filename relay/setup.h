/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first order: how much this relay may have, after which the walls are closed (relay/confine.h) and Started is reported.
 */
#ifndef NB_RELAY_SETUP_H
#define NB_RELAY_SETUP_H

#include "proto/relay_frame.h"

struct relay;

/**
 * @param probe_fd  a TCP socket that is not connected, to ask the kernel whether it has TLS; borrowed; -1: none
 * @return 0; -EPROTONOSUPPORT for another version; -errno where the walls cannot be closed, which is logged
 */
int setup_carry_out(struct relay *relay, const Nb__Relay__Setup *setup, int probe_fd);

#endif
