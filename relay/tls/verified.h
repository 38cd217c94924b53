/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains that were found good, so that the next handshake with the same peer need not read and verify the same certificates again: that is
 * a third of what a full handshake costs a client.
 *
 * What verification says follows from the peer's certificates, byte by byte, from whom they must be for, from the credentials and from the
 * time. So this belongs to one set of credentials, which never change; the rest is in the key, which is a hash; and an answer ends with the
 * first of what it rests on, after VERIFIED_FOR_MAX at the latest, and where the clock was set back. A chain that comes with an OCSP
 * response is none for here, since such a response is another one each time and has times of its own. Only what was good is kept. That the
 * peer has the key of its certificate is shown by each handshake, and never kept.
 *
 * The number is fixed: a key has one place, and who comes later takes it.
 */
#ifndef NB_RELAY_TLS_VERIFIED_H
#define NB_RELAY_TLS_VERIFIED_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** For how long a chain is not looked at again, in seconds: less than a session may be resumed for. */
#define VERIFIED_FOR_MAX ((time_t)10 * 60)

/** How many are kept. */
#define VERIFIED_MAX 64u

#define VERIFIED_KEY_SIZE 32u

struct tls_peer_names;
struct tls_verified;

/** @return owned by the caller, or NULL without memory */
struct tls_verified *tls_verified_new(void);

/** Takes NULL. @return NULL */
struct tls_verified *tls_verified_free(struct tls_verified *verified);

/**
 * The key of what a peer shows in a handshake.
 * @param as_server    the peer is a client
 * @param server_name  of a client: whom the certificate must be for
 * @return 0; -ENOENT where nothing is shown, or what must not be kept; -ENOMEM
 */
int tls_verified_key(gnutls_session_t session, bool as_server, const char *server_name,
                     uint8_t ret_key[static VERIFIED_KEY_SIZE]);

/** Whether that was found good. @param ret_until  when it is not any more, as tls_verified_keep() was told */
bool tls_verified_find(const struct tls_verified *verified, const uint8_t key[static VERIFIED_KEY_SIZE], time_t now,
                       time_t *ret_until);

/**
 * Keeps what was found good now.
 * @param until  when it is not any more, in seconds since 1970
 * @param names  of the peer's own certificate, copied where there is memory; they are kept with it, for to read them takes another look into it
 */
void tls_verified_keep(struct tls_verified *verified, const uint8_t key[static VERIFIED_KEY_SIZE], time_t now,
                       time_t until, const struct tls_peer_names *names);

/** @return the names that were kept with a key, however long ago: they follow from the bytes. Borrowed until the next is kept; NULL: none */
const struct tls_peer_names *tls_verified_names(const struct tls_verified *verified,
                                                const uint8_t key[static VERIFIED_KEY_SIZE]);

#endif
