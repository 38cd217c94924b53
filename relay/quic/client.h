/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets of a client: one, connected to its server, and another while it moves to its server's preferred address.
 */
#ifndef NB_RELAY_QUIC_CLIENT_H
#define NB_RELAY_QUIC_CLIENT_H

struct quic_connection;
struct quic_socket;

/**
 * Takes a socket over.
 * @param fd  of UDP, connected; consumed on success only
 * @return 0 with what is owned by the caller; -errno
 */
int quic_client_socket_new(struct quic_connection *connection, int fd, struct quic_socket **ret);

#endif
