/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one address of a preopened socket: what a rule would be, but a single address with a single port, or a name without
 * wildcards.
 */
#ifndef NB_POLICY_PREOPEN_H
#define NB_POLICY_PREOPEN_H

#include "policy/error.h"
#include "policy/policy.h"

/**
 * Parses the address.
 * @param kind           POLICY_RULE_LISTEN or POLICY_RULE_CONNECT
 * @param text           ends in NUL
 * @param ret_complaint  filled in on failure; its correction, if there is one, is a valid address of that kind
 * @return 0, or -EINVAL.
 */
int policy_preopen_parse(enum policy_rule_kind kind, const char *text, struct nb_socket_address *ret,
                         struct policy_complaint *ret_complaint);

/** Whether two listeners cannot be at once: on the same name, or the same port of addresses that overlap. */
bool policy_preopen_collides(const struct nb_socket_address *a, const struct nb_socket_address *b);

#endif
