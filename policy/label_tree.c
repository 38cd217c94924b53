/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/label_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct label_node {
        const char *label; /* borrowed from a name; not ended by a NUL */
        uint32_t length;
        uint32_t first_child;
        uint32_t n_children;
};

/** A name while the tree is made. */
struct entry {
        const char *name;
        size_t rest; /* as of struct label_walk */
        size_t index;
};

/** Entries that share the labels of a node. */
struct range {
        size_t from, to;
};

/** Where the last label of the first `length` bytes begins. */
static size_t last_label(const char *name, size_t length) {
        const char *dot = memrchr(name, '.', length);

        return dot ? (size_t)(dot + 1 - name) : 0;
}

/** How many bytes are in front of the label that begins there. */
static size_t rest_before(size_t label) {
        return label > 0 ? label - 1 : 0;
}

static int compare_labels(const char *a, size_t a_length, const char *b, size_t b_length) {
        int difference = memcmp(a, b, a_length < b_length ? a_length : b_length);

        if (difference != 0)
                return difference;
        return a_length < b_length ? -1 : a_length > b_length;
}

/** By the last label, then the one before; a name comes before those below it. */
static int compare_names(const void *left, const void *right) {
        const struct entry *a = left, *b = right;
        size_t a_rest = a->rest, b_rest = b->rest;

        while (a_rest > 0 && b_rest > 0) {
                size_t x = last_label(a->name, a_rest), y = last_label(b->name, b_rest);
                int difference = compare_labels(a->name + x, a_rest - x, b->name + y, b_rest - y);

                if (difference != 0)
                        return difference;
                a_rest = rest_before(x);
                b_rest = rest_before(y);
        }
        return a_rest > 0 ? 1 : b_rest > 0 ? -1 : 0;
}

/** The entries from `from` on that have the same last label lose it. @return the end of them. */
static size_t take_label(struct entry *entries, size_t from, size_t to, struct label_node *ret) {
        const char *name = entries[from].name;
        size_t label = last_label(name, entries[from].rest), length = entries[from].rest - label, end = from;

        *ret = (struct label_node){ .label = name + label, .length = (uint32_t)length };
        while (end < to) {
                struct entry *entry = &entries[end];
                size_t other = last_label(entry->name, entry->rest);

                if (compare_labels(name + label, length, entry->name + other, entry->rest - other) != 0)
                        break;
                entry->rest = rest_before(other);
                ++end;
        }
        return end;
}

/** Makes the children of one node behind all nodes that there are. The entries in `range` have lost the node's labels. */
static void add_children(struct label_tree *tree, uint32_t node, struct entry *entries, struct range *ranges,
                         uint32_t *ret_nodes) {
        size_t at = ranges[node].from, to = ranges[node].to;

        tree->nodes[node].first_child = tree->n_nodes;
        for (; at < to && entries[at].rest == 0; ++at)
                ret_nodes[entries[at].index] = node;
        while (at < to) {
                size_t end = take_label(entries, at, to, &tree->nodes[tree->n_nodes]);

                ranges[tree->n_nodes++] = (struct range){ at, end };
                at = end;
        }
        tree->nodes[node].n_children = tree->n_nodes - tree->nodes[node].first_child;
}

static size_t count_labels(const char *const *names, size_t n_names) {
        size_t n = 0;

        for (size_t i = 0; i < n_names; ++i) {
                ++n;
                for (const char *c = names[i]; *c; ++c)
                        n += *c == '.';
        }
        return n;
}

int label_tree_init(const char *const *names, size_t n_names, uint32_t *ret_nodes, struct label_tree *ret) {
        size_t most = count_labels(names, n_names) + 1;
        NB_CLEANUP_FREE struct entry *entries = calloc(n_names + 1, sizeof(*entries));
        NB_CLEANUP_FREE struct range *ranges = calloc(most, sizeof(*ranges));
        NB_CLEANUP_FREE struct label_node *nodes = calloc(most, sizeof(*nodes));
        struct label_tree tree = { .nodes = nodes, .n_nodes = 1 };

        if (!entries || !ranges || !nodes)
                return -ENOMEM;
        for (size_t i = 0; i < n_names; ++i)
                entries[i] = (struct entry){ names[i], strlen(names[i]), i };
        qsort(entries, n_names, sizeof(*entries), compare_names);

        ranges[0] = (struct range){ 0, n_names };
        for (uint32_t node = 0; node < tree.n_nodes; ++node) /* children come behind their parents: no recursion */
                add_children(&tree, node, entries, ranges, ret_nodes);
        (void)nb_steal_ptr(nodes);
        *ret = tree;
        return 0;
}

void label_tree_deinit(struct label_tree *tree) {
        free(tree->nodes);
        *tree = (struct label_tree){ 0 };
}

struct label_walk label_walk_begin(const char *name) {
        return (struct label_walk){ .name = name, .rest = strlen(name), .node = 0 };
}

bool label_walk_next(const struct label_tree *tree, struct label_walk *walk) {
        const struct label_node *parent = &tree->nodes[walk->node];
        uint32_t from = parent->first_child, to = from + parent->n_children;
        size_t label = last_label(walk->name, walk->rest), length = walk->rest - label;

        if (walk->rest == 0)
                return false;
        while (from < to) {
                uint32_t middle = from + (to - from) / 2;
                const struct label_node *node = &tree->nodes[middle];
                int difference = compare_labels(node->label, node->length, walk->name + label, length);

                if (difference == 0) {
                        walk->node = middle;
                        walk->rest = rest_before(label);
                        return true;
                }
                if (difference < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        return false;
}
