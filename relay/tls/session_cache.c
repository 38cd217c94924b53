/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/session_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "relay/tls/name.h"

struct session {
        struct nb_list in_cache; /* the youngest last */
        uint32_t context;
        char server_name[TLS_NAME_MAX + 1];
        char address[NB_ADDRESS_TEXT_MAX];
        time_t until;
        size_t size;
        uint8_t data[];
};

struct session_cache {
        struct nb_list sessions;
        size_t n_sessions;
};

struct session_cache *session_cache_new(void) {
        struct session_cache *cache = malloc(sizeof(*cache));

        if (!cache)
                return NULL;
        nb_list_init(&cache->sessions);
        cache->n_sessions = 0;
        return cache;
}

static void forget(struct session_cache *cache, struct session *session) {
        nb_list_remove(&session->in_cache);
        --cache->n_sessions;
        explicit_bzero(session->data, session->size);
        free(session);
}

static struct session *session_of(struct nb_list *element) {
        return nb_container_of(element, struct session, in_cache);
}

struct session_cache *session_cache_free(struct session_cache *cache) {
        if (!cache)
                return NULL;
        nb_list_foreach_safe(element, &cache->sessions) forget(cache, session_of(element));
        free(cache);
        return NULL;
}

static bool is_for(const struct session *session, const struct session_key *key) {
        return session->context == key->context && strcmp(session->server_name, key->server_name) == 0 &&
               strcmp(session->address, key->address) == 0;
}

/* Makes room: of the same server first, that the many of one do not push all others out. */
static void make_room(struct session_cache *cache, const struct session_key *key) {
        struct session *oldest = NULL;
        size_t n_same = 0;

        nb_list_foreach_safe(element, &cache->sessions) {
                struct session *session = session_of(element);

                if (!is_for(session, key))
                        continue;
                oldest = oldest ? oldest : session;
                ++n_same;
        }
        if (n_same >= SESSION_CACHE_SERVER_MAX)
                forget(cache, oldest);
        if (cache->n_sessions >= SESSION_CACHE_MAX)
                forget(cache, session_of(cache->sessions.next));
}

void session_cache_put(struct session_cache *cache, const struct session_key *key, const void *data, size_t size,
                       time_t until) {
        struct session *session;

        if (size == 0 || size > SESSION_CACHE_DATA_MAX || strlen(key->server_name) >= sizeof(session->server_name) ||
            strlen(key->address) >= sizeof(session->address))
                return;
        session = calloc(1, sizeof(*session) + size);
        if (!session)
                return;
        make_room(cache, key);
        session->context = key->context;
        memcpy(session->server_name, key->server_name, strlen(key->server_name));
        memcpy(session->address, key->address, strlen(key->address));
        session->until = until;
        session->size = size;
        memcpy(session->data, data, size);
        nb_list_append(&cache->sessions, &session->in_cache);
        ++cache->n_sessions;
}

/* The youngest that is still good; what is not goes on the way. */
static struct session *find(struct session_cache *cache, const struct session_key *key, time_t now) {
        struct session *found = NULL;

        nb_list_foreach_safe(element, &cache->sessions) {
                struct session *session = session_of(element);

                if (session->until <= now)
                        forget(cache, session);
                else if (is_for(session, key))
                        found = session;
        }
        return found;
}

int session_cache_take(struct session_cache *cache, const struct session_key *key, time_t now, void **ret_data,
                       size_t *ret_size, time_t *ret_until) {
        struct session *session = find(cache, key, now);
        void *data;

        if (!session)
                return -ENOENT;
        data = malloc(session->size);
        if (!data)
                return -ENOENT;
        memcpy(data, session->data, session->size);
        *ret_data = data;
        *ret_size = session->size;
        if (ret_until)
                *ret_until = session->until;
        forget(cache, session);
        return 0;
}

void session_cache_drop(struct session_cache *cache, uint32_t context) {
        nb_list_foreach_safe(element, &cache->sessions) {
                struct session *session = session_of(element);

                if (session->context == context)
                        forget(cache, session);
        }
}
