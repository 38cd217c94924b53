/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the facts of a connection say of whose its peer's certificate is: the first names of its subjectAltName, escaped, for they are a stranger's text.
 */
#ifndef NB_RELAY_TLS_PEER_NAMES_H
#define NB_RELAY_TLS_PEER_NAMES_H

#include <gnutls/x509.h>
#include <stddef.h>

#include "proto/relay_frame.h"

struct tls_peer_names {
        size_t n;
        char texts[NB_SECURITY_NAMES_MAX][NB_SECURITY_TEXT_MAX + 1];
};

/** Reads the names of a certificate; none where they cannot be read. */
void tls_peer_names_read(struct tls_peer_names *ret, gnutls_x509_crt_t certificate);

#endif
