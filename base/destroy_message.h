/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What netbrokerd and netbroker-helper(8) say to each other, over an AF_UNIX SOCK_SEQPACKET socket: one request a message and one answer a
 * message, in the order of the requests. Both have one size, so that there is nothing to parse; both ends are of this machine.
 */
#ifndef NB_BASE_DESTROY_MESSAGE_H
#define NB_BASE_DESTROY_MESSAGE_H

#include <assert.h>
#include <stdint.h>

/** Changes with the structs. A message of another version ends the connection. */
#define NB_DESTROY_VERSION 1

/** The most requests that may be without an answer. */
#define NB_DESTROY_WINDOW 32

/** Destroy this socket, if the one who asks has made it. */
struct nb_destroy_request {
        uint32_t version;
        uint16_t family;   /* AF_INET or AF_INET6 */
        uint16_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
        uint64_t serial;   /* comes back in the answer */
        uint64_t cookie;   /* SO_COOKIE */
        uint16_t local_port;
        uint16_t peer_port;
        uint32_t zero;
        uint8_t local[16]; /* network order; with AF_INET the first 4 */
        uint8_t peer[16];
};

struct nb_destroy_answer {
        uint32_t version;
        int32_t error; /* 0: it is destroyed; -ENOENT: there is no such socket; -EPERM: it is another user's; another -errno */
        uint64_t serial;
};

static_assert(sizeof(struct nb_destroy_request) == 64, "no padding");
static_assert(sizeof(struct nb_destroy_answer) == 16, "no padding");

#endif
