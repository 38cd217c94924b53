/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/resume.h"

#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/address.h"
#include "relay/calls.h"
#include "relay/relay.h"
#include "relay/tls/credentials.h"
#include "relay/tls/session_cache.h"
#include "relay/tls/transport.h"

/* However long a ticket would be good for: the peer is looked at as a whole at least that often. */
#define RESUMED_FOR_MAX (2 * 60 * 60)

static struct session_cache *cache_of(const struct tls_transport *tls) {
        if (tls->as_server || !tls->context->tls->tickets)
                return NULL;
        return tls->link->relay->sessions;
}

/* Of the socket at the bottom; empty where it has none, as in tests. */
static void find_address(const struct tls_transport *tls, char text[static NB_ADDRESS_TEXT_MAX]) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);
        struct nb_address address;

        text[0] = '\0';
        if (getpeername(transport_bottom_fd(&tls->transport), (struct sockaddr *)&peer, &length) == 0 &&
            nb_address_from_sockaddr((const struct sockaddr *)&peer, length, &address) == 0)
                (void)nb_address_format(&address, text);
}

void tls_resume_offer(struct tls_transport *tls) {
        char address[NB_ADDRESS_TEXT_MAX];
        struct session_key key = { tls->context->id, tls->server_name, address };
        struct session_cache *cache = cache_of(tls);
        void *data;
        size_t size;

        if (!cache)
                return;
        find_address(tls, address);
        if (session_cache_take(cache, &key, time(NULL), &data, &size, &tls->until) < 0)
                return;
        (void)gnutls_session_set_data(tls->session, data, size);
        explicit_bzero(data, size);
        free(data);
}

/* A ticket of TLS 1.2 is good again after it was used, and the server need not give another. */
static bool may_be_kept(gnutls_session_t session) {
        if (gnutls_session_get_flags(session) & GNUTLS_SFLAGS_SESSION_TICKET)
                return true;
        return gnutls_protocol_get_version(session) == GNUTLS_TLS1_2 && gnutls_session_is_resumed(session);
}

void tls_resume_keep(struct tls_transport *tls) {
        char address[NB_ADDRESS_TEXT_MAX];
        struct session_key key = { tls->context->id, tls->server_name, address };
        struct session_cache *cache = tls->is_kept ? NULL : cache_of(tls);
        gnutls_datum_t data;
        time_t most;

        if (!cache || !may_be_kept(tls->session) || gnutls_session_get_data2(tls->session, &data) < 0)
                return;
        most = time(NULL) + RESUMED_FOR_MAX;
        find_address(tls, address);
        session_cache_put(cache, &key, data.data, data.size, tls->until < most ? tls->until : most);
        explicit_bzero(data.data, data.size);
        gnutls_free(data.data);
        tls->is_kept = true;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(getpeername, "sessions are resumed at the address they were made with only"),
};
const struct confine_list tls_calls = CONFINE_LIST(calls);
