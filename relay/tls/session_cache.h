/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS sessions of clients, to be resumed.
 *
 * A session is found only by whom it was verified for: the context (whose trust, pins and lists of revoked certificates do not change), the
 * server's name, and the address that was connected to. It is good no longer than what it was verified by. Each is taken out for its use,
 * since tickets of TLS 1.3 are good for one connection.
 *
 * It is bounded: the one that was not used for the longest goes first.
 */
#ifndef NB_RELAY_TLS_SESSION_CACHE_H
#define NB_RELAY_TLS_SESSION_CACHE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/** How many sessions are kept, and how many for the same server. */
#define SESSION_CACHE_MAX 1024u
#define SESSION_CACHE_SERVER_MAX 16u

/** What is larger is not kept: a ticket and a chain are a few thousand bytes. */
#define SESSION_CACHE_DATA_MAX (16u * 1024)

struct session_cache;

/** Whom a session was verified for. All borrowed. */
struct session_key {
        uint32_t context;
        const char *server_name;
        const char *address; /* of the socket's peer; empty where there is none */
};

/** @return owned by the caller, or NULL without memory */
struct session_cache *session_cache_new(void);

/** Wipes what it held. Takes NULL. @return NULL */
struct session_cache *session_cache_free(struct session_cache *cache);

/**
 * Keeps a session, or forgets it where there is no room or memory.
 * @param data   copied
 * @param until  when it is not good any more, in seconds since 1970
 */
void session_cache_put(struct session_cache *cache, const struct session_key *key, const void *data, size_t size,
                       time_t until);

/**
 * Takes the youngest session out that is for `key`.
 * @param ret_data  owned by the caller, who wipes and frees it
 * @param ret_until  may be NULL
 * @return 0; -ENOENT
 */
int session_cache_take(struct session_cache *cache, const struct session_key *key, time_t now, void **ret_data,
                       size_t *ret_size, time_t *ret_until);

/** Forgets all sessions of a context. */
void session_cache_drop(struct session_cache *cache, uint32_t context);

#endif
