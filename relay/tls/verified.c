/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/verified.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "relay/tls/credentials.h"
#include "relay/tls/peer_names.h"

struct tls_verified {
        struct entry {
                uint8_t key[VERIFIED_KEY_SIZE];
                time_t since;
                time_t until;                 /* 0: there is none */
                struct tls_peer_names *names; /* owned; NULL: none */
        } entries[VERIFIED_MAX];
};

struct tls_verified *tls_verified_new(void) {
        return calloc(1, sizeof(struct tls_verified));
}

struct tls_verified *tls_verified_free(struct tls_verified *verified) {
        for (size_t i = 0; verified && i < VERIFIED_MAX; ++i)
                free(verified->entries[i].names);
        free(verified);
        return NULL;
}

static bool has_response(gnutls_session_t session, unsigned n_certificates) {
        gnutls_datum_t response;

        for (unsigned i = 0; i < n_certificates; ++i)
                if (gnutls_ocsp_status_request_get2(session, i, &response) >= 0)
                        return true;
        return false;
}

/* Each part with its length in front, so that no two lists of parts are the same bytes. */
static int hash_part(gnutls_hash_hd_t hash, const void *bytes, size_t size) {
        uint64_t length = size;

        if (gnutls_hash(hash, &length, sizeof(length)) < 0 || gnutls_hash(hash, bytes, size) < 0)
                return -ENOMEM;
        return 0;
}

static int hash_all(gnutls_hash_hd_t hash, const gnutls_datum_t *chain, unsigned n, bool as_server,
                    const char *server_name) {
        const uint8_t role = as_server ? 1 : 0;
        int error = hash_part(hash, &role, sizeof(role));

        if (error == 0)
                error = hash_part(hash, server_name, strlen(server_name));
        for (unsigned i = 0; error == 0 && i < n; ++i)
                error = hash_part(hash, chain[i].data, chain[i].size);
        return error;
}

int tls_verified_key(gnutls_session_t session, bool as_server, const char *server_name,
                     uint8_t ret_key[static VERIFIED_KEY_SIZE]) {
        unsigned n = 0;
        const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);
        uint8_t key[VERIFIED_KEY_SIZE];
        gnutls_hash_hd_t hash;
        int error;

        if (!chain || n == 0 || n > TLS_CHAIN_MAX || has_response(session, n))
                return -ENOENT;
        if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
                return -ENOMEM;
        error = hash_all(hash, chain, n, as_server, server_name);
        gnutls_hash_deinit(hash, key);
        if (error == 0)
                memcpy(ret_key, key, sizeof(key));
        return error;
}

/* A hash has no better place than its first byte says. */
static size_t place_of(const uint8_t key[static VERIFIED_KEY_SIZE]) {
        return key[0] % VERIFIED_MAX;
}

static bool is_of(const struct entry *entry, const uint8_t key[static VERIFIED_KEY_SIZE]) {
        return entry->until != 0 && memcmp(entry->key, key, sizeof(entry->key)) == 0;
}

bool tls_verified_find(const struct tls_verified *verified, const uint8_t key[static VERIFIED_KEY_SIZE], time_t now,
                       time_t *ret_until) {
        const struct entry *entry = &verified->entries[place_of(key)];

        if (!is_of(entry, key) || entry->until <= now || entry->since > now || now - entry->since >= VERIFIED_FOR_MAX)
                return false;
        *ret_until = entry->until;
        return true;
}

void tls_verified_keep(struct tls_verified *verified, const uint8_t key[static VERIFIED_KEY_SIZE], time_t now,
                       time_t until, const struct tls_peer_names *names) {
        struct entry *entry = &verified->entries[place_of(key)];

        memcpy(entry->key, key, sizeof(entry->key));
        entry->since = now;
        entry->until = until;
        if (!entry->names)
                entry->names = malloc(sizeof(*entry->names));
        if (entry->names)
                *entry->names = *names;
}

const struct tls_peer_names *tls_verified_names(const struct tls_verified *verified,
                                                const uint8_t key[static VERIFIED_KEY_SIZE]) {
        const struct entry *entry = &verified->entries[place_of(key)];

        return is_of(entry, key) ? entry->names : NULL;
}
