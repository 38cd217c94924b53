/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several messages by one system call (recvmmsg(2), sendmmsg(2)), each with its way.
 */
#ifndef NB_RELAY_DATAGRAM_BATCH_H
#define NB_RELAY_DATAGRAM_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "relay/datagram/route.h"

/** Messages of one batch. */
#define BATCH_SIZE 16

/** The longest message: more than any of UDP's (RFC 768, 65,507 over IPv4). Longer ones of Unix sockets are cut, which is told. */
#define BATCH_MESSAGE_MAX 65536

struct batch {
        unsigned n;    /* messages that it holds */
        unsigned sent; /* those of them that are gone */
        struct mmsghdr headers[BATCH_SIZE];
        struct iovec parts[BATCH_SIZE];
        struct route_buffer routes[BATCH_SIZE];
        uint8_t bytes[BATCH_SIZE][BATCH_MESSAGE_MAX]; /* memory that no message has reached costs nothing */
};

/** @return an empty one, owned by the caller: free(); NULL without memory */
struct batch *batch_new(void);

/**
 * Receives what there is of a pair's messages, which have no ways, into an empty batch.
 * @return how many (> 0); -EAGAIN; another -errno
 */
int batch_receive(struct batch *batch, int fd);

/** The same of a socket's datagrams, with their ways. @param control_size  room for what the kernel tells of each (route_control_size()) */
int batch_receive_routed(struct batch *batch, int fd, size_t control_size);

/** Whether a message of a pair is none, but the end of the stream. */
bool batch_is_end(const struct batch *batch, unsigned i);

/** Whether a message was longer than fits. */
bool batch_is_cut(const struct batch *batch, unsigned i);

/** Has the first `n` messages of a batch that came from a pair go to one peer. */
void batch_address(struct batch *batch, unsigned n, const struct route *route);

/**
 * Sends what is left of a batch. A message that cannot be sent, for its size or its way, is skipped.
 * @param n_skipped  counted up
 * @return 0 when it is empty again; -EAGAIN
 */
int batch_send(struct batch *batch, int fd, uint64_t *n_skipped);

#endif
