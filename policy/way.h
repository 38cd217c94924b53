/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a connection that is allowed: what comes before the guest's bytes, in the order in which it comes. An accepted peer's PROXY
 * header, then its TLS; of a connect each proxy, a PROXY header, TLS; of both, in their place, QUIC and the TLS in it; and at last whether a relay stays in between.
 */
#ifndef NB_POLICY_WAY_H
#define NB_POLICY_WAY_H

#include "policy/policy.h"

enum policy_leg_kind {
        POLICY_LEG_HEADER, /* a PROXY header, expected or sent */
        POLICY_LEG_PROXY,
        POLICY_LEG_QUIC,
        POLICY_LEG_TLS,
        POLICY_LEG_RELAY,
};

/** One thing on the way. What is not NULL lives as long as the policy. */
struct policy_leg {
        enum policy_leg_kind kind;
        const struct policy_hop *hop; /* of PROXY */
        bool is_last;                 /* of PROXY: it is asked for the destination itself */
        enum policy_seal seal;        /* of RELAY: what is known of the broker's */
};

/** A header, each proxy, QUIC, TLS and a relay. */
#define POLICY_LEGS_MAX (POLICY_HOPS_MAX + 4)

struct policy_way {
        struct policy_leg legs[POLICY_LEGS_MAX];
        size_t n_legs; /* 0: the socket itself, and nothing before its bytes */
};

/**
 * What a connection's way by the protocol is. Where nobody knows whether the broker is sealed, a relay that stays for want of that is on it.
 * @param ret  always filled in; points into the protocol
 */
void policy_way_of(const struct policy_protocol *protocol, enum policy_verb verb, enum policy_seal seal,
                   struct policy_way *ret);

/** "header", "proxy", "quic", "tls" or "relay". */
const char *policy_leg_name(enum policy_leg_kind kind);

/**
 * Says a leg as a sentence of printable ASCII, without a period.
 * @param subject  whom a certificate must be for, printable: the name, or the address
 * @return `buffer`, cut at `size`
 */
const char *policy_leg_format(const struct policy_protocol *protocol, enum policy_verb verb,
                              const struct policy_leg *leg, const char *subject, char *buffer, size_t size);

/** Where the policy says so. @return its file, or NULL where it is the section as a whole; `ret_line` is filled in with the former */
const char *policy_leg_place(const struct policy_protocol *protocol, const struct policy_leg *leg, unsigned *ret_line);

#endif
