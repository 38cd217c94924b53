/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a socket is bound or connected to: an IP address with its port, or the name of a Unix socket.
 *
 * The texts are those that guests, policies, the wire and records use:
 *
 *     192.0.2.1:80   [2001:db8::1]:80    as base/address.h
 *     /run/app/db.sock                   a path: from the root, without empty components, `.` and `..`
 *     @app                               an abstract name, without the NUL that it begins with for the kernel (unix(7))
 *     (the empty text)                   an unnamed Unix socket
 *
 * One text a name and one name a text, so that what is matched is what is used: other spellings are refused, and so are control
 * characters (C0, DEL, C1), a NUL among them, and what is not UTF-8.
 */
#ifndef NB_BASE_SOCKET_ADDRESS_H
#define NB_BASE_SOCKET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/** The longest path or abstract name, in bytes, without its NUL and without the `@`: what sun_path holds. */
#define NB_UNIX_NAME_MAX 107

/** Enough for any text that nb_socket_address_format() prints, with its NUL. */
#define NB_SOCKET_ADDRESS_TEXT_MAX 112

/** The name of a Unix socket. Zero is the unnamed one. */
struct nb_unix_name {
        bool abstract;
        uint8_t length;                  /* bytes of `text` without its NUL */
        char text[NB_UNIX_NAME_MAX + 1]; /* the path, or what follows the `@`; NUL-terminated */
};

struct nb_socket_address {
        sa_family_t family; /* AF_INET, AF_INET6 or AF_UNIX; for the first two the same as ip.ip.family */
        union {
                struct nb_address ip;
                struct nb_unix_name un;
        };
};

/** The socket address of an IP address and port. */
struct nb_socket_address nb_socket_address_of_ip(const struct nb_address *address);

/** Parses a path or an abstract name; not the empty text. @return 0, or -EINVAL. */
int nb_unix_name_parse(const char *text, size_t length, struct nb_unix_name *ret);

/** Parses the text of any kind, the empty one included. @return 0, or -EINVAL. */
int nb_socket_address_parse(const char *text, size_t length, struct nb_socket_address *ret);

/** Prints what nb_socket_address_parse() reads. @return `buffer`. */
const char *nb_socket_address_format(const struct nb_socket_address *address,
                                     char buffer[static NB_SOCKET_ADDRESS_TEXT_MAX]);

/**
 * From the kernel's form. The name of a Unix peer is a stranger's choice and has no authority: one that no text of ours
 * stands for is taken for none.
 * @param length  as the kernel told it: for a path that fills sun_path one more than `struct sockaddr_un` has, of which no more
 *                than that is read
 * @return 0, or -EAFNOSUPPORT for other families, -EINVAL for a length that does not fit.
 */
int nb_socket_address_from_sockaddr(const struct sockaddr *sa, socklen_t length, struct nb_socket_address *ret);

/** Into the kernel's form. A path stands there as it is: whoever uses it decides about links. @return the length. */
socklen_t nb_socket_address_to_sockaddr(const struct nb_socket_address *address, struct sockaddr_storage *ret);

/** An address that binds nothing before it is used: the unspecified one with port 0, or an unnamed Unix socket. */
bool nb_socket_address_is_open(const struct nb_socket_address *address);

/** An IPv4-mapped IPv6 address becomes the IPv4 address that the kernel would use, as nb_ip_unmap() does it; others stay. */
void nb_socket_address_unmap(struct nb_socket_address *address);

bool nb_socket_address_equal(const struct nb_socket_address *a, const struct nb_socket_address *b);

#endif
