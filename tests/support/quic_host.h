/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of QUIC as a host of guests has them, by libnetbroker: a client in the test, and a server that echoes in a process of its own. And the daemon, its
 * policy and certificates, that they need.
 *
 *      client ── daemon, relay ══ QUIC ══ relay, daemon ── echo
 *
 * The policies have two tenants, "acme" and "other", each with one protocol "quic", which reaches and serves all of loopback. Clients verify
 * 127.0.0.1; the server's certificate is good for QUIC_HOST_NAME too, which is what peers ask for that nobody here wrote.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_QUIC_HOST_H
#define NB_TESTS_SUPPORT_QUIC_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/socket_address.h"
#include "netbroker/client.h"
#include "tests/support/certificates.h"
#include "tests/support/harness.h"

#define QUIC_HOST_NAME "quic.test"
#define QUIC_HOST_ALPN "nb-test"

struct quic_world {
        struct certificates certificates;
        struct daemon daemon;
};

/** As quic_world_start(), but the daemon is left to be started. */
void quic_world_prepare(struct quic_world *world, const char *limits, const char *keys);

/**
 * Makes certificates and a policy, and starts the daemon.
 * @param limits  lines of [Tenant] of "acme"
 * @param keys    lines of its protocol; "other" has the same without the limits
 */
void quic_world_start(struct quic_world *world, const char *limits, const char *keys);

/** Writes the policy of a tenant again; it is not read before a reload. */
void quic_world_write(const struct quic_world *world, const char *tenant, const char *limits, const char *keys);

void quic_world_end(struct quic_world *world);

/** @return the relays of the daemon, in the order in which they began: the number of them that were put into `ret` */
size_t quic_world_relays(const struct quic_world *world, pid_t *ret, size_t max);

/** @return the relay that began first. */
pid_t quic_world_relay(const struct quic_world *world);

/* ---- a client ---- */

struct quic_host {
        struct nb_session *session;
        struct nb_protocol *protocol; /* borrowed */
        struct nb_control *control;
};

/** Opens a session of a tenant, and a control of streams that can connect. */
void quic_host_open(struct quic_host *host, const struct quic_world *world, const char *tenant);

/** The same with a control of that type at an address, "127.0.0.1:0" for a server. */
void quic_host_open_at(struct quic_host *host, const struct quic_world *world, const char *tenant, const char *address,
                       enum nb_socket_type type);

void quic_host_close(struct quic_host *host);

/** Connects, and must succeed. @return owned by the caller */
struct nb_connection *quic_host_connect(const struct quic_host *host, const char *address);

/** Creates a stream of both directions, and must succeed. @return its descriptor, non-blocking, owned by the caller */
int quic_host_stream(struct nb_connection *connection);

/**
 * Has bytes echoed on streams side by side, and ends them. They must come back as they were, and nothing behind them.
 * @param length  of each stream, at least 1
 * @param seed    decides the bytes
 */
void quic_host_echo(struct nb_connection *connection, size_t n_streams, size_t length, uint64_t seed);

/* ---- a server ---- */

/** A process that listens, and echoes each stream of each connection to its end. */
struct quic_echo {
        pid_t pid;
        char address[NB_ADDRESS_TEXT_MAX];
};

void quic_echo_start(struct quic_echo *echo, const struct quic_world *world, const char *tenant);

/** Ends the process, and its session with it. */
void quic_echo_stop(struct quic_echo *echo);

#endif
