/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a handshake, to and from `link->peer`, as far as they go without waiting.
 */
#ifndef NB_RELAY_PROXY_EXCHANGE_H
#define NB_RELAY_PROXY_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

struct link;

/**
 * Writes what is left of a message.
 * @param sent  how many of its bytes have been written; goes on
 * @return 0 when all are; -EAGAIN; another -errno
 */
int exchange_send(struct link *link, const void *bytes, size_t length, size_t *sent);

/**
 * Reads until there are `wanted` bytes, and no more.
 * @param have  how many there are; goes on
 * @return 0 when all are there; -EAGAIN; -ENODATA for an end of the stream before; another -errno
 */
int exchange_receive(struct link *link, uint8_t *buffer, size_t wanted, size_t *have);

/**
 * Notes why a link ends by an error of one of these with a proxy: that it closed, or what the system says.
 * @param target  what the proxy was asked for
 * @return as link_fail()
 */
int exchange_fail(struct link *link, const char *stage, const char *target, int error);

#endif
