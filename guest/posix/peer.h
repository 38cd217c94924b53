/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of the two ends of a socket. */
#ifndef NB_GUEST_POSIX_PEER_H
#define NB_GUEST_POSIX_PEER_H

#include <sys/socket.h>

/** Gives a program the peer's address, if it asks for it. What the host does not tell has the length 0. */
void nb_posix_peer_store(int fd, struct sockaddr *buffer, socklen_t *length);

/**
 * Gives a program the address that a message came from, if it asks for it. As on Linux the length is 0 for a stream of IP, and for a peer
 * without a name.
 */
void nb_posix_source_store(int fd, struct sockaddr *buffer, socklen_t *length);

/** The socket's address. @return ENOTSOCK; ENOBUFS: the host's text is no address */
int nb_posix_local_address(int fd, struct sockaddr_storage *ret, socklen_t *ret_length);

#endif
