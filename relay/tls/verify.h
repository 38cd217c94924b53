/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the peer is who it should be.
 *
 * Everything is asked for by name: the chain up to an authority of the policy's, times, lists of revoked certificates, an OCSP response where
 * there is one or must be, the purpose, the strength of keys and signatures, the name, and pins. GnuTLS checks nothing that it was not told to.
 * What was good a moment ago, to the byte, is not asked again (relay/tls/verified.h).
 */
#ifndef NB_RELAY_TLS_VERIFY_H
#define NB_RELAY_TLS_VERIFY_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "relay/tls/credentials.h"
#include "relay/tls/failure.h"

/** What is verified, and for whom. All borrowed. */
struct tls_verification {
        gnutls_session_t session;
        const struct tls_credentials *credentials;
        bool as_server;          /* the peer is a client */
        const char *server_name; /* of a client: whom the certificate must be for */
        uint8_t *
                key; /* VERIFIED_KEY_SIZE bytes, filled in where what was shown may be kept, or was (relay/tls/verified.h) */
};

/**
 * Judges what the peer has shown in a handshake.
 * @param failure    filled in when it is refused
 * @param ret_until  when that is not good any more, in seconds since 1970; 0 where nothing was shown, and need not be
 * @return 0, or negative
 */
int tls_verify(const struct tls_verification *what, struct tls_failure *failure, time_t *ret_until);

/**
 * Judges a session that was resumed, whose certificates were verified when it was made, under the same credentials: what may have changed
 * since is the time, and what is asked for is the name.
 * @return 0, or negative
 */
int tls_verify_resumed(const struct tls_verification *what, struct tls_failure *failure);

#endif
