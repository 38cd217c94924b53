/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of hosts by their labels, from the last to the first: com, example, www.
 *
 * What stands at a name is kept elsewhere, by the number of its node. The children of a node lie side by side in the order of their
 * labels, so that one is found by bisection: no hash that a stranger could load, and no more steps than a name has labels times
 * the logarithm of their number.
 */
#ifndef NB_POLICY_LABEL_TREE_H
#define NB_POLICY_LABEL_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct label_node;

struct label_tree {
        struct label_node *nodes; /* the root, which is no name, is number 0 */
        uint32_t n_nodes;
        char *keys; /* the names, as their labels are walked */
};

/** A walk from the end of a name to its beginning. */
struct label_walk {
        const char *name;
        size_t rest; /* how many bytes of the name are in front of what the node stands for, a dot not counted; 0: it is the name itself */
        uint32_t node; /* the last that there was */
};

/**
 * Makes a tree of names as policy/host_name.h has them.
 * @param names      borrowed
 * @param ret_nodes  of each name, its node
 * @param ret        label_tree_deinit(); untouched on failure
 * @return 0, or -ENOMEM.
 */
int label_tree_init(const char *const *names, size_t n_names, uint32_t *ret_nodes, struct label_tree *ret);

/** Also of one that is zero. */
void label_tree_deinit(struct label_tree *tree);

/** Before the first label. @param name  borrowed */
struct label_walk label_walk_begin(const char *name);

/** Goes on by one label. @return false: there is no such node, or the name is at its beginning. */
bool label_walk_next(const struct label_tree *tree, struct label_walk *walk);

#endif
