/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address guard: ranges that a wide rule does not grant.
 *
 * Who writes `Connect=0.0.0.0/0:*` means the Internet, not the broker's own loopback, its link or its cloud's
 * metadata service, where credentials lie. So an address in one of these ranges needs a rule that names the range: one whose own
 * prefix lies inside it. Where ranges nest, each of them must be named: 169.254.0.0/16 does not name 169.254.169.254.
 * Private ranges (RFC 1918, RFC 6598, RFC 4193) are not here: a rule that covers them by its prefix grants them.
 *
 * The table follows the IANA registries of special-purpose IPv4 and IPv6 addresses (RFC 6890, RFC 8190), and what cloud
 * providers document about their metadata services.
 */
#ifndef NB_POLICY_GUARD_H
#define NB_POLICY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

struct policy_guard {
        struct nb_prefix range;
        struct nb_prefix except; /* a part of the range that is not meant; of length 0: none */
        uint8_t naming_length;   /* how long the prefix of a rule that names it is at least */
        bool no_grant;           /* no rule can grant it: it is not one peer (multicast, broadcast) */
        const char *what;        /* "loopback" */
        const char *source;      /* "RFC 1122 section 3.2.1.3" */
};

/** How many ranges there are. */
size_t policy_guard_count(void);

/** @return the range number `index`, below policy_guard_count(). */
const struct policy_guard *policy_guard_at(size_t index);

/**
 * The ranges that hold `ip`, but for what they except, one a call.
 * @param after  what the call before returned; NULL to begin
 * @return the next, or NULL when there are no more.
 */
const struct policy_guard *policy_guard_next(const struct nb_ip *ip, const struct policy_guard *after);

/** The prefix around `ip` inside which a rule's own prefix must lie to name `guard`, which holds `ip`. */
struct nb_prefix policy_guard_scope(const struct policy_guard *guard, const struct nb_ip *ip);

/** @return the multicast or broadcast range that the whole of `prefix` lies in, or NULL. */
const struct policy_guard *policy_guard_no_grant(const struct nb_prefix *prefix);

/** Enough for a range as text, with its NUL. */
#define POLICY_GUARD_TEXT_MAX (NB_ADDRESS_TEXT_MAX + sizeof("/128"))

/** A range for messages, `fe80::/10`, or the address alone. @return `buffer`. */
const char *policy_guard_range_format(const struct policy_guard *guard, char buffer[static POLICY_GUARD_TEXT_MAX]);

#endif
