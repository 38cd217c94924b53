/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session of GnuTLS as a context wants it, whatever carries its bytes: TLS as a transport (relay/tls/transport.h), or QUIC.
 *
 * Who owns one gives it its bytes, and asks three things of it: tls_session_check() when GnuTLS says that the handshake is done, tls_resume_keep()
 * after whatever has come since, and `failure` when it has come to nothing. What GnuTLS calls in between finds the session by gnutls_transport_get_ptr(),
 * because QUIC's library takes gnutls_session_get_ptr() for itself.
 */
#ifndef NB_RELAY_TLS_SESSION_H
#define NB_RELAY_TLS_SESSION_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/address.h"
#include "relay/context.h"
#include "relay/tls/failure.h"
#include "relay/tls/name.h"
#include "relay/tls/verified.h"

struct session_cache;

struct tls_session {
        gnutls_session_t gnutls;     /* owned */
        struct context *context;     /* a reference */
        struct session_cache *cache; /* borrowed; NULL: of a server */
        bool as_server;
        bool is_kept;                        /* it was kept, to be resumed */
        time_t until;                        /* when what was verified is not good any more */
        uint8_t peer_key[VERIFIED_KEY_SIZE]; /* of the peer's chain among those that were verified; zeros: none */
        struct tls_failure failure;
        char server_name[TLS_NAME_MAX + 1]; /* of a client: whom the certificate must be for */
        char address[NB_ADDRESS_TEXT_MAX];  /* of a client: where it is resumed, and nowhere else */
};

/** What it is made of. All borrowed. */
struct tls_session_setup {
        struct context *context; /* with credentials of that role; a reference is taken */
        bool as_server;
        bool is_quic;            /* TLS 1.3 only, without its disguise, and not by records */
        const char *server_name; /* of a client; cut at TLS_NAME_MAX */
        const char *address;     /* of a client; empty where there is none, as in tests */
        struct session_cache *cache;
};

/**
 * Makes a session whose handshake has not begun.
 * @param session  the caller's memory; its address must not change
 * @return 0; -ENOMEM. It is to be deinitialised in any case.
 */
int tls_session_init(struct tls_session *session, const struct tls_session_setup *setup);

void tls_session_deinit(struct tls_session *session);

/** Judges what a handshake that is done has agreed on, as far as GnuTLS has not asked. @return 0; negative with `failure` */
int tls_session_check(struct tls_session *session);

#endif
