/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A UDP socket that QUIC is spoken on: batches of packets, in and out.
 *
 * What comes is read by recvmmsg(2), several packets in each message where the kernel puts them together (UDP_GRO), with the address that each was sent to
 * (IP_PKTINFO) and its ECN bits. What goes is written by sendmmsg(2), where a message is several packets of one size, path and ECN (UDP_SEGMENT);
 * where the kernel or the device refuses that (EIO, EINVAL) they go one by one from then on.
 *
 *      quic_socket_room ── the library writes a packet there ── quic_socket_add ── ... ── quic_socket_flush
 *
 * Packets that the kernel does not take at the moment (EAGAIN) count as sent for the library, so they are kept, one batch; until it is gone nothing more is
 * taken, and `writable` is called when it is. Where there is no memory for a batch beside a kept one, other sockets wait for that one to come back.
 */
#ifndef NB_RELAY_QUIC_SOCKET_H
#define NB_RELAY_QUIC_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "relay/quic/packet.h"

struct quic_socket;
struct relay;

/** The most that QUIC puts in a datagram here, in bytes: what PMTUD may find on an Ethernet, and on loopback (RFC 9000, 14). */
#define QUIC_PACKET_MAX 1452u

/** Packets of one batch that is received before their connections are run. */
#define QUIC_BATCH_PACKETS 512u

struct quic_socket_ops {
        /** Called for each packet that came. It only takes notes, and may not free the socket. */
        void (*packet)(struct quic_socket *socket, const struct quic_packet *packet);
        /** A batch is over: whoever has changed is to be run. It may free the socket. NULL: nothing is to be done. */
        void (*batch_end)(struct quic_socket *socket);
        /** What was kept is gone: who could not send may go on. It may free the socket. */
        void (*writable)(struct quic_socket *socket);
        /**
         * The kernel says that nobody is there (ECONNREFUSED, of a connected socket only), or that the socket is no use any more (another error). It only takes notes, and
         * may not free the socket: it is called while packets are received or sent.
         * @param error  a positive errno
         */
        void (*failed)(struct quic_socket *socket, int error);
};

/**
 * Takes a socket over and watches it. It counts itself among the descriptors of the relay.
 * @param fd     of UDP, bound or connected, non-blocking; consumed on success only
 * @param owner  for the functions: quic_socket_owner()
 * @return 0 with what is owned by the caller; -errno
 */
int quic_socket_new(struct relay *relay, int fd, const struct quic_socket_ops *ops, void *owner,
                    struct quic_socket **ret);

/** Takes NULL. @return NULL */
struct quic_socket *quic_socket_free(struct quic_socket *socket);

void *quic_socket_owner(const struct quic_socket *socket);

/** Where the socket is bound; of a wildcard that is what it is. */
const union quic_address *quic_socket_local(const struct quic_socket *socket);

/** Whom it is connected to; family 0 where it is not. */
const union quic_address *quic_socket_remote(const struct quic_socket *socket);

/**
 * Where the next packet is to be written, QUIC_PACKET_MAX bytes. A full batch is flushed first.
 * @return borrowed until the next call on the socket; NULL while packets are kept, or there is no batch (quic_socket_ops.writable tells the end of that)
 */
uint8_t *quic_socket_room(struct quic_socket *socket);

/**
 * Takes what was written into the room.
 * @param length  in bytes
 * @param alone   it goes in a message of its own: a probe of the path's MTU
 */
void quic_socket_add(struct quic_socket *socket, size_t length, const struct quic_path *path, uint8_t ecn, bool alone);

/**
 * Notes that somebody had no room: `writable` finds it by quic_socket_next_waiter(). Harmless twice.
 * @param waiter  an element that is in no other list; its owner removes it before it is freed
 */
void quic_socket_wait(struct quic_socket *socket, struct nb_list *waiter);

/** @return who waits for the longest, and does not any more; NULL: nobody */
struct nb_list *quic_socket_next_waiter(struct quic_socket *socket);

/** Sends what was added, or keeps it. To be called before anybody else uses the room: at the end of each connection's run. */
void quic_socket_flush(struct quic_socket *socket);

#endif
