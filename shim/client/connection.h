/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_CONNECTION_H
#define NB_SHIM_CLIENT_CONNECTION_H

#include "netbroker/client.h"

/**
 * Makes a connection of one stream.
 * @param peer       its address as text, copied
 * @param local      ours, as the broker told it, copied
 * @param stream_fd  consumed on success
 * @return 0, or -ENOMEM.
 */
int nb_connection_new(const char *peer, const char *local, int stream_fd, struct nb_connection **ret);

/** @return the connection's stream, borrowed, for as long as nobody has taken it; -1 then. */
int nb_connection_stream_fd(const struct nb_connection *connection);

#endif
