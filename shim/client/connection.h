/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_CONNECTION_H
#define NB_SHIM_CLIENT_CONNECTION_H

#include "netbroker/client.h"
#include "proto/netbroker.pb-c.h"

/** What the broker tells of a connection. All borrowed. */
struct nb_connection_facts {
        const char *peer; /* its address as text */
        const char *local;
        const Nb__Security *security; /* NULL: no TLS */
};

/**
 * Makes a connection of one stream.
 * @param facts      copied
 * @param stream_fd  consumed on success
 * @return 0; -EPROTO for what the broker must not say: a text or a list beyond its bound; -ENOMEM
 */
int nb_connection_new(const struct nb_connection_facts *facts, int stream_fd, struct nb_connection **ret);

/** @return the connection's stream, borrowed, for as long as nobody has taken it; -1 then. */
int nb_connection_stream_fd(const struct nb_connection *connection);

#endif
