/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this relay has, for a broker that comes after the one that has ordered it (proto/RELAY.md).
 *
 * The channel outlives a broker, so orders and reports of the one before may lie in it. Orders are in front of Inventory and are carried out; what was reported and not
 * answered is asked again when Stock is sent, in numbers that begin anew.
 */
#ifndef NB_RELAY_INVENTORY_H
#define NB_RELAY_INVENTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/relay_frame.h"

struct inventory;
struct relay;

/** Says of one link or server that it is there. */
void inventory_add(struct inventory *inventory, uint64_t number, bool is_server, bool is_ready);

/** Carries the order out. @return 0; -EPROTONOSUPPORT for another version */
int inventory_carry_out(struct relay *relay, const Nb__Relay__Inventory *order);

#endif
