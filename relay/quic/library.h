/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library is told of a connection when it is made: its transport parameters, its settings, and whom it calls.
 *
 * Nobody is told of keys or packets by a log: there is none, and no qlog.
 */
#ifndef NB_RELAY_QUIC_LIBRARY_H
#define NB_RELAY_QUIC_LIBRARY_H

#include <ngtcp2/ngtcp2.h>

#include "relay/quic/packet.h"

struct quic_connection;
struct quic_first;

/**
 * Makes a server's state machine, and the ID that its client is to use.
 * @param connection  with its settings; its `conn` is set here, and `ids` of the endpoint's table has that ID
 * @return 0; -ENOMEM; another -errno
 */
int quic_library_serve(struct quic_connection *connection, const struct quic_first *first);

/** Makes a client's. @param path  from its socket to the peer @return 0; -ENOMEM */
int quic_library_dial(struct quic_connection *connection, const struct quic_path *path);

/** The library's clock, in nanoseconds. */
ngtcp2_tstamp quic_library_now(void);

#endif
