/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of one kind, or the words of `Addresses=`, as they are found: prefixes in a tree for each family, names in a tree of their labels, and
 * at each place the ports. Groups stand at each of their prefixes, but for `public`, which stands beside and is asked whether it holds
 * the address. A rule is its number in the order of the file, and of all that answer a question the smallest is the answer.
 */
#ifndef NB_POLICY_RULE_SET_H
#define NB_POLICY_RULE_SET_H

#include "policy/label_tree.h"
#include "policy/policy.h"
#include "policy/port_map.h"
#include "policy/radix.h"

/** No rule. */
#define RULE_SET_NONE PORT_MAP_NONE

struct rule_set {
        struct {
                struct radix tree;
                struct port_map ports; /* by its nodes */
        } prefixes[2];                 /* IPv4, IPv6 */
        struct label_tree names;
        struct port_map name_ports; /* by its nodes: for each the name itself, then what is below */
        struct port_map beside;     /* `public`, and all that hold any address of a family */
};

/** What a set is made of: rules, with numbers that ascend. */
struct rule_set_member {
        uint32_t number;
        enum policy_target target; /* not POLICY_TARGET_UNIX */
        struct nb_port_range ports;
        struct nb_prefix prefix;
        enum policy_group group;
        const struct policy_name_pattern *name; /* borrowed */
};

/** @param ret  rule_set_deinit(), after a failure too; it must be zero @return 0, or -ENOMEM. */
int rule_set_init(const struct rule_set_member *members, size_t n_members, struct rule_set *ret);

/** Also of one that is zero or half-built. */
void rule_set_deinit(struct rule_set *set);

/** @param within  as of policy_match() @return the first that covers the address and the port, or RULE_SET_NONE. */
uint32_t rule_set_find(const struct rule_set *set, const struct nb_ip *ip, uint16_t port,
                       const struct nb_prefix *within);

/** @return the first that has this prefix itself and covers the port, or RULE_SET_NONE. */
uint32_t rule_set_find_exactly(const struct rule_set *set, const struct nb_prefix *prefix, uint16_t port);

/** @return the first for any address of the family and the port, or RULE_SET_NONE. */
uint32_t rule_set_find_family(const struct rule_set *set, sa_family_t family, uint16_t port);

/** @return the first for the name and the port, or RULE_SET_NONE. */
uint32_t rule_set_find_name(const struct rule_set *set, const char *name, uint16_t port);

/** @return the first for what is below the name itself, and for the port, or RULE_SET_NONE. */
uint32_t rule_set_find_below(const struct rule_set *set, const char *name, uint16_t port);

#endif
