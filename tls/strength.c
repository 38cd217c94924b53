/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/strength.h"

#include <gnutls/gnutls.h>

bool tls_key_is_strong(int algorithm, unsigned bits) {
        switch (algorithm) {
        case GNUTLS_PK_RSA:
        case GNUTLS_PK_RSA_PSS:
                return bits >= TLS_RSA_BITS_MIN;
        case GNUTLS_PK_ECDSA:
        case GNUTLS_PK_EDDSA_ED25519:
        case GNUTLS_PK_EDDSA_ED448:
                return bits >= TLS_CURVE_BITS_MIN;
        default:
                return false;
        }
}
