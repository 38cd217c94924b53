/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/radix.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BITS 128

struct radix_node {
        struct radix_key key; /* zero behind the prefix */
        uint32_t children[2]; /* by the bit behind the prefix; RADIX_NONE where nothing is */
        uint8_t length;
        bool added; /* or two prefixes only part here */
};

static struct radix_key key_of(const struct nb_ip *ip) {
        uint64_t words[2];

        memcpy(words, ip->bytes, sizeof(words)); /* of IPv4, all but the first 4 bytes are zero */
        return (struct radix_key){ be64toh(words[0]), be64toh(words[1]) };
}

static unsigned bit_at(const struct radix_key *key, unsigned index) {
        return (index < 64 ? key->high >> (63 - index) : key->low >> (127 - index)) & 1;
}

/** The first bits of a key. */
static struct radix_key cut(const struct radix_key *key, unsigned length) {
        struct radix_key shorter = { .high = key->high, .low = key->low };

        if (length < 64)
                shorter.high &= length > 0 ? UINT64_MAX << (64 - length) : 0;
        if (length < KEY_BITS)
                shorter.low &= length > 64 ? UINT64_MAX << (KEY_BITS - length) : 0;
        return shorter;
}

static bool holds(const struct radix_node *node, const struct radix_key *key) {
        struct radix_key first = cut(key, node->length);

        return first.high == node->key.high && first.low == node->key.low;
}

/** How many bits two keys share, up to `most`. */
static unsigned shared_bits(const struct radix_key *a, const struct radix_key *b, unsigned most) {
        unsigned bits = KEY_BITS;

        if (a->high != b->high)
                bits = (unsigned)__builtin_clzll(a->high ^ b->high);
        else if (a->low != b->low)
                bits = 64 + (unsigned)__builtin_clzll(a->low ^ b->low);
        return bits < most ? bits : most;
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

static uint32_t new_node(struct radix *tree, const struct radix_key *key, unsigned length, bool added) {
        tree->nodes[tree->n_nodes] = (struct radix_node){
                .key = cut(key, length),
                .children = { RADIX_NONE, RADIX_NONE },
                .length = (uint8_t)length,
                .added = added,
        };
        return tree->n_nodes++;
}

/** Puts a prefix above a node of which it shares `shared` bits, fewer than the node has. @return the node of the prefix. */
static uint32_t part(struct radix *tree, uint32_t *link, const struct radix_key *key, unsigned length,
                     unsigned shared) {
        uint32_t below = *link, above = new_node(tree, key, shared, shared == length), node = above;

        if (shared < length)
                node = new_node(tree, key, length, true);
        tree->nodes[above].children[bit_at(&tree->nodes[below].key, shared)] = below;
        if (node != above)
                tree->nodes[above].children[bit_at(key, shared)] = node;
        *link = above;
        return node;
}

uint32_t radix_add(struct radix *tree, const struct nb_prefix *prefix) {
        struct radix_key key = key_of(&prefix->ip);
        uint32_t *link = &tree->root;

        while (*link != RADIX_NONE) {
                struct radix_node *node = &tree->nodes[*link];
                unsigned most = node->length < prefix->length ? node->length : prefix->length;
                unsigned shared = shared_bits(&node->key, &key, most);

                if (shared < node->length)
                        return part(tree, link, &key, prefix->length, shared);
                if (shared == prefix->length) {
                        node->added = true;
                        return *link;
                }
                link = &node->children[bit_at(&key, shared)];
        }
        *link = new_node(tree, &key, prefix->length, true);
        return *link;
}

struct radix_walk radix_walk_begin(const struct radix *tree, const struct nb_ip *ip) {
        return (struct radix_walk){ .key = key_of(ip), .next = tree->root, .node = RADIX_NONE };
}

bool radix_walk_next(const struct radix *tree, struct radix_walk *walk) {
        while (walk->next != RADIX_NONE) {
                const struct radix_node *node = &tree->nodes[walk->next];

                if (!holds(node, &walk->key))
                        break;
                walk->node = walk->next;
                walk->length = node->length;
                walk->next = node->length < KEY_BITS ? node->children[bit_at(&walk->key, node->length)] : RADIX_NONE;
                if (node->added)
                        return true;
        }
        return false;
}
