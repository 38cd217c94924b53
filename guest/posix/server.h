/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagram servers: what POSIX does with one socket, recvfrom() from anybody and sendto() back, over the host's connections, of which each peer
 * has one.
 *
 * A bound datagram socket becomes a server when it is first received on, or polled for that, before it has a peer of its own. Then the control under its number
 * listens, and stays there. Each peer's stream has a number of its own, which the program is never told; it reads from all in turn. To answer
 * takes that the peer was heard of, and the host has not forgotten it since.
 */
#ifndef NB_GUEST_POSIX_SERVER_H
#define NB_GUEST_POSIX_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <wasi/api.h>

#include "guest/posix/table.h"

struct nb_posix_server;

/** Whether a socket is one, or becomes one now: it is bound, of datagrams, and has no peer. @return 0; ENOTCONN: it is none; the host's refusal */
int nb_posix_serve(int fd, struct nb_posix_socket *socket);

/** Closes the peers' streams. Takes NULL. */
void nb_posix_server_free(struct nb_posix_server *server);

/**
 * Receives the next datagram of any peer, or waits for it.
 * @param flags  MSG_PEEK
 * @param timeout_ns  NB_POSIX_FOREVER, or what is waited for it at most
 * @return EAGAIN when the time is over
 */
int nb_posix_server_receive(int fd, struct nb_posix_server *server, const struct iovec *parts, size_t n_parts,
                            int flags, int64_t timeout_ns, size_t *ret_size, bool *ret_truncated);

/** Who has sent what was received last. @return its length; 0: without a name */
socklen_t nb_posix_server_source(const struct nb_posix_server *server, struct sockaddr_storage *ret);

/** The stream of the peer that has an address. @return its number; -1: nobody with that address was heard of */
int nb_posix_server_find(const struct nb_posix_server *server, const struct sockaddr *address, socklen_t length);

/** How many subscriptions it takes to wait for a server. */
size_t nb_posix_server_size(const struct nb_posix_server *server);

/**
 * Adds them.
 * @param userdata  below 2^32; the upper half is the server's
 * @param room      for how many there is room in `ret`, at least 1
 * @return how many they are
 */
size_t nb_posix_server_subscribe(const struct nb_posix_server *server, int fd, uint64_t userdata, size_t room,
                                 __wasi_subscription_t *ret);

/** Notes an event of one of them. */
void nb_posix_server_note(struct nb_posix_server *server, const __wasi_event_t *event);

/** Takes new peers, if some were noted. @return whether a datagram waits */
bool nb_posix_server_is_readable(int fd, struct nb_posix_server *server);

#endif
