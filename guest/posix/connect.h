/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a number becomes a connection: the control under it connects, and the stream takes its place.
 */
#ifndef NB_GUEST_POSIX_CONNECT_H
#define NB_GUEST_POSIX_CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/posix/address.h"
#include "guest/posix/table.h"

/**
 * Looks whether a connection under way has its result, without waiting, and takes it: then the socket is CONNECTED, or NEW.
 * @return EINPROGRESS: it has none; any other error is the result
 */
int nb_posix_connect_take(int fd, struct nb_posix_socket *socket);

/** Waits for the result and takes it. @return EINPROGRESS when the time is over */
int nb_posix_connect_wait(int fd, struct nb_posix_socket *socket, int64_t timeout_ns);

/**
 * Connects a NEW socket, as connect() does: it waits, unless the descriptor is nonblocking, as long as the send timeout says.
 * @return EINPROGRESS: it goes on
 */
int nb_posix_connect_start(int fd, struct nb_posix_socket *socket, const struct nb_posix_target *target);

/**
 * Makes sure that a socket has its stream, before it is sent or received on.
 * @param wait  for a connection under way, if the descriptor does
 * @return ENOTCONN; EAGAIN: it is under way; the error of a connection that failed
 */
int nb_posix_connect_settle(int fd, struct nb_posix_socket *socket, bool wait);

#endif
