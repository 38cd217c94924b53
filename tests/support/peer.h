/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other ends of connections: plain TCP and UDP on loopback, on ports that the kernel chooses, and Unix sockets.
 */
#ifndef NB_TESTS_SUPPORT_PEER_H
#define NB_TESTS_SUPPORT_PEER_H

#include <stdint.h>

#include "base/socket_address.h"

/** A listener, and its address as sessions write it. */
struct peer {
        int fd;
        struct nb_address address;
        char text[NB_ADDRESS_TEXT_MAX];
};

/** Listens on an address, "127.0.0.1" or "::1", with a backlog. */
struct peer peer_listen(const char *ip, int backlog);

void peer_close(struct peer *peer);

/** Waits for a connection. @return owned by the caller, blocking */
int peer_accept(const struct peer *peer);

/** Connects to an address with port, as text. @return owned by the caller, blocking; -1 with errno if refused */
int peer_connect(const char *address);

/** The same from a local address without port. */
int peer_connect_from(const char *ip, const char *address);

/**
 * Fills a listener's backlog, until the kernel drops who comes.
 * @param fds  get the connections, at least backlog + 2
 * @return how many
 */
size_t peer_fill_backlog(const struct peer *peer, int *fds, size_t max);

/* ---- UDP ---- */

/** A UDP socket on an address, "127.0.0.1" or "::1"; blocking. */
struct peer peer_udp(const char *ip);

/** Sends one datagram to an address with port. */
void peer_udp_send(const struct peer *peer, const char *address, const char *text);

/** Waits for a datagram, which must be this one. @param ret_from  gets who sent it, as text; may be NULL */
void peer_udp_expect(int fd, const char *text, char ret_from[NB_ADDRESS_TEXT_MAX]);

/** Fails if something is there to be received. */
void peer_expect_nothing(int fd);

/* ---- Unix sockets ---- */

/** Listens on a path or `@name`. @return owned by the caller, blocking; the path is the caller's to remove */
int peer_unix_listen(const char *name, int backlog);

/** Connects to a path or `@name`. @param from  bound to before, or NULL @return as peer_connect() */
int peer_unix_connect(const char *from, const char *name);

/** Waits for a connection of a listening Unix socket. @param ret_from  gets the peer's name @return as peer_accept() */
int peer_unix_accept(int fd, char ret_from[NB_SOCKET_ADDRESS_TEXT_MAX]);

/** The number behind the last colon of an address. */
uint16_t peer_port(const char *address);

/** Sends a word from one end of a connection to the other and back. */
void peer_exchange(int fd, int other_fd);

/** Waits until nobody has the other end of a pipe any more. */
void peer_expect_pipe_end(int fd);

/** Waits until the other end has closed. */
void peer_expect_end(int fd);

#endif
