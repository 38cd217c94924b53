/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys are strong enough, in peers' certificates and in ours: said once, for the relay that refuses the others and for who asks beforehand.
 */
#ifndef NB_TLS_STRENGTH_H
#define NB_TLS_STRENGTH_H

#include <stdbool.h>

/** RSA of fewer bits is refused. */
#define TLS_RSA_BITS_MIN 2048u

/** And curves of fewer. */
#define TLS_CURVE_BITS_MIN 256u

/** Whether a key is one of those that are allowed. @param algorithm  of gnutls_x509_crt_get_pk_algorithm() */
bool tls_key_is_strong(int algorithm, unsigned bits);

#endif
