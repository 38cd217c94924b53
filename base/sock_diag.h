/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of TCP and UDP sockets of this network namespace, and how they are destroyed: sock_diag(7).
 *
 * Events say that a socket is freed. Tried on Linux 6.18: a TCP socket's comes when the kernel needs it no more, so not while data that
 * was written before the close is unacknowledged (FIN_WAIT1, CLOSING, LAST_ACK), but before TIME_WAIT, which is another object with the same
 * cookie; none comes for requests that were never accepted. They name the cookie, and all of a namespace's processes cause them.
 * A queue that is full drops events (-ENOBUFS), and so does the kernel, without a word, where it has no memory for one.
 *
 * A dump knows sockets that are connected, closing or listening; those that have been disconnected it does not. It has what the
 * kernel walks past while it is read, and is no snapshot.
 */
#ifndef NB_BASE_SOCK_DIAG_H
#define NB_BASE_SOCK_DIAG_H

#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"

/** Which sockets a dump is about. */
struct nb_sock_diag_query {
        sa_family_t family; /* AF_INET or AF_INET6 */
        uint8_t protocol;   /* IPPROTO_TCP or IPPROTO_UDP */
        uint32_t states;    /* bits of TCP_ESTABLISHED and so on */
        bool memory;        /* also what its buffers take */
};

/** All states, and those in which a TCP socket can be that nobody has a descriptor of. */
#define NB_SOCK_DIAG_ANY_STATE UINT32_MAX
#define NB_SOCK_DIAG_CLOSING_STATES (1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING)

/** By what a socket is found. */
struct nb_sock_diag_id {
        uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
        struct nb_address local, peer;
        uint64_t cookie;
};

/** One socket, of a dump or a question. */
struct nb_sock_diag_socket {
        struct nb_sock_diag_id id;
        uint8_t state;
        bool time_wait;  /* what is left of it is not the socket */
        uid_t uid;       /* of who made it */
        uint64_t memory; /* in bytes, if it was asked for */
};

typedef void (*nb_sock_diag_event_function)(void *data, uint64_t cookie);
typedef void (*nb_sock_diag_socket_function)(void *data, const struct nb_sock_diag_socket *socket);

/**
 * Opens a socket for the events of TCP and UDP over IPv4 and IPv6, which get there once nb_sock_diag_listen() asks for them. Its queue is made as
 * long as this process may.
 * @return a descriptor, non-blocking, owned by the caller; or -errno
 */
int nb_sock_diag_open_events(void);

/**
 * Has events come, or not any more; those that came already stay to be read. Needs no privilege.
 * @param fd  of nb_sock_diag_open_events()
 * @return 0, or -errno: without memory some of them do not come
 */
int nb_sock_diag_listen(int fd, bool listens);

/**
 * Takes some of the events that are there, and calls the function for each.
 * @return 0 when there may be more; -EAGAIN when there are no more; -ENOBUFS when some were lost; another -errno
 */
int nb_sock_diag_read_events(int fd, nb_sock_diag_event_function function, void *data);

/** Opens a socket for dumps, and for questions about single sockets. @return as nb_sock_diag_open_events() */
int nb_sock_diag_open(void);

/** Asks for a dump. The one before must have been read to its end. @return 0 or -errno */
int nb_sock_diag_ask_dump(int fd, const struct nb_sock_diag_query *query);

/**
 * Reads a part of a dump, some 32 KiB, and calls the function for each socket in it.
 * @return 1 at its end; 0 when there is more; -EAGAIN when nothing is there yet; another -errno: the dump is over
 */
int nb_sock_diag_read_dump(int fd, const struct nb_sock_diag_query *query, nb_sock_diag_socket_function function,
                           void *data);

/** Asks for one socket, and waits for the answer, which the kernel has at once. @return 0; -ENOENT when there is no such socket; another -errno */
int nb_sock_diag_find(int fd, const struct nb_sock_diag_id *id, struct nb_sock_diag_socket *ret);

/**
 * Destroys a socket in its holder's hands, who gets ECONNABORTED; its peer is reset. Needs CAP_NET_ADMIN.
 * @return 0; -ENOENT when there is no such socket; -EPERM; -EOPNOTSUPP where the kernel was built without it
 */
int nb_sock_diag_destroy(int fd, const struct nb_sock_diag_id *id);

#endif
