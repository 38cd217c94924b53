/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resumption of a client's sessions, out of the relay's cache and into it.
 */
#ifndef NB_RELAY_TLS_RESUME_H
#define NB_RELAY_TLS_RESUME_H

struct tls_session;

/** Offers the server a session that was made with it, if there is one. Before the handshake. */
void tls_resume_offer(struct tls_session *session);

/** Keeps the session for later, once, if the server has given a ticket. Harmless at any time behind the handshake. */
void tls_resume_keep(struct tls_session *session);

#endif
