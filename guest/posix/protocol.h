/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the host's protocols serves a socket: POSIX programs name a family of addresses, not a protocol.
 *
 * Tried are the protocol that the program or its environment chose, then the others in the host's order; the first that opens is taken.
 * For addresses that bind nothing, the host's answer for a family is remembered, so that socket() costs one call.
 */
#ifndef NB_GUEST_POSIX_PROTOCOL_H
#define NB_GUEST_POSIX_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <wasi/api.h>

/** More than a policy has for one guest. */
#define NB_POSIX_PROTOCOLS_MAX 64

/** AF_INET, AF_INET6 and AF_UNIX, each with streams and datagrams. */
#define NB_POSIX_N_SERVICES 6

struct nb_posix_protocol {
        __wasi_fd_t fd;
        __wasi_rights_t inheriting; /* what it passes on */
};

struct nb_posix_protocols {
        struct nb_posix_protocol list[NB_POSIX_PROTOCOLS_MAX]; /* in the order of trying */
        size_t n;
        bool loaded;
        unsigned char first[NB_POSIX_N_SERVICES]; /* where in the list trying starts, by family and type */
};

/**
 * Opens a control for a family, bound to what serves any address of it.
 * @return EAFNOSUPPORT: no protocol has such addresses; EPROTONOSUPPORT: there is one, and it has no sockets of that type; EACCES; …
 */
int nb_posix_open(int family, int type, bool nonblock, int *ret_fd);

/** Opens a control bound to an address, on the first protocol that grants it. @param length  of the text, in bytes */
int nb_posix_open_bound(int family, int type, bool nonblock, const char *address, size_t length, int *ret_fd);

#endif
