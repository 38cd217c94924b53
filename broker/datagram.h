/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From whom a datagram socket takes datagrams, by filters in the kernel (socket(7), SO_ATTACH_FILTER).
 *
 * A bound UDP socket is open to everyone until it is connected, and what came before stays in its queue. So a socket is shut when it is
 * made, before it has a port, and later takes datagrams of its peer only; or, when it listens, of everyone, and then it goes to a relay.
 *
 * The second filter asks for what connect(2) asks for, and is there for two reasons. A datagram whose way to the socket
 * began before the connect may meet the filter after it. And it is locked (SO_LOCK_FILTER): whoever holds the socket and connects it elsewhere
 * receives nothing by that.
 */
#ifndef NB_BROKER_DATAGRAM_H
#define NB_BROKER_DATAGRAM_H

#include "base/socket_address.h"

/** Makes a UDP socket drop all that comes. @return 0 or -errno */
int datagram_shut(int fd);

/**
 * Makes a bound socket take what comes from anybody: it is a server's. One that has all of the machine's addresses tells with each datagram which of
 * them it was sent to (IP_PKTINFO).
 * @param bind  what it is bound to; also the name of a Unix socket
 * @return 0 or -errno
 */
int datagram_let_in(int fd, const struct nb_socket_address *bind);

/**
 * Makes a Unix socket that is connected take what comes: from its peer only, as the kernel sees to (unix(7)). One without a name gets one of the
 * kernel's choice, so that the peer can answer.
 * @return 0 or -errno
 */
int datagram_take_from_unix(int fd);

/** Makes it take what comes from `peer`, and nothing else for ever. @return 0 or -errno */
int datagram_take_from(int fd, const struct nb_address *peer);

#endif
