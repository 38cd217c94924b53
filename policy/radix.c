/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/radix.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct radix_node {
        struct nb_prefix prefix;
        uint32_t children[2]; /* by the bit behind the prefix; RADIX_NONE where nothing is */
};

static unsigned bit_at(const struct nb_ip *ip, unsigned index) {
        return (ip->bytes[index / 8] >> (7 - index % 8)) & 1;
}

/** How many bits two prefixes share, up to the length of the shorter one. */
static unsigned shared_bits(const struct nb_prefix *a, const struct nb_prefix *b) {
        unsigned most = a->length < b->length ? a->length : b->length, i = 0;

        while (i + 8 <= most && a->ip.bytes[i / 8] == b->ip.bytes[i / 8])
                i += 8;
        while (i < most && bit_at(&a->ip, i) == bit_at(&b->ip, i))
                ++i;
        return i;
}

int radix_init(size_t n_prefixes, struct radix *ret) {
        /* Each new prefix makes at most one more node at which it parts from another. */
        struct radix_node *nodes = calloc(2 * n_prefixes + 1, sizeof(*nodes));

        if (!nodes)
                return -ENOMEM;
        *ret = (struct radix){ .nodes = nodes, .root = RADIX_NONE };
        return 0;
}

void radix_deinit(struct radix *tree) {
        free(tree->nodes);
        *tree = (struct radix){ .root = RADIX_NONE };
}

static uint32_t new_node(struct radix *tree, const struct nb_prefix *prefix) {
        tree->nodes[tree->n_nodes] = (struct radix_node){ *prefix, { RADIX_NONE, RADIX_NONE } };
        return tree->n_nodes++;
}

/** The first bits of a prefix. */
static struct nb_prefix cut(const struct nb_prefix *prefix, unsigned length) {
        struct nb_prefix shorter = { .ip.family = prefix->ip.family, .length = (uint8_t)length };

        memcpy(shorter.ip.bytes, prefix->ip.bytes, (length + 7) / 8);
        if (length % 8 > 0)
                shorter.ip.bytes[length / 8] &= (uint8_t)(0xff00u >> (length % 8));
        return shorter;
}

/** Puts a prefix above a node of which it shares `shared` bits, fewer than the node has. @return the node of the prefix. */
static uint32_t part(struct radix *tree, uint32_t *link, const struct nb_prefix *prefix, unsigned shared) {
        uint32_t below = *link, above, node;
        struct nb_prefix common = cut(prefix, shared);

        above = new_node(tree, &common);
        node = shared == prefix->length ? above : new_node(tree, prefix);
        tree->nodes[above].children[bit_at(&tree->nodes[below].prefix.ip, shared)] = below;
        if (node != above)
                tree->nodes[above].children[bit_at(&prefix->ip, shared)] = node;
        *link = above;
        return node;
}

uint32_t radix_add(struct radix *tree, const struct nb_prefix *prefix) {
        uint32_t *link = &tree->root;

        while (*link != RADIX_NONE) {
                struct radix_node *node = &tree->nodes[*link];
                unsigned shared = shared_bits(&node->prefix, prefix);

                assert(node->prefix.ip.family == prefix->ip.family);
                if (shared < node->prefix.length)
                        return part(tree, link, prefix, shared);
                if (shared == prefix->length)
                        return *link;
                link = &node->children[bit_at(&prefix->ip, shared)];
        }
        *link = new_node(tree, prefix);
        return *link;
}

uint32_t radix_next(const struct radix *tree, const struct nb_ip *ip, uint32_t after, unsigned *ret_length) {
        unsigned bits = ip->family == AF_INET ? 32 : 128;
        uint32_t next = tree->root;

        if (after != RADIX_NONE) {
                const struct radix_node *node = &tree->nodes[after];

                if (node->prefix.length == bits)
                        return RADIX_NONE;
                next = node->children[bit_at(ip, node->prefix.length)];
        }
        if (next == RADIX_NONE || !nb_prefix_contains(&tree->nodes[next].prefix, ip))
                return RADIX_NONE;
        if (ret_length)
                *ret_length = tree->nodes[next].prefix.length;
        return next;
}
