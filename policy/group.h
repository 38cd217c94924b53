/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of addresses, which stand for a prefix in rules and in `Addresses=`.
 *
 * `any`, `private` and `local` are lists of prefixes, and are judged as if each of these stood in a rule of its own. `public` is what the
 * Internet routes: an address that is neither private nor in a range of the guard, and, of IPv6, global unicast (2000::/3, RFC 4291 section
 * 2.4), for what lies outside is routed by private networks at most. An IPv6 address that carries an IPv4 one is as public as that.
 *
 * So a rule for `public` grants nothing that the guard wants named, one for `local` names loopback, and one for `private` or `any` names
 * nothing, although the guard has ranges inside.
 */
#ifndef NB_POLICY_GROUP_H
#define NB_POLICY_GROUP_H

#include "policy/policy.h"

/** "any", "public", "private" or "local". */
const char *policy_group_name(enum policy_group group);

/** Finds the group of that name, in lower case. @return 0, or -EINVAL. */
int policy_group_parse(const char *text, size_t length, enum policy_group *ret);

/**
 * The prefixes of a group.
 * @param ret  constant; NULL for `public`, which no list holds
 * @return how many there are
 */
size_t policy_group_prefixes(enum policy_group group, const struct nb_prefix **ret);

/** Whether the address is one of the group's. IPv4-mapped addresses are IPv6 here: nb_ip_unmap() comes before. */
bool policy_group_contains(enum policy_group group, const struct nb_ip *ip);

#endif
