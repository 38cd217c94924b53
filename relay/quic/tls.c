/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/tls.h"

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>

#include "base/list.h"
#include "relay/quic/connection.h"
#include "relay/tls/credentials.h"
#include "relay/tls/resume.h"
#include "relay/tls/security.h"
#include "relay/tls/session.h"

/* Of one handshake, and all that comes after it: eight certificates and their staples take a quarter. */
#define MESSAGES_SIZE_MAX (256u * 1024)

struct quic_tls {
        ngtcp2_crypto_conn_ref ref; /* by which the library's glue finds `conn` */
        struct quic_connection *connection;
        struct tls_session session;
        size_t n_received; /* bytes of messages */
        bool is_done;      /* as far as GnuTLS goes */
};

static ngtcp2_conn *find_conn(ngtcp2_crypto_conn_ref *ref) {
        return nb_container_of(ref, struct quic_tls, ref)->connection->conn;
}

/* GnuTLS would change the keys of packets, which are QUIC's. */
static int refuse_key_update(gnutls_session_t gnutls, unsigned type, unsigned when, unsigned incoming,
                             const gnutls_datum_t *message) {
        (void)gnutls;
        (void)type;
        (void)when;
        (void)message;
        return incoming ? GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET : 0;
}

bool quic_tls_is_possible(const struct context *context, bool as_server) {
        const struct tls_credentials *credentials = context->tls;

        return credentials && credentials->priority_of_quic &&
               (as_server ? credentials->as_server : credentials->as_client);
}

struct quic_tls *quic_tls_new(struct quic_connection *connection, const struct tls_session_setup *setup) {
        struct quic_tls *tls = calloc(1, sizeof(*tls));
        gnutls_session_t gnutls;

        if (!tls)
                return NULL;
        tls->ref.get_conn = find_conn;
        tls->connection = connection;
        if (tls_session_init(&tls->session, setup) < 0)
                return quic_tls_free(tls);
        gnutls = tls->session.gnutls;
        gnutls_session_set_ptr(gnutls, &tls->ref);
        gnutls_handshake_set_hook_function(gnutls, GNUTLS_HANDSHAKE_KEY_UPDATE, GNUTLS_HOOK_PRE, refuse_key_update);
        if ((setup->as_server ? ngtcp2_crypto_gnutls_configure_server_session(gnutls)
                              : ngtcp2_crypto_gnutls_configure_client_session(gnutls)) < 0)
                return quic_tls_free(tls);
        return tls;
}

struct quic_tls *quic_tls_free(struct quic_tls *tls) {
        if (!tls)
                return NULL;
        tls_session_deinit(&tls->session);
        free(tls);
        return NULL;
}

void quic_tls_attach(struct quic_tls *tls, ngtcp2_conn *conn) {
        ngtcp2_conn_set_tls_native_handle(conn, tls->session.gnutls);
}

const struct tls_failure *quic_tls_failure(const struct quic_tls *tls) {
        return &tls->session.failure;
}

struct tls_security *quic_tls_security(const struct quic_tls *tls) {
        return tls_security_new(&tls->session);
}

void quic_tls_give_ticket(struct quic_tls *tls) {
        if (tls->session.as_server && tls->session.context->tls->tickets)
                (void)gnutls_session_ticket_send(tls->session.gnutls, 1, 0);
}

/* The peer is told by what was noted, which knows better than GnuTLS's error. */
static int refuse(struct quic_tls *tls, ngtcp2_conn *conn) {
        gnutls_alert_description_t alert = tls->session.failure.alert;

        ngtcp2_conn_set_tls_alert(conn, (uint8_t)(alert == GNUTLS_A_CLOSE_NOTIFY ? GNUTLS_A_INTERNAL_ERROR : alert));
        return NGTCP2_ERR_CRYPTO;
}

static int failed(struct quic_tls *tls, ngtcp2_conn *conn, int error) {
        int of_library = ngtcp2_conn_get_tls_error(conn);

        /* What the library found in its own parameters: it knows what to tell the peer. */
        if (of_library != 0 && tls->session.failure.cause == NB__RELAY__CAUSE__CAUSE_UNSPECIFIED)
                return of_library;
        tls_failure_note_error(&tls->session.failure, tls->session.gnutls, error);
        return refuse(tls, conn);
}

/* Of a client. GnuTLS compares what it offers, and takes one that offers nothing; QUIC does not (RFC 9001, 8.1). What a server chose was looked at. */
static int check_offered(struct quic_tls *tls) {
        gnutls_datum_t name;

        if (!tls->session.as_server || gnutls_alpn_get_selected_protocol(tls->session.gnutls, &name) == 0)
                return 0;
        return tls_failure_note(&tls->session.failure, NB__RELAY__CAUSE__CAUSE_TLS_ALPN,
                                GNUTLS_A_NO_APPLICATION_PROTOCOL, "the peer offers no protocol that TLSALPN= names");
}

/* @return 0; an error of the library */
static int shake_hands(struct quic_tls *tls, ngtcp2_conn *conn) {
        int error;

        if (tls->is_done)
                return 0;
        error = gnutls_handshake(tls->session.gnutls);
        if (error < 0)
                return gnutls_error_is_fatal(error) ? failed(tls, conn, error) : 0;
        if (tls_session_check(&tls->session) < 0 || check_offered(tls) < 0)
                return refuse(tls, conn);
        tls->is_done = true;
        ngtcp2_conn_tls_handshake_completed(conn);
        return 0;
}

static int count(struct quic_tls *tls, ngtcp2_conn *conn, size_t length) {
        tls->n_received += length;
        if (tls->n_received <= MESSAGES_SIZE_MAX)
                return 0;
        (void)tls_failure_note(&tls->session.failure, NB__RELAY__CAUSE__CAUSE_TLS_PROTOCOL, GNUTLS_A_UNEXPECTED_MESSAGE,
                               "the peer floods TLS with messages that bring no bytes");
        return refuse(tls, conn);
}

int quic_tls_on_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data,
                     size_t length, void *user_data) {
        struct quic_connection *connection = user_data;
        struct quic_tls *tls = connection->tls;
        int error = count(tls, conn, length);

        (void)offset;
        connection->has_heard = true;
        if (error < 0)
                return error;
        error = gnutls_handshake_write(tls->session.gnutls, ngtcp2_crypto_gnutls_from_ngtcp2_encryption_level(level),
                                       data, length);
        if (error < 0 && gnutls_error_is_fatal(error))
                return failed(tls, conn, error);
        error = shake_hands(tls, conn);
        if (error == 0 && tls->is_done)
                tls_resume_keep(&tls->session);
        return error;
}

/*
 * Who does not say what it may be sent is not spoken to (RFC 9001, 8.2). GnuTLS does not miss an extension that is not its own, and the library asserts that there was one
 * when it writes the first packet with that key, which a server does in answer to the first message.
 */
int quic_tls_on_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *user_data) {
        struct quic_connection *connection = user_data;

        if (level != NGTCP2_ENCRYPTION_LEVEL_1RTT || ngtcp2_conn_get_remote_transport_params(conn))
                return 0;
        (void)tls_failure_note(&connection->tls->session.failure, NB__RELAY__CAUSE__CAUSE_QUIC_PROTOCOL,
                               GNUTLS_A_MISSING_EXTENSION, "the peer has sent no transport parameters");
        return NGTCP2_ERR_CALLBACK_FAILURE;
}
