/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making one connection to one address, without waiting for it.
 *
 * The address has been judged and is dialled as it was judged. Ending the connector cancels it. Several addresses of one name are
 * broker/dialer.h's.
 *
 * A Unix socket whose backlog is full has no connect under way to wait for: the kernel says EAGAIN and forgets it, and tells nobody when there is
 * room. A blocking connect() would wait, so this one asks again from time to time until the deadline. Each time the path is
 * resolved anew, as the kernel does it, for a server may have come back meanwhile.
 */
#ifndef NB_BROKER_CONNECTOR_H
#define NB_BROKER_CONNECTOR_H

#include <stdint.h>

#include "base/socket_address.h"

struct broker;
struct connector;
struct watch_set;

/**
 * Called once, from the loop: the connector is to be freed in it.
 * @param error  0, or a positive errno
 * @param fd     the connected socket, consumed; -1 with an error
 */
typedef void (*connector_function)(void *data, int error, int fd);

struct connector_options {
        struct broker *broker;                   /* borrowed */
        struct watch_set *watches;               /* borrowed: the socket is watched there */
        const struct nb_socket_address *address; /* copied */
        uint64_t timeout_ms;                     /* until ETIMEDOUT; 0: the caller sees to that */
        connector_function function;
        void *data;
};

/**
 * Dials. When the kernel has the result at once, as on loopback, there is no connector to wait with.
 * @param fd  a non-blocking socket, consumed
 * @param ret_fd  the connected socket, owned by the caller, if it is there already
 * @param ret_connector  otherwise, owned by the caller
 * @return 0, or -errno of socket_connect()
 */
int connector_start(const struct connector_options *options, int fd, int *ret_fd, struct connector **ret_connector);

/** @return the address that is being dialled, borrowed. */
const struct nb_socket_address *connector_address(const struct connector *connector);

/** Gives up. Takes NULL. @return NULL */
struct connector *connector_free(struct connector *connector);

#endif
