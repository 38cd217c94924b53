/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates that a peer shows, decoded: its own first, and at most TLS_CHAIN_MAX of them.
 */
#ifndef NB_RELAY_TLS_PEER_CHAIN_H
#define NB_RELAY_TLS_PEER_CHAIN_H

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

#include "relay/tls/credentials.h"

struct peer_chain {
        gnutls_x509_crt_t certificates[TLS_CHAIN_MAX];
        unsigned n_certificates;
};

/** @return 0; -ENOENT where the peer shows none; -E2BIG; -EINVAL for what cannot be read; -ENOMEM. To be deinitialised in any case. */
int peer_chain_init(struct peer_chain *chain, gnutls_session_t session);

/** The same with the peer's own certificate alone: each takes tens of microseconds to decode. */
int peer_chain_init_first(struct peer_chain *chain, gnutls_session_t session);

void peer_chain_deinit(struct peer_chain *chain);

/** The first time at which one of them is not valid any more, in seconds since 1970. */
time_t peer_chain_expires(const struct peer_chain *chain);

/**
 * Whether a key of the path from the peer's certificate to an authority of `trust` is pinned. Only certificates whose key has signed the one
 * below are of the path: anybody can send others with it.
 */
bool peer_chain_is_pinned(const struct peer_chain *chain, gnutls_certificate_credentials_t trust,
                          const struct tls_credentials *credentials);

#define PEER_CHAIN __attribute__((cleanup(peer_chain_deinit))) struct peer_chain

#endif
