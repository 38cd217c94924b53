/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rule holds for an address and a port, or for a name.
 *
 * The only place that knows how the rules of a protocol are stored: today an array that is walked, in the order of the
 * file. Callers ask one question at a time and get the first rule that answers it, so an index can take the array's place.
 */
#ifndef NB_POLICY_MATCH_H
#define NB_POLICY_MATCH_H

#include "policy/policy.h"

/**
 * @param within  if not NULL: only rules whose own prefix lies inside it
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

/** @return the first rule of that kind of a protocol of Unix sockets that matches the name, or NULL. */
const struct policy_rule *policy_match_name(const struct policy_protocol *protocol, enum policy_rule_kind kind,
                                            const struct nb_unix_name *name);

#endif
