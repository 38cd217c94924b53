/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of a connection: TLS 1.3 by GnuTLS, set up and judged as over TCP (relay/tls/session.h), its messages carried by QUIC.
 *
 * What is verified, and by what, is the context's. On top of that the peer must agree on a protocol (ALPN) in both roles, as QUIC demands. Messages of
 * TLS after the handshake are tickets, and so many of them; an update of keys is QUIC's own affair, and none of TLS's (RFC 9001, 6).
 */
#ifndef NB_RELAY_QUIC_TLS_H
#define NB_RELAY_QUIC_TLS_H

#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct context;
struct quic_connection;
struct quic_tls;
struct tls_failure;
struct tls_security;
struct tls_session_setup;

/**
 * Makes the session of a connection whose `conn` is to be made, and asks for it in callbacks only.
 * @param setup  with a context that has credentials of that role (quic_tls_is_possible())
 * @return owned by the caller; NULL without memory
 */
struct quic_tls *quic_tls_new(struct quic_connection *connection, const struct tls_session_setup *setup);

/** Takes NULL. @return NULL */
struct quic_tls *quic_tls_free(struct quic_tls *tls);

/** Whether a context has what that role of QUIC needs: credentials, TLS 1.3, and protocols to agree on. */
bool quic_tls_is_possible(const struct context *context, bool as_server);

/** Has the library find the session. */
void quic_tls_attach(struct quic_tls *tls, ngtcp2_conn *conn);

/** Why it came to nothing; its cause is UNSPECIFIED where it has not. Borrowed. */
const struct tls_failure *quic_tls_failure(const struct quic_tls *tls);

/** What was agreed on. @return owned by the caller: free(); NULL without memory */
struct tls_security *quic_tls_security(const struct quic_tls *tls);

/** Gives the client a ticket, if the context says so. Once, when the handshake is done. */
void quic_tls_give_ticket(struct quic_tls *tls);

/** A callback of the library: messages of TLS have come. */
int quic_tls_on_data(ngtcp2_conn *conn, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *data,
                     size_t length, void *user_data);

/** The library's callback: a key to send with is there. */
int quic_tls_on_key(ngtcp2_conn *conn, ngtcp2_encryption_level level, void *user_data);

#endif
