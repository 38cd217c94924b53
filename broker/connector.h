/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making one connection, without waiting for it.
 *
 * The address has been judged and is dialled as it was judged. A deadline bounds the whole; ending the connector cancels it.
 *
 * A Unix socket whose backlog is full has no connect under way to wait for: the kernel says EAGAIN and forgets it, and tells nobody when there is
 * room. A blocking connect() would wait, so this one asks again from time to time until the deadline. Each time the path is
 * resolved anew, as the kernel does it, for a server may have come back meanwhile.
 */
#ifndef NB_BROKER_CONNECTOR_H
#define NB_BROKER_CONNECTOR_H

#include <stdint.h>

#include "base/socket_address.h"

struct connector;
struct control;

/**
 * Dials. When the kernel has the result at once, as on loopback, there is no connector to wait with.
 * @param fd  a non-blocking socket, consumed
 * @param timeout_ms  until ETIMEDOUT
 * @param ret_fd  the connected socket, owned by the caller, if it is there already
 * @param ret_connector  otherwise, owned by the caller; it calls control_connected() or control_connect_failed() once
 * @return 0, or -errno of socket_connect()
 */
int connector_start(struct control *control, int fd, const struct nb_socket_address *address, uint64_t timeout_ms,
                    int *ret_fd, struct connector **ret_connector);

/** @return the address that is being dialled, borrowed. */
const struct nb_socket_address *connector_address(const struct connector *connector);

/** Gives up. Takes NULL. @return NULL */
struct connector *connector_free(struct connector *connector);

#endif
