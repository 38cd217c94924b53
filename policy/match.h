/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rule holds for an address and a port, or for a name.
 *
 * The only place that knows how the rules of a protocol are stored. Callers ask one question at a time and get, of all rules that answer
 * it, the first in the order of the file. Groups are judged as the prefixes that they stand for (policy/group.h).
 */
#ifndef NB_POLICY_MATCH_H
#define NB_POLICY_MATCH_H

#include "policy/policy.h"

/**
 * @param within  if not NULL: only rules whose own prefix lies inside it, which is around `ip`
 * @return the first rule of that kind that covers the address and the port, or NULL.
 */
const struct policy_rule *policy_match(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                       const struct nb_ip *ip, uint16_t port, const struct nb_prefix *within);

/** @return the first rule of that kind whose prefix is `prefix` itself and that covers the port, or NULL. */
const struct policy_rule *policy_match_exactly(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                               const struct nb_prefix *prefix, uint16_t port);

/** @return the first rule of that kind for any address of the family and the port, or NULL. */
const struct policy_rule *policy_match_family(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                              sa_family_t family, uint16_t port);

/** @return the first rule of that kind for the host name and its port, or NULL. */
const struct policy_rule *policy_match_host(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                            const struct policy_host_name *name);

/** @return the first rule of that kind for the names below that one, `*.NAME`, and its port; or NULL. */
const struct policy_rule *policy_match_below(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                             const struct policy_host_name *name);

/**
 * @param within  as of policy_match()
 * @return the first word of `Addresses=`, or of its default, that covers the address; or NULL.
 */
const struct policy_range *policy_match_range(const struct policy_protocol *protocol, const struct nb_ip *ip,
                                              const struct nb_prefix *within);

/** @return the first rule of that kind of a protocol of Unix sockets that matches the name, or NULL. */
const struct policy_rule *policy_match_unix(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                            const struct nb_unix_name *name);

#endif
