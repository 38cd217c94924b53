/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which order is permitted when: a table of each with its place (before or after Setup) and the descriptors that come with it; what it asks
 * of the object that it names is said in proto/RELAY.md, and checked where it is carried out.
 *
 * The broker is trusted to be right. An order that it would not give means that one of the two is not what it should be, and ends this process. What can
 * cross with a report of ours, as an order for a link that has just ended, is ignored.
 */
#ifndef NB_RELAY_ORDERS_H
#define NB_RELAY_ORDERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"

struct relay;

/**
 * Carries one order out, or ends the process.
 * @param frame  as received
 * @param fds    those that it came with; what is left in it afterwards is the caller's to close
 */
void orders_carry_out(struct relay *relay, const uint8_t *frame, size_t length, struct nb_channel_fds *fds);

#endif
