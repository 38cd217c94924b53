/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our end of the pair whose other end the guest has, and how the guest learns how its stream has ended.
 *
 * A pair has a FIN (shutdown) and no reset. But the kernel tells whoever has the other end ECONNRESET, behind all that was sent, if an end is closed
 * that has not read everything (unix(7) is silent, unix_release_sock() in net/unix/af_unix.c does it). So our queue is never read empty:
 * the broker writes one byte into the guest's end before it hands that out, and from then on the last byte that was forwarded stays where
 * it is. However this process ends, killed included, the guest reads what was sent and then ECONNRESET; only after a clean end of both directions is that
 * last byte taken out.
 *
 * To read without taking, the kernel counts how far it was looked at (SO_PEEK_OFF, socket(7)):
 *
 *      queue:   f f f f f n n n n n         f: forwarded already, `seen` bytes, at least one of them; n: new
 *                         ▲ where the next look begins
 *
 * What was seen is taken out by a second recv, but for one byte: a queue of many small writes would be charged to the guest's end, and a guest that polls for
 * writing be told to wait for somebody who has read it all. A long transfer would be
 * copied twice by that, so there the queue's length is asked for (SIOCINQ), and all but the last byte is taken, which then is new when more comes.
 *
 * With messages (SOCK_SEQPACKET) it is the same with the last message instead of the last byte. An empty one looks like the end; they are told
 * apart by SO_TIMESTAMP: with a message, and not with the end, comes a control message for which there is no room (MSG_CTRUNC).
 */
#ifndef NB_RELAY_PAIR_H
#define NB_RELAY_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "relay/transport.h"

/* Of an end that the broker has sent the constructor is transport_new_pair(). */

/**
 * Makes a pair, with the byte that is never read in it: for a stream of a connection whose guest has a channel to us (relay/quic/guest_channel.h).
 * @param datagrams     it keeps message borders
 * @param ret           our end; owned by the caller
 * @param ret_guest_fd  to be sent to the guest's host; owned by the caller
 * @return 0 or -errno
 */
int pair_new(bool datagrams, struct transport **ret, int *ret_guest_fd);

/** As `write`, of several parts. */
ssize_t pair_write_parts(struct transport *transport, const struct iovec *parts, size_t n_parts);

/** Both directions are over as they should be: freeing it tells the guest an end of file, also where the guest has not ended. */
void pair_settle(struct transport *transport);

/** Has the guest's writes fail (EPIPE): nobody takes them. What it wrote before can still be read, and is followed by the end. */
void pair_refuse(struct transport *transport);

#endif
