/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which algorithms TLS may use: AEAD with forward secrecy and no SHA-1, by a list that says all it allows, so that neither the system's
 * configuration nor a release of GnuTLS can add to it.
 */
#ifndef NB_RELAY_TLS_PRIORITY_H
#define NB_RELAY_TLS_PRIORITY_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

/** @return 0 and what is owned by the caller (gnutls_priority_deinit()); -EINVAL without a version; -ENOMEM */
int tls_priority_new(bool tls12, bool tls13, gnutls_priority_t *ret);

/** RSA of fewer bits is refused, in peers' certificates and in ours. */
#define TLS_RSA_BITS_MIN 2048u

/** And curves of fewer. */
#define TLS_CURVE_BITS_MIN 256u

/** Whether a key is one of those that are allowed. @param algorithm of gnutls_x509_crt_get_pk_algorithm() */
bool tls_key_is_strong(int algorithm, unsigned bits);

#endif
