/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators are told of a connection that goes through a relay: what TLS has agreed on, and through which proxies it leads.
 *
 * It is kept with the connection's entry (broker/connection.h), in one piece of memory and packed, since most are never looked at; the
 * tenant is charged by its size.
 */
#ifndef NB_BROKER_RELAYED_FACTS_H
#define NB_BROKER_RELAYED_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "policy/policy.h"
#include "proto/relay_frame.h"

struct relayed_facts;

/**
 * Keeps a copy.
 * @param security  borrowed, within its bounds (broker/security.h); NULL: no TLS
 * @param proxy     borrowed: what the connection goes through; NULL: through none
 * @param ret       owned by the caller; NULL where there is nothing to keep
 * @return 0 or -ENOMEM
 */
int relayed_facts_new(const Nb__Relay__Security *security, const struct policy_proxy *proxy,
                      struct relayed_facts **ret);

/** The same of what relayed_facts_packed() and relayed_facts_proxies() have told. @param security  packed; it must be one */
int relayed_facts_restore(const uint8_t *security, size_t length, const char *proxies, struct relayed_facts **ret);

/** @return what TLS has agreed on, packed and borrowed. Takes NULL. */
const uint8_t *relayed_facts_packed(const struct relayed_facts *facts, size_t *ret_length);

/** Takes NULL. @return NULL */
struct relayed_facts *relayed_facts_free(struct relayed_facts *facts);

/** @return the bytes that they take; 0 for NULL */
size_t relayed_facts_size(const struct relayed_facts *facts);

/** @return the proxies' URLs, joined by blanks, borrowed; NULL: there are none. Takes NULL. */
const char *relayed_facts_proxies(const struct relayed_facts *facts);

/** @return what TLS has agreed on, to be freed with security_free(); NULL without TLS, and without memory. Takes NULL. */
Nb__Relay__Security *relayed_facts_security(const struct relayed_facts *facts);

#endif
