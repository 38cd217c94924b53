/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the addresses of POSIX and the texts of the host: `192.0.2.1:80`, `[2001:db8::1]:80`, `/run/db.sock`, `@abstract`, the
 * empty text for a Unix socket without a name, and `name:port` where a placeholder stands for a name.
 */
#ifndef NB_GUEST_POSIX_ADDRESS_H
#define NB_GUEST_POSIX_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <wasi/networking_ext.h>

struct nb_posix_target {
        char text[WASI_NETWORKING_ADDRESS_MAX];
        size_t length;
        uint32_t placeholder; /* whose name the text has; 0: the text is an address */
        uint16_t port;        /* of the placeholder, in network order */
};

/** Where a Unix socket's address begins to differ from its family. */
#define NB_POSIX_UN_HEADER offsetof(struct sockaddr_un, sun_path)

/**
 * The text of an address that a program passes.
 * @param family  the socket's; AF_UNSPEC: any that is known
 * @return EINVAL: the length does not fit, or the host has no such address; EAFNOSUPPORT: it is of another family
 */
int nb_posix_address_format(const struct sockaddr *address, socklen_t length, int family, struct nb_posix_target *ret);

/** The address of a text of the host's. @return its length; 0: it is none */
socklen_t nb_posix_address_parse(const char *text, size_t length, struct sockaddr_storage *ret);

/** The address that a placeholder is, with a port in network order. @return its length */
socklen_t nb_posix_address_of_placeholder(int family, uint32_t placeholder, uint16_t port,
                                          struct sockaddr_storage *ret);

/** Gives a program an address as POSIX does: cut where there is no room, with its whole length. Does nothing when `buffer` is NULL. */
void nb_posix_address_store(const struct sockaddr_storage *address, socklen_t length, struct sockaddr *buffer,
                            socklen_t *buffer_length);

#endif
