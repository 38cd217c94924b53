/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/security.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "relay/tls/name.h"
#include "relay/tls/peer_chain.h"
#include "relay/tls/session.h"
#include "relay/tls/verified.h"

static void copy(char *to, size_t size, const char *from) {
        (void)snprintf(to, size, "%s", from ? from : "");
}

static void note_alpn(struct tls_security *security, gnutls_session_t gnutls) {
        gnutls_datum_t name;

        if (gnutls_alpn_get_selected_protocol(gnutls, &name) < 0 || name.size >= sizeof(security->alpn))
                return;
        memcpy(security->alpn, name.data, name.size);
}

/* What a client asked for is a stranger's text. */
static void note_server_name(struct tls_security *security, gnutls_session_t gnutls) {
        char name[TLS_NAME_MAX + 1];
        size_t size = sizeof(name);
        unsigned type;

        if (gnutls_server_name_get(gnutls, name, &size, &type, 0) < 0 || type != GNUTLS_NAME_DNS || size > TLS_NAME_MAX)
                return;
        (void)nb_escape(name, size, security->server_name, sizeof(security->server_name));
}

static void read_peer_names(struct tls_security *security, gnutls_session_t gnutls) {
        PEER_CHAIN chain;

        if (peer_chain_init_first(&chain, gnutls) == 0)
                tls_peer_names_read(&security->peer_names, chain.certificates[0]);
}

/* Those of a chain that was verified are known; another one is decoded once more. */
static void note_peer_names(struct tls_security *security, const struct tls_session *session) {
        const struct tls_peer_names *known = tls_verified_names(session->context->tls->verified, session->peer_key);

        if (known)
                security->peer_names = *known;
        else
                read_peer_names(security, session->gnutls);
}

struct tls_security *tls_security_new(const struct tls_session *session) {
        struct tls_security *security = calloc(1, sizeof(*security));
        const char *version = gnutls_protocol_get_name(gnutls_protocol_get_version(session->gnutls));

        if (!security)
                return NULL;
        copy(security->version, sizeof(security->version), version);
        copy(security->cipher, sizeof(security->cipher), gnutls_ciphersuite_get(session->gnutls));
        security->resumed = gnutls_session_is_resumed(session->gnutls) != 0;
        note_alpn(security, session->gnutls);
        if (session->as_server)
                note_server_name(security, session->gnutls);
        note_peer_names(security, session);
        return security;
}
