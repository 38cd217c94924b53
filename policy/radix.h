/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes of one family, so that those which hold an address are found in the order of their lengths.
 *
 * A binary tree over the bits of the prefixes, without the nodes at which nothing branches and nothing stands: each node has the prefix
 * that all below it share, and an address is compared with no more nodes than it has bits. A node is a number; what stands at it is
 * kept elsewhere, by that number. Nodes at which two prefixes only part have numbers as well.
 */
#ifndef NB_POLICY_RADIX_H
#define NB_POLICY_RADIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/** No node. */
#define RADIX_NONE UINT32_MAX

struct radix_node;

struct radix {
        struct radix_node *nodes;
        uint32_t n_nodes;
        uint32_t root; /* RADIX_NONE: it is empty */
};

/** An empty tree with room for so many prefixes. @param ret  radix_deinit() @return 0, or -ENOMEM. */
int radix_init(size_t n_prefixes, struct radix *ret);

/** Also of one that is zero. */
void radix_deinit(struct radix *tree);

/** Adds a prefix, of the family of all others and without host bits, as long as there is room. @return its node, which may be there already. */
uint32_t radix_add(struct radix *tree, const struct nb_prefix *prefix);

/**
 * The nodes whose prefix holds `ip`, one a call, from the shortest prefix to the longest.
 * @param after       what the call before returned; RADIX_NONE to begin
 * @param ret_length  the length of its prefix; may be NULL
 * @return the next, or RADIX_NONE when there are no more.
 */
uint32_t radix_next(const struct radix *tree, const struct nb_ip *ip, uint32_t after, unsigned *ret_length);

#endif
