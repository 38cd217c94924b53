/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/resume.h"

#include <stdlib.h>
#include <string.h>

#include "relay/tls/credentials.h"
#include "relay/tls/session_cache.h"
#include "relay/tls/session.h"

/* However long a ticket would be good for: the peer is looked at as a whole at least that often. */
#define RESUMED_FOR_MAX (2 * 60 * 60)

static struct session_cache *cache_of(const struct tls_session *session) {
        return session->context->tls->tickets ? session->cache : NULL;
}

void tls_resume_offer(struct tls_session *session) {
        struct session_key key = { session->context->id, session->server_name, session->address };
        struct session_cache *cache = cache_of(session);
        void *data;
        size_t size;

        if (!cache)
                return;
        if (session_cache_take(cache, &key, time(NULL), &data, &size, &session->until) < 0)
                return;
        (void)gnutls_session_set_data(session->gnutls, data, size);
        explicit_bzero(data, size);
        free(data);
}

/* A ticket of TLS 1.2 is good again after it was used, and the server need not give another. */
static bool may_be_kept(gnutls_session_t gnutls) {
        if (gnutls_session_get_flags(gnutls) & GNUTLS_SFLAGS_SESSION_TICKET)
                return true;
        return gnutls_protocol_get_version(gnutls) == GNUTLS_TLS1_2 && gnutls_session_is_resumed(gnutls);
}

void tls_resume_keep(struct tls_session *session) {
        struct session_key key = { session->context->id, session->server_name, session->address };
        struct session_cache *cache = session->is_kept ? NULL : cache_of(session);
        gnutls_datum_t data;
        time_t most;

        if (!cache || !may_be_kept(session->gnutls) || gnutls_session_get_data2(session->gnutls, &data) < 0)
                return;
        most = time(NULL) + RESUMED_FOR_MAX;
        session_cache_put(cache, &key, data.data, data.size, session->until < most ? session->until : most);
        explicit_bzero(data.data, data.size);
        gnutls_free(data.data);
        session->is_kept = true;
}
