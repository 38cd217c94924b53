/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making one connection, without waiting for it.
 *
 * The address has been judged and is dialled as it was judged. A deadline bounds the whole; ending the connector cancels it.
 */
#ifndef NB_BROKER_CONNECTOR_H
#define NB_BROKER_CONNECTOR_H

#include <stdint.h>

#include "base/address.h"

struct connector;
struct control;

/**
 * Dials. When the kernel has the result at once, as on loopback, there is no connector to wait with.
 * @param fd  a non-blocking stream socket, consumed
 * @param timeout_ms  until ETIMEDOUT
 * @param ret_fd  the connected socket, owned by the caller, if it is there already
 * @param ret_connector  otherwise, owned by the caller; it calls control_connected() or control_connect_failed() once
 * @return 0, or -errno of connect(2)
 */
int connector_start(struct control *control, int fd, const struct nb_address *address, uint64_t timeout_ms, int *ret_fd,
                    struct connector **ret_connector);

/** @return the address that is being dialled, borrowed. */
const struct nb_address *connector_address(const struct connector *connector);

/** Gives up. Takes NULL. @return NULL */
struct connector *connector_free(struct connector *connector);

#endif
