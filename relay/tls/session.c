/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "relay/tls/credentials.h"
#include "relay/tls/resume.h"
#include "relay/tls/verify.h"

/* A handshake message that is larger is refused: a chain of eight with keys of 4,096 bits takes half of it. */
#define HANDSHAKE_MESSAGE_MAX 32768u

/* ---- what GnuTLS asks ---- */

static struct tls_session *session_of(gnutls_session_t gnutls) {
        return gnutls_transport_get_ptr(gnutls);
}

static struct tls_verification verification_of(struct tls_session *session) {
        return (struct tls_verification){ session->gnutls, session->context->tls, session->as_server,
                                          session->server_name, session->peer_key };
}

static int verify(gnutls_session_t gnutls) {
        struct tls_session *session = session_of(gnutls);
        const struct tls_verification what = verification_of(session);

        return tls_verify(&what, &session->failure, &session->until) < 0 ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

/* GnuTLS asks what a server shows. What it gets stays ours. */
static int show(gnutls_session_t gnutls, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **ret_chain,
                unsigned *ret_n_chain, gnutls_ocsp_data_st **ret_staple, unsigned *ret_n_staples,
                gnutls_privkey_t *ret_key, unsigned *ret_flags) {
        const struct tls_credentials *credentials = session_of(gnutls)->context->tls;
        struct tls_shown *shown = tls_shown_choose(credentials->shown, credentials->n_shown, gnutls);

        (void)info;
        *ret_flags = 0;
        *ret_n_chain = 0;
        *ret_n_staples = 0;
        if (!shown)
                return 0;
        *ret_chain = shown->chain;
        *ret_n_chain = shown->n_chain;
        *ret_key = shown->key;
        if (tls_shown_staple_is_good(shown)) {
                *ret_staple = &shown->staple;
                *ret_n_staples = 1;
        }
        return 0;
}

/* ---- making one ---- */

static bool is_address(const char *name) {
        struct nb_ip ip;

        return nb_ip_parse(name, strlen(name), &ip) == 0;
}

static int set_up_client(struct tls_session *session) {
        const struct tls_credentials *credentials = session->context->tls;

        if (!is_address(session->server_name) &&
            gnutls_server_name_set(session->gnutls, GNUTLS_NAME_DNS, session->server_name,
                                   strlen(session->server_name)) < 0)
                return -ENOMEM;
        if (gnutls_credentials_set(session->gnutls, GNUTLS_CRD_CERTIFICATE, credentials->as_client) < 0)
                return -ENOMEM;
        tls_resume_offer(session);
        return 0;
}

static int set_up_server(struct tls_session *session) {
        const struct tls_credentials *credentials = session->context->tls;

        /* Of the credentials, and the same for all their sessions. */
        gnutls_certificate_set_retrieve_function3(credentials->as_server, show);
        if (gnutls_credentials_set(session->gnutls, GNUTLS_CRD_CERTIFICATE, credentials->as_server) < 0)
                return -ENOMEM;
        if (credentials->ticket_key.data &&
            gnutls_session_ticket_enable_server(session->gnutls, &credentials->ticket_key) < 0)
                return -ENOMEM;
        if (credentials->client_auth == NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_NONE)
                return 0;
        if (!credentials->names_authorities)
                gnutls_certificate_send_x509_rdn_sequence(session->gnutls, 1);
        gnutls_certificate_server_set_request(session->gnutls,
                                              credentials->client_auth == NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUIRE
                                                      ? GNUTLS_CERT_REQUIRE
                                                      : GNUTLS_CERT_REQUEST);
        return 0;
}

/* Tickets over QUIC are made when their owner says so, since GnuTLS's moment for them is too early there. */
static unsigned flags_of(const struct tls_session_setup *setup) {
        const struct tls_credentials *credentials = setup->context->tls;

        return GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_KEY_SHARE_TOP |
               (setup->as_server ? GNUTLS_SERVER : GNUTLS_CLIENT) | (credentials->tickets ? 0 : GNUTLS_NO_TICKETS) |
               (setup->is_quic ? GNUTLS_NO_AUTO_SEND_TICKET | GNUTLS_NO_END_OF_EARLY_DATA : 0);
}

static gnutls_priority_t priority_of(const struct tls_credentials *credentials, const struct tls_session_setup *setup) {
        if (setup->is_quic)
                return credentials->priority_of_quic;
        return setup->as_server ? credentials->priority_as_server : credentials->priority_as_client;
}

int tls_session_init(struct tls_session *session, const struct tls_session_setup *setup) {
        const struct tls_credentials *credentials = setup->context->tls;

        *session = (struct tls_session){ .as_server = setup->as_server };
        session->context = context_ref(setup->context);
        session->cache = setup->as_server ? NULL : setup->cache;
        memcpy(session->server_name, setup->server_name, strnlen(setup->server_name, TLS_NAME_MAX));
        (void)snprintf(session->address, sizeof(session->address), "%s", setup->address);
        if (gnutls_init(&session->gnutls, flags_of(setup)) < 0) {
                session->gnutls = NULL;
                return -ENOMEM;
        }
        gnutls_transport_set_ptr(session->gnutls, session);
        gnutls_handshake_set_max_packet_length(session->gnutls, HANDSHAKE_MESSAGE_MAX);
        gnutls_session_set_verify_function(session->gnutls, verify);
        if (gnutls_priority_set(session->gnutls, priority_of(credentials, setup)) < 0)
                return -ENOMEM;
        if (credentials->n_alpn > 0 &&
            gnutls_alpn_set_protocols(session->gnutls, credentials->alpn, credentials->n_alpn,
                                      setup->as_server ? GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE : 0) < 0)
                return -ENOMEM;
        return setup->as_server ? set_up_server(session) : set_up_client(session);
}

void tls_session_deinit(struct tls_session *session) {
        if (session->gnutls)
                gnutls_deinit(session->gnutls);
        session->context = context_unref(session->context);
        session->gnutls = NULL;
}

/* ---- what was agreed on ---- */

/* A client that has names to ask for must be given one of them; GnuTLS takes a server's silence. */
static int check_alpn(struct tls_session *session) {
        gnutls_datum_t name;

        if (session->as_server || session->context->tls->n_alpn == 0 ||
            gnutls_alpn_get_selected_protocol(session->gnutls, &name) == 0)
                return 0;
        return tls_failure_note(&session->failure, NB__RELAY__CAUSE__CAUSE_TLS_ALPN, GNUTLS_A_NO_APPLICATION_PROTOCOL,
                                "the server chose none of the protocols of TLSALPN=");
}

static int check_resumed(struct tls_session *session) {
        const struct tls_verification what = verification_of(session);

        return gnutls_session_is_resumed(session->gnutls) ? tls_verify_resumed(&what, &session->failure) : 0;
}

/* A full handshake has verified what was shown; that nothing was shown is for a server to allow. */
static int check_shown(struct tls_session *session) {
        unsigned n = 0;
        bool required = !session->as_server ||
                        session->context->tls->client_auth == NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUIRE;

        if (!required || (gnutls_certificate_get_peers(session->gnutls, &n) && n > 0))
                return 0;
        return tls_failure_note(&session->failure, NB__RELAY__CAUSE__CAUSE_CERTIFICATE_MISSING,
                                GNUTLS_A_CERTIFICATE_REQUIRED, "the peer shows no certificate");
}

int tls_session_check(struct tls_session *session) {
        if (check_shown(session) < 0 || check_resumed(session) < 0)
                return -1;
        return check_alpn(session);
}
