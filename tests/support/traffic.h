/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic for tests of load: words that go to a peer and come back, calls through the broker, and processes that have some of it each.
 *
 * Nothing here knows of check(3): in a process that a test has started, a failed assertion would be heard by nobody. Functions return errors instead.
 */
#ifndef NB_TESTS_SUPPORT_TRAFFIC_H
#define NB_TESTS_SUPPORT_TRAFFIC_H

#include <stdint.h>
#include <sys/types.h>

#include "netbroker/client.h"

/**
 * Sends a word, and waits for it to come back.
 * @param fd           a stream, or a connected socket of datagrams; blocking or not
 * @param patience_ms  how long each half may take
 * @return 0 or -errno: -ENODATA: the peer has ended it; -ETIMEDOUT; -EBADMSG: another word came back
 */
int traffic_exchange(int fd, uint64_t word, int patience_ms);

/**
 * Connects by a control of its own, which is closed again, and takes or makes one stream.
 * @param ret_connection  owned by the caller: nb_connection_free(); what a connection of many streams lives by. NULL: it is freed here
 * @param ret_fd          the stream, owned by the caller
 * @return 0 or -errno of what has failed
 */
int traffic_call(struct nb_protocol *protocol, const char *address, enum nb_socket_type type,
                 struct nb_connection **ret_connection, int *ret_fd);

/** Closes a socket without TIME_WAIT, of which there would soon be more than there are ports. @param fd  consumed @return -1 */
int traffic_close_now(int fd);

/** Echoes what comes to each connection of a listening socket, and never returns. @param listen_fd  borrowed */
_Noreturn void traffic_serve_echo(int listen_fd);

/** Echoes datagrams to whom they came from, and never returns. @param fd  borrowed */
_Noreturn void traffic_serve_datagrams(int fd);

/**
 * Starts a process that ends with its parent.
 * @param function  when it returns, the process ends with status 0
 * @return its number, or -errno
 */
pid_t traffic_fork(void (*function)(void *data), void *data);

#endif
