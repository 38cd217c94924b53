/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers, versions 1 and 2 (HAProxy's proxy-protocol.txt): who the peer of a proxy's peer is. Read and written without any I/O.
 *
 * The reader is told what there is, and says how many bytes there must be at least; who reads exactly so many from a socket never reads one that
 * belongs to the stream. Numbers and addresses are strict, in one spelling. Of what the specification leaves to the receiver:
 *
 *  - TLVs must fit into the header and are skipped, a checksum among them too.
 *  - UNKNOWN, LOCAL, and a family that is unspecified say nothing: the socket's own addresses are true.
 *  - So do addresses of Unix sockets: the peer is a process of the proxy's own host, and no rule of an IP listener could judge it otherwise.
 *  - Datagrams (UDP4, UDP6, DGRAM) are refused, for this is in front of a stream.
 *
 * An IPv4 address inside IPv6 is told as it stands; the broker judges it as IPv4.
 */
#ifndef NB_RELAY_PROXY_HEADER_H
#define NB_RELAY_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/** The longest header of version 1, with CR and LF. */
#define PROXY_HEADER_V1_MAX 107

/** The longest of version 2 that is taken, TLVs included. */
#define PROXY_HEADER_V2_MAX 4096

/** The longest of version 2 that is written. */
#define PROXY_HEADER_WRITTEN_MAX 128

struct proxy_header {
        bool has_addresses; /* otherwise the socket's own are true */
        struct nb_address source;
        struct nb_address destination;
};

/**
 * Reads what there is of a header.
 * @param ret            set where the return is 0
 * @param ret_complaint  set where it is -EBADMSG: why, a part of a sentence
 * @return 0: it is whole and has exactly `length` bytes; how many there must be at least, more than `length` and at most
 *         PROXY_HEADER_V2_MAX; -EBADMSG
 */
int proxy_header_read(const uint8_t *bytes, size_t length, struct proxy_header *ret, const char **ret_complaint);

/**
 * Writes a header.
 * @param version  1 or 2
 * @param header   both addresses of one family
 * @return how many bytes; -EINVAL
 */
int proxy_header_write(unsigned version, const struct proxy_header *header,
                       uint8_t buffer[static PROXY_HEADER_WRITTEN_MAX]);

#endif
