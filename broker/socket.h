/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that the broker makes for its tenants, and the options it sets on them.
 */
#ifndef NB_BROKER_SOCKET_H
#define NB_BROKER_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "policy/policy.h"

struct own;
struct unix_file;

/**
 * Makes a socket: non-blocking, close-on-exec. A datagram socket takes nothing yet (broker/datagram.h), and a Unix socket no
 * descriptors: who closes it, we among others, would wait for those that linger in its queue.
 * @return a descriptor owned by the caller, or -errno
 */
int socket_new(sa_family_t family, enum policy_socket_type type);

/**
 * Binds to an IP address. For streams with SO_REUSEADDR, which lets a server come back to its port while old connections are in TIME_WAIT; for
 * datagrams without, for there it lets two sockets have one port. SO_REUSEPORT is never set. To the kernel all our sockets have
 * one owner, and either would let one tenant take a share of another's port.
 * @param address     gets the port that the kernel chose
 * @param dual_stack  an IPv6 socket that serves IPv4 too
 * @return 0 or -errno
 */
int socket_bind_ip(int fd, enum policy_socket_type type, struct nb_address *address, bool dual_stack);

/**
 * Binds to the name of a Unix socket.
 * @param mode  of the file, if the name is a path
 * @param ret   the file, owned by the caller; NULL for an abstract name
 * @return 0 or -errno; -EINVAL for the empty name, which would make the kernel choose one
 */
int socket_bind_unix(int fd, const struct nb_unix_name *name, mode_t mode, struct unix_file **ret);

/**
 * Connects without waiting; a path without following links.
 * @param own  the broker's own sockets, which no path may lead to; borrowed
 * @return 0 or -errno of connect(2); for paths see broker/unix_path.h
 */
int socket_connect(int fd, const struct nb_socket_address *address, const struct own *own);

#endif
