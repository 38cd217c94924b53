/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay that was taken over has, compared with what is known of it (proto/RELAY.md, Inventory).
 *
 * Objects that came back stand in the relay's table, awaited. The relay tells what it has, in one report or in several: what is awaited and told is there;
 * what is told and unknown, or was not ready, is ended at the relay; and who is awaited and was not told has lost it. Reports that were on their way to the broker
 * before say nothing that Stock does not say, so they are passed over, and so is a Stock that the broker before has asked for and did not live to read.
 */
#ifndef NB_BROKER_RELAY_STOCK_H
#define NB_BROKER_RELAY_STOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/relay_object.h"
#include "proto/relay_frame.h"

/** How the comparison went, for the log. */
struct relay_stock {
        uint64_t number; /* of the Inventory that was sent; what answers another was for a broker before */
        bool is_taken;   /* all was told */
        bool has_begun;
        uint32_t n_found;
        uint32_t n_ended;
        uint32_t n_lost;
};

/** Where what is not wanted is ended. */
typedef void (*relay_stock_end_function)(void *data, uint64_t number);

/**
 * Takes one Stock, or passes it over if it is another broker's.
 * @param table     of the relay's objects
 * @param last      the highest number that was ever given out
 * @param function  called for what is to be ended at the relay
 * @return 0; -EPROTO for what cannot be
 */
int relay_stock_take(struct relay_stock *stock, const struct relay_object_table *table, const Nb__Relay__Stock *report,
                     uint64_t last, relay_stock_end_function function, void *data);

#endif
