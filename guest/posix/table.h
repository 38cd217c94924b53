/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the library knows of a socket that the host does not, by its number.
 *
 * socket() must return a number before it is known whether the socket will listen or connect, and to what. The number is that of a
 * control of the host, and stays the program's: bind() puts a bound control in its place by fd_renumber, and so does connect() with the
 * stream. There is never a second descriptor behind a number, so whoever closes it, in whatever way, closes all there is.
 *
 * An entry is made by socket(), and for sockets from elsewhere (accepted or preopened ones) only when something is to be
 * remembered of them. The library's close() and __wasilibc_fd_renumber() keep the table in step. A program that calls the
 * host's functions itself can leave an entry behind; nb_posix_find() therefore compares it with what the host says the number is, and an
 * entry is reused with its number, so that no such program can make the table grow.
 */
#ifndef NB_GUEST_POSIX_TABLE_H
#define NB_GUEST_POSIX_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nb_posix_server;

/** The options of a stream that can be set before there is one: __WASI_NETWORKING_OPTION_… below this. */
#define NB_POSIX_N_OPTIONS 10

/*
 * The states of a socket, and what leaves them. nb_posix_set_state() is the only place that changes it.
 *
 *   NEW         a control, bound or not: listen() → LISTENING; connect() → CONNECTING or CONNECTED
 *   LISTENING   a control, of datagrams if it is a server (guest/posix/server.h): nothing
 *   CONNECTING  a control whose connect() has no result yet: poll(), connect() and what needs the stream → CONNECTED, or NEW with `error`
 *   CONNECTED   a stream: connect() of a datagram socket → NEW
 */
enum nb_posix_socket_state {
        NB_POSIX_NEW,
        NB_POSIX_LISTENING,
        NB_POSIX_CONNECTING,
        NB_POSIX_CONNECTED,
};

struct nb_posix_socket {
        enum nb_posix_socket_state state;
        uint8_t family; /* AF_…; AF_UNSPEC: not asked yet */
        uint8_t type;   /* SOCK_… */
        bool bound;
        bool reuse_address;          /* remembered only: the broker decides that */
        bool unreported;             /* a result that came without connect(), which has not told it yet */
        int error;                   /* SO_ERROR, an errno */
        uint32_t receive_timeout_ms; /* 0: none */
        uint32_t send_timeout_ms;
        struct nb_posix_server *server; /* owned; NULL: it is none */
        char *target;                   /* what connect() named, as the host was told; owned; NULL: nothing */
        uint32_t placeholder;           /* that `target` is the name of, from 1; 0: it is an address */
        uint16_t port;                  /* of the placeholder, in network order */
        uint16_t options_set;           /* bits by option */
        uint32_t options[NB_POSIX_N_OPTIONS];
};

/** Entries by number; NULL: none. */
struct nb_posix_table {
        struct nb_posix_socket **entries;
        size_t capacity;
};

/** The entry of a number, and nothing is asked of the host: it may be stale. @return borrowed, or NULL */
struct nb_posix_socket *nb_posix_peek(int fd);

/** The entry of a number that is still what the entry says. @return borrowed, or NULL */
struct nb_posix_socket *nb_posix_find(int fd);

/** Makes an empty entry in the place of any other. @return borrowed, or NULL for want of memory */
struct nb_posix_socket *nb_posix_enter(int fd);

/** The entry of a socket, made if there is none. @param ret  borrowed @return EBADF, ENOTSOCK or ENOMEM */
int nb_posix_obtain(int fd, struct nb_posix_socket **ret);

/** Forgets an entry, if there is one. */
void nb_posix_forget(int fd);

/** Moves an entry, or the lack of one, to another number. */
void nb_posix_move(int from, int to);

void nb_posix_set_state(struct nb_posix_socket *socket, enum nb_posix_socket_state state);

#endif
