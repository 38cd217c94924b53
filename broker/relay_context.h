/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What relays are to have of a policy before they can do TLS, or say a password to a proxy: contexts (proto/RELAY.md).
 *
 * They are made with the policy and live as long as it is in force. The files that it names are opened then, all or none (broker/secret_file.h), and
 * kept open: they are never read here, but by each relay that needs them, when it first does. After a reload relays drop those of the policy before,
 * so that certificates are replaced without a restart; links that use them go on.
 *
 *      files opened ──a relay of its own reads them all (relay_contexts_check)──► in force ──the next policy──► dropped, freed
 *           └──one cannot be opened──► no policy    └──one cannot be used──► no policy
 */
#ifndef NB_BROKER_RELAY_CONTEXT_H
#define NB_BROKER_RELAY_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "proto/relay_frame.h"

struct broker;
struct relay_contexts;
struct relay_object;

/** The ids of what a connection needs; 0: none. */
struct relay_context_ids {
        uint32_t tls;
        uint32_t proxy_tls;
        uint32_t passwords[POLICY_HOPS_MAX];
};

/** A certificate that relays present, as one of them has read it. */
struct relay_certificate {
        char file[256];
        char name[256];
        uint64_t not_after; /* seconds since 1970 */
};

/**
 * Opens all that a policy names, or logs why not.
 * @param policy  borrowed, and outlives them
 * @return 0; -EINVAL when a file cannot be used; -ENOMEM
 */
int relay_contexts_new(struct broker *broker, const struct policy *policy, struct relay_contexts **ret);

/** Closes the files. Takes NULL. @return NULL */
struct relay_contexts *relay_contexts_free(struct relay_contexts *contexts);

/**
 * Has a relay, started for that alone, read all of them, or logs why they cannot be used. Waits for it, some seconds at the most. Does nothing
 * where there are none.
 * @return 0; -EINVAL when a file cannot be used, or no relay could tell
 */
int relay_contexts_check(struct broker *broker, struct relay_contexts *contexts);

/** The lowest id of these; those of earlier policies are lower. */
uint32_t relay_contexts_first_id(const struct relay_contexts *contexts);

/**
 * Makes sure that an object's relay has what a protocol's TLS needs, and its proxies.
 * @param policy  of the policy in force
 * @return 0; -EKEYREJECTED when the files that the policy names cannot be used, which was logged; another -errno
 */
int relay_context_for(struct relay_object *object, const struct broker *broker, const struct policy_protocol *policy,
                      struct relay_context_ids *ret);

/** Notes that a relay cannot use one, and logs that, once. */
void relay_context_note_unusable(struct broker *broker, const Nb__Relay__Unusable *unusable);

/** @return the certificates of a protocol, `n` of them, borrowed until the next reload; NULL without any */
const struct relay_certificate *relay_context_certificates(const struct broker *broker,
                                                           const struct policy_protocol *policy, size_t *ret_n);

#endif
