/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile holder of a connected socket can try. Each function tries one thing, with the means of any process, and says what the kernel said.
 *
 * The same functions are the probe's and the tests'.
 */
#ifndef NB_SEAL_ESCAPE_H
#define NB_SEAL_ESCAPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/probe_message.h"

/** A socket, and where it is not to lead. */
struct escape_target {
        int fd; /* borrowed; non-blocking */
        bool is_stream;
        struct sockaddr_storage elsewhere; /* of the socket's family */
        socklen_t elsewhere_length;
        struct sockaddr_storage other; /* of IPv4, for a socket of IPv6 */
        socklen_t other_length;        /* 0: none */
};

/** Makes a target of a socket. @param ports  elsewhere on loopback, of IPv4 and of IPv6 @return 0 or -errno */
int escape_target_init(struct escape_target *ret, int fd, const uint16_t ports[static 2]);

/** Dissolves the socket's association with its peer. Nothing asks who does. @return 0 or -errno */
int escape_disconnect(const struct escape_target *target);

/** Whether an escape is one for this kind of socket. */
bool escape_applies(enum nb_probe_escape escape, const struct escape_target *target);

/**
 * Tries one. For NB_PROBE_LISTEN and NB_PROBE_RECEIVE that is the first half: see escape_port() and escape_was_reached().
 * @return 0 when it worked; -errno, where -EINPROGRESS and -ECONNREFUSED mean that a packet has left
 */
int escape_try(enum nb_probe_escape escape, const struct escape_target *target);

/** The port at which the socket is now, or 0. */
uint16_t escape_port(const struct escape_target *target);

/** Whether a connection or a datagram has come to a socket that was made to listen or receive. */
bool escape_was_reached(const struct escape_target *target);

#endif
