/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One packet as it came, and the path that it took.
 */
#ifndef NB_RELAY_QUIC_PACKET_H
#define NB_RELAY_QUIC_PACKET_H

#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/** An address of either family. */
union quic_address {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
};

struct quic_path {
        union quic_address local; /* with the port of the socket */
        union quic_address remote;
};

struct quic_packet {
        const uint8_t *bytes; /* borrowed for the time of the call */
        size_t length;
        struct quic_path path;
        uint8_t ecn; /* the two bits of IP */
};

/** How long an address is. */
static inline socklen_t quic_address_size(const union quic_address *address) {
        return address->any.sa_family == AF_INET6 ? sizeof(address->in6) : sizeof(address->in);
}

/** Whether they are the same, port included. */
bool quic_address_equal(const union quic_address *a, const union quic_address *b);

/** The path as ngtcp2 takes it, borrowed from `path`. */
ngtcp2_path quic_path_for_library(const struct quic_path *path);

/** "192.0.2.1:443" or "[2001:db8::1]:443", for reports: a mapped address as the IPv4 address that it is. */
#define QUIC_ADDRESS_TEXT_MAX 64
const char *quic_address_format(const union quic_address *address, char text[static QUIC_ADDRESS_TEXT_MAX]);

#endif
