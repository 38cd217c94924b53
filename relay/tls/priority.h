/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which algorithms TLS may use: AEAD with forward secrecy and no SHA-1, by a list that says all it allows, so that neither the system's
 * configuration nor a release of GnuTLS can add to it.
 */
#ifndef NB_RELAY_TLS_PRIORITY_H
#define NB_RELAY_TLS_PRIORITY_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

/**
 * A client insists that a server of TLS 1.2 knows how to renegotiate safely (RFC 5746), for nobody else can tell it that its handshake was not made a part of
 * another's. A server need not: it never renegotiates, and clients that speak nothing but TLS 1.3 do not say.
 * @return 0 and what is owned by the caller (gnutls_priority_deinit()); -EINVAL without a version; -ENOMEM
 */
int tls_priority_new(bool tls12, bool tls13, bool as_server, gnutls_priority_t *ret);

/** The same for QUIC, which forbids TLS 1.3 to look like what came before it (RFC 9001, 8.4). */
int tls_priority_new_quic(gnutls_priority_t *ret);

#endif
