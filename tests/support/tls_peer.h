/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that speak TLS and that nobody here wrote: openssl(1), gnutls-serv(1), gnutls-cli(1), nginx, stunnel.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_TLS_PEER_H
#define NB_TESTS_SUPPORT_TLS_PEER_H

#include <stdint.h>

#include "tests/support/certificates.h"
#include "tests/support/process.h"

/**
 * Starts `openssl s_server` on a port of its own choice, which answers GET by a page about the connection.
 * @param name     whose certificate it shows
 * @param further  arguments, up to a NULL; may be NULL
 * @return its port on 127.0.0.1
 */
uint16_t tls_peer_openssl(struct process *process, const struct certificates *certificates, const char *name,
                          const char *const *further);

/** @return a connected socket, owned by the caller */
int tls_peer_connect(uint16_t port);

/** The same to a server that may still be starting, and says nothing when it has. */
int tls_peer_connect_when_ready(uint16_t port);

/** @return a listening socket on 127.0.0.1, owned by the caller */
int tls_peer_listen(uint16_t *ret_port);

/** @return who connects to it, waited for; owned by the caller */
int tls_peer_accept(int listener);

/** A port that was free a moment ago: for servers that cannot choose one themselves. */
uint16_t tls_peer_free_port(void);

/**
 * Starts stunnel for one connection.
 * @param fd       consumed: what it serves, plain for a client of TLS, and TLS for a server
 * @param options  lines of its configuration, `connect = 127.0.0.1:PORT` among them
 */
void tls_peer_stunnel(struct process *process, const struct certificates *certificates, int fd, const char *options);

#endif
