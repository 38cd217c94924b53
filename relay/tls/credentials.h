/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a protocol's TLS needs to know, as GnuTLS keeps it: made once of a context's files, used by many sessions, and never changed, but for the
 * list of what was verified by them. A reload of the policy makes others.
 *
 * The key that tickets are sealed with is this object's own too: a session that was made under other certificates, or another rule about whose
 * clients are let in, is not resumed under these.
 */
#ifndef NB_RELAY_TLS_CREDENTIALS_H
#define NB_RELAY_TLS_CREDENTIALS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "relay/tls/shown.h"
#include "relay/tls/tls.h"
#include "relay/tls/verified.h"

#define TLS_PIN_SIZE 32u

/** The longest chain of a peer's. */
#define TLS_CHAIN_MAX 8u

struct tls_credentials {
        gnutls_certificate_credentials_t as_client; /* NULL: not of that role */
        gnutls_certificate_credentials_t as_server;
        gnutls_priority_t priority_as_client;
        gnutls_priority_t priority_as_server;
        gnutls_priority_t priority_of_quic; /* NULL: without TLS 1.3, or ALPN */
        gnutls_datum_t ticket_key;          /* no data: no tickets */
        bool tickets;
        bool must_staple;
        bool names_authorities; /* to clients; not where there are too many */
        Nb__Relay__ClientAuth client_auth;
        char **client_names;
        size_t n_client_names;
        gnutls_datum_t *alpn; /* the preferred first; the texts are owned as well */
        unsigned n_alpn;
        uint8_t (*pins)[TLS_PIN_SIZE];
        size_t n_pins;
        time_t revoked_until;    /* when the first list of revoked certificates is out of date; 0: there is no list */
        struct tls_shown *shown; /* of a server */
        size_t n_shown;
        struct tls_shown shown_as_client; /* no chain: none */
        struct tls_verified *verified;    /* owned */
};

#endif
