/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From whom a datagram socket takes datagrams, by filters in the kernel (socket(7), SO_ATTACH_FILTER).
 *
 * A bound UDP socket is open to everyone until it is connected, and what came before stays in its queue. So a socket is shut when it is
 * made, before it has a port, and later takes datagrams of its peer only.
 *
 * The second filter asks for what connect(2) asks for, and is there for two reasons. A datagram whose way to the socket
 * began before the connect may meet the filter after it. And it is locked (SO_LOCK_FILTER): whoever holds the socket and connects it elsewhere
 * receives nothing by that.
 */
#ifndef NB_BROKER_DATAGRAM_H
#define NB_BROKER_DATAGRAM_H

#include "base/address.h"

/** Makes a UDP socket drop all that comes. @return 0 or -errno */
int datagram_shut(int fd);

/** Makes it take what comes from `peer`, and nothing else for ever. @return 0 or -errno */
int datagram_take_from(int fd, const struct nb_address *peer);

#endif
