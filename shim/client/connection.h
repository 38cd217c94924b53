/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_CONNECTION_H
#define NB_SHIM_CLIENT_CONNECTION_H

#include <stdbool.h>

#include "netbroker/client.h"
#include "proto/netbroker.pb-c.h"

struct nb_context;

/** What the broker tells of a connection. All borrowed. */
struct nb_connection_facts {
        const char *peer; /* its address as text */
        const char *local;
        const Nb__Security *security; /* NULL: no TLS */
        bool multiplexed;             /* what came with it is a connection channel, and not the stream */
        bool datagrams;               /* as its control's type says */
};

/**
 * Makes a connection.
 * @param context  a reference is taken where the connection multiplexes
 * @param facts    copied
 * @param fd       the stream, or the connection channel; consumed on success
 * @return 0; -EPROTO for what the broker must not say: a text or a list beyond its bound; -ENOMEM
 */
int nb_connection_new(struct nb_context *context, const struct nb_connection_facts *facts, int fd,
                      struct nb_connection **ret);

/** @return the only stream of a connection that does not multiplex, borrowed, for as long as nobody has taken it; -1 otherwise. */
int nb_connection_stream_fd(const struct nb_connection *connection);

/** As nb_connection_ready(), by what is known already: nothing is taken in. */
short nb_connection_known(const struct nb_connection *connection);

/** @return how many streams nb_stream_accept() would give without waiting, as far as they were taken in by nb_connection_ready() */
unsigned nb_connection_n_incoming(const struct nb_connection *connection);

/**
 * Closes the channel of a multiplexed connection: its streams go on, and there will be no others, which the peer is told when it makes one. The facts
 * can still be asked for. One that does not multiplex is left as it is.
 */
void nb_connection_retire(struct nb_connection *connection);

#endif
