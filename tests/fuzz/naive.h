/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a protocol, walked one by one, bit by bit: what policy/match.h answers, whatever it stores them in.
 */
#ifndef NB_TESTS_FUZZ_NAIVE_H
#define NB_TESTS_FUZZ_NAIVE_H

#include "policy/policy.h"

/** Fails unless all questions about an address, and the prefixes around it, have the naive answer. @param text  for messages */
void naive_check_address(const struct policy_protocol *protocol, const struct nb_address *address, const char *text);

/** The same for a host name. */
void naive_check_name(const struct policy_protocol *protocol, const struct policy_host_name *name);

#endif
