/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes of one family, so that those which hold an address are found in the order of their lengths.
 *
 * A binary tree over the bits of the prefixes, without the nodes at which nothing branches and nothing stands: each node has the prefix
 * that all below it share, and an address is compared with no more nodes than it has bits. A node is a number; what stands at it is
 * kept elsewhere, by that number. Nodes at which two prefixes only part have numbers as well, but are never found.
 *
 * Whoever adds prefixes in ascending order gets nodes that lie in memory as they are walked.
 */
#ifndef NB_POLICY_RADIX_H
#define NB_POLICY_RADIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

struct radix_node;

struct radix {
        struct radix_node *nodes;
        uint32_t n_nodes;
        uint32_t root; /* RADIX_NONE: it is empty */
};

/** No node. */
#define RADIX_NONE UINT32_MAX

/** The bits of an address, the first one on top; those of IPv4 are followed by zeros. */
struct radix_key {
        uint64_t high, low;
};

/** A walk from the shortest prefix that holds an address to the longest. */
struct radix_walk {
        struct radix_key key;
        uint32_t next;   /* what is looked at next */
        uint32_t node;   /* where the walk is */
        unsigned length; /* of that one's prefix */
};

/** An empty tree with room for so many prefixes. @param ret  radix_deinit() @return 0, or -ENOMEM. */
int radix_init(size_t n_prefixes, struct radix *ret);

/** Also of one that is zero. */
void radix_deinit(struct radix *tree);

/** Adds a prefix, of the same family as all others and without host bits, as long as there is room. @return its node, which may be there already. */
uint32_t radix_add(struct radix *tree, const struct nb_prefix *prefix);

/** Before the first node. @param ip  of the tree's family */
struct radix_walk radix_walk_begin(const struct radix *tree, const struct nb_ip *ip);

/** Goes on to the next prefix that holds the address. @return false: there is none. */
bool radix_walk_next(const struct radix *tree, struct radix_walk *walk);

#endif
