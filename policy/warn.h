/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is valid in a policy and probably not meant. Warnings never keep a policy from being loaded.
 */
#ifndef NB_POLICY_WARN_H
#define NB_POLICY_WARN_H

#include "policy/policy.h"

/** Takes a warning. @param text  printable, "FILE:LINE: warning: …"; borrowed for the call */
typedef void (*policy_warn_function)(void *data, const char *text);

/**
 * Looks a policy over: tenants that nobody can open, grants that a Deny rule wholly covers, Addresses= and Deny rules for
 * names where no name is granted, TLS= and
 * Proxy= where there is nothing that they are about, and what ProxyResolve= leaves unenforced.
 *
 * The time is bounded: of very many rules not every grant is compared with every Deny rule.
 * @param private  sessions are inherited, so that a tenant needs no User= and the like
 */
void policy_warn(const struct policy *policy, bool private, policy_warn_function warn, void *data);

#endif
