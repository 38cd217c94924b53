/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The URL of a proxy: `http://HOST:PORT`, `https://HOST:PORT` or `socks5://HOST:PORT`. HOST is an address, IPv6 in brackets, or a name as
 * rules have it. Nothing else of a URL is taken: a password would be there for everybody who reads the policy, and a path means nothing to
 * a proxy.
 */
#ifndef NB_POLICY_HOP_H
#define NB_POLICY_HOP_H

#include "policy/error.h"
#include "policy/policy.h"

/**
 * Parses a proxy.
 * @param ret            gets kind, and name or address; the rest stays as it is. Untouched on failure.
 * @param ret_complaint  filled in on failure; its correction, if there is one, lacks what is complained about
 * @return 0, or -EINVAL.
 */
int policy_hop_parse(const char *text, struct policy_hop *ret, struct policy_complaint *ret_complaint);

#endif
