/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/priority.h"

#include <errno.h>
#include <stdio.h>

/*
 * AES-128-GCM first, which is what processors do fastest; the server's order counts. P-256 before X25519, since GnuTLS's library does it in
 * half the time on x86 (and shares for both are accepted). MEDIUM is 112 bits: RSA of 2048, and no SHA-1.
 */
#define ALGORITHMS                                                                                                     \
        "+ECDHE-ECDSA:+ECDHE-RSA:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD"                                   \
        ":+GROUP-SECP256R1:+GROUP-X25519:+GROUP-SECP384R1:+GROUP-SECP521R1"                                            \
        ":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SECP521R1-SHA512:+SIGN-EDDSA-ED25519"  \
        ":+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512"                               \
        ":+SIGN-RSA-PSS-SHA256:+SIGN-RSA-PSS-SHA384:+SIGN-RSA-PSS-SHA512"                                              \
        ":+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384:+SIGN-ECDSA-SHA512:+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512" \
        ":+COMP-NULL:+CTYPE-X509:%PROFILE_MEDIUM:%SERVER_PRECEDENCE"

static int parse(const char *text, gnutls_priority_t *ret) {
        int error = gnutls_priority_init2(ret, text, NULL, 0);

        if (error < 0)
                return error == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
        return 0;
}

int tls_priority_new(bool tls12, bool tls13, bool as_server, gnutls_priority_t *ret) {
        char text[1024];

        if (!tls12 && !tls13)
                return -EINVAL;
        (void)snprintf(text, sizeof(text), "NONE%s%s:%s%s", tls13 ? ":+VERS-TLS1.3" : "", tls12 ? ":+VERS-TLS1.2" : "",
                       ALGORITHMS, tls12 && !as_server ? ":%SAFE_RENEGOTIATION" : "");
        return parse(text, ret);
}

int tls_priority_new_quic(gnutls_priority_t *ret) {
        return parse("NONE:+VERS-TLS1.3:" ALGORITHMS ":%DISABLE_TLS13_COMPAT_MODE", ret);
}
