/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of the rules that stand in one place (a prefix, a name), which is the first in the file for a port.
 *
 * The ranges of ports of a place overlap as their authors liked. Here they are cut into disjoint intervals in ascending order, each with
 * the first rule of the file that has it, so that a port is found by bisection whatever stands there. A map has as many places as it
 * was made with, one array for all of them.
 */
#ifndef NB_POLICY_PORT_MAP_H
#define NB_POLICY_PORT_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/** No rule. */
#define PORT_MAP_NONE UINT32_MAX

/** A rule's ports in one place. */
struct port_entry {
        uint32_t place;
        uint32_t rule; /* its number in the order of the file */
        struct nb_port_range ports;
};

struct port_interval;

struct port_map {
        struct port_interval *intervals; /* of all places, one place behind the other */
        uint32_t *begins; /* of each place, where its intervals begin; and behind the last, where they end */
};

/**
 * Makes a map.
 * @param entries   are sorted
 * @param n_places  places are numbers below it
 * @param ret       port_map_deinit(); untouched on failure
 * @return 0, or -ENOMEM.
 */
int port_map_init(struct port_entry *entries, size_t n_entries, uint32_t n_places, struct port_map *ret);

/** Also of one that is zero. */
void port_map_deinit(struct port_map *map);

/** @return the first rule in that place for the port, or PORT_MAP_NONE. */
uint32_t port_map_find(const struct port_map *map, uint32_t place, uint16_t port);

#endif
