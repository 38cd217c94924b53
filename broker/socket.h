/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that the broker makes for its tenants, and the options it sets on them.
 */
#ifndef NB_BROKER_SOCKET_H
#define NB_BROKER_SOCKET_H

#include <stdbool.h>

#include "base/address.h"

/**
 * Makes a stream socket: non-blocking, close-on-exec, IPv6 ones for IPv6 only.
 * @return a descriptor owned by the caller, or -errno
 */
int socket_new_stream(sa_family_t family);

/**
 * Binds. SO_REUSEADDR lets a server come back to its port while old connections are in TIME_WAIT; SO_REUSEPORT is never
 * set, for to the kernel all our sockets have one owner, and it would let one tenant take a share of another's port.
 * @param address     gets the port that the kernel chose
 * @param dual_stack  an IPv6 socket that serves IPv4 too
 * @return 0 or -errno
 */
int socket_bind(int fd, struct nb_address *address, bool dual_stack);

#endif
