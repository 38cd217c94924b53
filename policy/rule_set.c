/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/rule_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "policy/group.h"

/** The places of rule_set.beside. */
enum beside {
        BESIDE_PUBLIC,
        BESIDE_IPV4,
        BESIDE_IPV6,
        N_BESIDE,
};

/** A member's prefixes, which are those of its group, and none for `public` and names. */
struct prefixes {
        const struct nb_prefix *v;
        size_t n;
};

static size_t family_index(sa_family_t family) {
        return family == AF_INET ? 0 : 1;
}

static uint32_t smaller(uint32_t a, uint32_t b) {
        return a < b ? a : b;
}

static struct prefixes prefixes_of(const struct rule_set_member *member) {
        struct prefixes prefixes = { NULL, 0 };

        if (member->target == POLICY_TARGET_PREFIX)
                prefixes = (struct prefixes){ &member->prefix, 1 };
        else if (member->target == POLICY_TARGET_GROUP)
                prefixes.n = policy_group_prefixes(member->group, &prefixes.v);
        return prefixes;
}

/* ---- making ---- */

/** Entries while they are collected, with room for all. */
struct collection {
        struct port_entry *v;
        size_t n;
};

static void collect(struct collection *entries, uint32_t place, const struct rule_set_member *member) {
        entries->v[entries->n++] = (struct port_entry){ place, member->number, member->ports };
}

static size_t count_prefixes(const struct rule_set_member *members, size_t n, sa_family_t family) {
        size_t count = 0;

        for (size_t i = 0; i < n; ++i) {
                struct prefixes prefixes = prefixes_of(&members[i]);

                for (size_t j = 0; j < prefixes.n; ++j)
                        count += prefixes.v[j].ip.family == family;
        }
        return count;
}

/** A prefix, and whose it is. */
struct owned_prefix {
        const struct nb_prefix *prefix;
        const struct rule_set_member *member;
};

/** As the tree is walked. */
static int compare_prefixes(const void *a, const void *b) {
        const struct nb_prefix *x = ((const struct owned_prefix *)a)->prefix;
        const struct nb_prefix *y = ((const struct owned_prefix *)b)->prefix;
        int difference = memcmp(x->ip.bytes, y->ip.bytes, sizeof(x->ip.bytes));

        return difference != 0 ? difference : (int)x->length - (int)y->length;
}

/** The prefixes of a family, in ascending order. @param ret  has room for all */
static void sort_prefixes(const struct rule_set_member *members, size_t n, sa_family_t family,
                          struct owned_prefix *ret) {
        size_t count = 0;

        for (size_t i = 0; i < n; ++i) {
                struct prefixes prefixes = prefixes_of(&members[i]);

                for (size_t j = 0; j < prefixes.n; ++j)
                        if (prefixes.v[j].ip.family == family)
                                ret[count++] = (struct owned_prefix){ &prefixes.v[j], &members[i] };
        }
        qsort(ret, count, sizeof(*ret), compare_prefixes);
}

static int make_prefixes(const struct rule_set_member *members, size_t n, sa_family_t family, struct rule_set *set) {
        struct radix *tree = &set->prefixes[family_index(family)].tree;
        size_t count = count_prefixes(members, n, family);
        NB_CLEANUP_FREE struct owned_prefix *sorted = calloc(count + 1, sizeof(*sorted));
        NB_CLEANUP_FREE struct port_entry *room = calloc(count + 1, sizeof(*room));
        struct collection entries = { .v = room };

        if (!sorted || !room || radix_init(count, tree) < 0)
                return -ENOMEM;
        sort_prefixes(members, n, family, sorted);
        for (size_t i = 0; i < count; ++i)
                collect(&entries, radix_add(tree, sorted[i].prefix), sorted[i].member);
        return port_map_init(entries.v, entries.n, tree->n_nodes, &set->prefixes[family_index(family)].ports);
}

static void collect_beside(struct collection *entries, const struct rule_set_member *member) {
        bool group = member->target == POLICY_TARGET_GROUP;

        if (member->target == POLICY_TARGET_NAME)
                return;
        if (group && member->group == POLICY_GROUP_PUBLIC)
                collect(entries, BESIDE_PUBLIC, member);
        if (group || member->prefix.ip.family == AF_INET) /* every group has addresses of both families */
                collect(entries, BESIDE_IPV4, member);
        if (group || member->prefix.ip.family == AF_INET6)
                collect(entries, BESIDE_IPV6, member);
}

static int make_beside(const struct rule_set_member *members, size_t n, struct rule_set *set) {
        NB_CLEANUP_FREE struct port_entry *room = calloc(N_BESIDE * n + 1, sizeof(*room));
        struct collection entries = { .v = room };

        if (!room)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                collect_beside(&entries, &members[i]);
        return port_map_init(entries.v, entries.n, N_BESIDE, &set->beside);
}

static uint32_t name_place(uint32_t node, bool below) {
        return 2 * node + below;
}

static int make_names(const struct rule_set_member *members, size_t n, struct rule_set *set) {
        NB_CLEANUP_FREE const char **names = calloc(n + 1, sizeof(*names));
        NB_CLEANUP_FREE uint32_t *nodes = calloc(n + 1, sizeof(*nodes));
        NB_CLEANUP_FREE struct port_entry *room = calloc(n + 1, sizeof(*room));
        struct collection entries = { .v = room };
        size_t n_names = 0;

        if (!names || !nodes || !room)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                if (members[i].target == POLICY_TARGET_NAME)
                        names[n_names++] = members[i].name->text;
        if (label_tree_init(names, n_names, nodes, &set->names) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n; ++i)
                if (members[i].target == POLICY_TARGET_NAME)
                        collect(&entries, name_place(nodes[entries.n], members[i].name->below), &members[i]);
        return port_map_init(entries.v, entries.n, name_place(set->names.n_nodes, false), &set->name_ports);
}

int rule_set_init(const struct rule_set_member *members, size_t n_members, struct rule_set *ret) {
        int r = make_prefixes(members, n_members, AF_INET, ret);

        if (r == 0)
                r = make_prefixes(members, n_members, AF_INET6, ret);
        if (r == 0)
                r = make_beside(members, n_members, ret);
        if (r == 0)
                r = make_names(members, n_members, ret);
        return r;
}

void rule_set_deinit(struct rule_set *set) {
        for (size_t i = 0; i < 2; ++i) {
                radix_deinit(&set->prefixes[i].tree);
                port_map_deinit(&set->prefixes[i].ports);
        }
        label_tree_deinit(&set->names);
        port_map_deinit(&set->name_ports);
        port_map_deinit(&set->beside);
}

/* ---- finding ---- */

uint32_t rule_set_find(const struct rule_set *set, const struct nb_ip *ip, uint16_t port,
                       const struct nb_prefix *within) {
        const struct radix *tree = &set->prefixes[family_index(ip->family)].tree;
        const struct port_map *ports = &set->prefixes[family_index(ip->family)].ports;
        struct radix_walk walk = radix_walk_begin(tree, ip);
        uint32_t found = RULE_SET_NONE, beside;

        while (radix_walk_next(tree, &walk))
                if (!within || walk.length >= within->length)
                        found = smaller(found, port_map_find(ports, walk.node, port));
        if (within) /* `public` has no prefix, and nothing that a scope is asked for */
                return found;
        beside = port_map_find(&set->beside, BESIDE_PUBLIC, port);
        return beside < found && policy_group_contains(POLICY_GROUP_PUBLIC, ip) ? beside : found;
}

uint32_t rule_set_find_exactly(const struct rule_set *set, const struct nb_prefix *prefix, uint16_t port) {
        const struct radix *tree = &set->prefixes[family_index(prefix->ip.family)].tree;
        const struct port_map *ports = &set->prefixes[family_index(prefix->ip.family)].ports;
        struct radix_walk walk = radix_walk_begin(tree, &prefix->ip);

        while (radix_walk_next(tree, &walk))
                if (walk.length == prefix->length)
                        return port_map_find(ports, walk.node, port);
        return RULE_SET_NONE;
}

uint32_t rule_set_find_family(const struct rule_set *set, sa_family_t family, uint16_t port) {
        return port_map_find(&set->beside, family == AF_INET ? BESIDE_IPV4 : BESIDE_IPV6, port);
}

uint32_t rule_set_find_name(const struct rule_set *set, const char *name, uint16_t port) {
        struct label_walk walk = label_walk_begin(name);
        uint32_t found = RULE_SET_NONE;

        while (label_walk_next(&set->names, &walk))
                found = smaller(found, port_map_find(&set->name_ports, name_place(walk.node, walk.rest > 0), port));
        return found;
}

uint32_t rule_set_find_below(const struct rule_set *set, const char *name, uint16_t port) {
        struct label_walk walk = label_walk_begin(name);

        while (label_walk_next(&set->names, &walk))
                ;
        return walk.rest == 0 ? port_map_find(&set->name_ports, name_place(walk.node, true), port) : RULE_SET_NONE;
}
