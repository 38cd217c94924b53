/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/label_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct label_node {
        const char *label; /* borrowed from the tree's keys */
        uint32_t length;
        uint32_t first_child;
        uint32_t n_children;
};

/** A name while the tree is made. */
struct entry {
        const char *
                key; /* its labels from the last to the first, with a NUL behind each: in the order of bytes names are sorted */
        size_t length;
        size_t taken; /* how much of the key the nodes so far stand for */
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

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length) {
        int difference = memcmp(a, b, a_length < b_length ? a_length : b_length);

        if (difference != 0)
                return difference;
        return a_length < b_length ? -1 : a_length > b_length;
}

/* ---- making ---- */

/** A name comes before those below it. */
static int compare_entries(const void *left, const void *right) {
        const struct entry *a = left, *b = right;

        return compare_bytes(a->key, a->length, b->key, b->length);
}

/** Writes the key of a name, which has one byte more. */
static void write_key(const char *name, char *key) {
        size_t rest = strlen(name);

        while (rest > 0) {
                size_t label = last_label(name, rest), length = rest - label;

                memcpy(key, name + label, length);
                key[length] = '\0';
                key += length + 1;
                rest = rest_before(label);
        }
}

/** The entries from `from` on that go on with the same label, have it taken. @return the end of them. */
static size_t take_label(struct entry *entries, size_t from, size_t to, struct label_node *ret) {
        const char *label = entries[from].key + entries[from].taken;
        size_t length = strlen(label), end = from;

        *ret = (struct label_node){ .label = label, .length = (uint32_t)length };
        for (; end < to && strcmp(entries[end].key + entries[end].taken, label) == 0; ++end)
                entries[end].taken += length + 1;
        return end;
}

/** Makes the children of one node behind all nodes that there are. Of the entries in `range`, the node's labels are taken. */
static void add_children(struct label_tree *tree, uint32_t node, struct entry *entries, struct range *ranges,
                         uint32_t *ret_nodes) {
        size_t at = ranges[node].from, to = ranges[node].to;

        tree->nodes[node].first_child = tree->n_nodes;
        for (; at < to && entries[at].taken == entries[at].length; ++at)
                ret_nodes[entries[at].index] = node;
        while (at < to) {
                size_t end = take_label(entries, at, to, &tree->nodes[tree->n_nodes]);

                ranges[tree->n_nodes++] = (struct range){ at, end };
                at = end;
        }
        tree->nodes[node].n_children = tree->n_nodes - tree->nodes[node].first_child;
}

/** How many bytes the keys have together; and how many labels. */
static size_t measure(const char *const *names, size_t n_names, size_t *ret_labels) {
        size_t bytes = 0, n_labels = 0;

        for (size_t i = 0; i < n_names; ++i) {
                bytes += strlen(names[i]) + 1;
                ++n_labels;
                for (const char *c = names[i]; *c; ++c)
                        n_labels += *c == '.';
        }
        *ret_labels = n_labels;
        return bytes;
}

static void sort(const char *const *names, size_t n_names, char *keys, struct entry *entries) {
        for (size_t i = 0; i < n_names; ++i) {
                size_t length = strlen(names[i]) + 1;

                write_key(names[i], keys);
                entries[i] = (struct entry){ .key = keys, .length = length, .index = i };
                keys += length;
        }
        qsort(entries, n_names, sizeof(*entries), compare_entries);
}

int label_tree_init(const char *const *names, size_t n_names, uint32_t *ret_nodes, struct label_tree *ret) {
        size_t n_labels, bytes = measure(names, n_names, &n_labels);
        NB_CLEANUP_FREE struct entry *entries = calloc(n_names + 1, sizeof(*entries));
        NB_CLEANUP_FREE struct range *ranges = calloc(n_labels + 1, sizeof(*ranges));
        NB_CLEANUP_FREE struct label_node *nodes = calloc(n_labels + 1, sizeof(*nodes));
        NB_CLEANUP_FREE char *keys = malloc(bytes + 1);
        struct label_tree tree = { .nodes = nodes, .n_nodes = 1, .keys = keys };

        if (!entries || !ranges || !nodes || !keys)
                return -ENOMEM;
        sort(names, n_names, keys, entries);
        ranges[0] = (struct range){ 0, n_names };
        for (uint32_t node = 0; node < tree.n_nodes; ++node) /* children come behind their parents: no recursion */
                add_children(&tree, node, entries, ranges, ret_nodes);
        (void)nb_steal_ptr(nodes);
        (void)nb_steal_ptr(keys);
        *ret = tree;
        return 0;
}

void label_tree_deinit(struct label_tree *tree) {
        free(tree->nodes);
        free(tree->keys);
        *tree = (struct label_tree){ 0 };
}

/* ---- walking ---- */

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
                int difference = compare_bytes(node->label, node->length, walk->name + label, length);

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
