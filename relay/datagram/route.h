/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ends of a datagram's way: who sent it, and which of our addresses it was sent to.
 *
 * A socket that is bound to the unspecified address has as many addresses as the machine, and an answer that leaves from another one than was
 * asked is thrown away by who waits for it. So the kernel is asked for the address with each datagram (IP_PKTINFO, which the broker
 * has set), it is part of what tells peers apart, and answers name it.
 *
 * A Unix socket's name is what was bound: another's name as well in another mount namespace or, of a relative path, in another folder, and once it has been removed
 * whoever binds it anew has it. The kernel tells nothing of which socket it was, but the user who sends (SO_PASSCRED, which the broker has set), unless that is one
 * that may lie of it (CAP_SETUID). So that is part of it, too: nobody gets into another user's stream. Senders of one user with one name are one peer.
 */
#ifndef NB_RELAY_DATAGRAM_ROUTE_H
#define NB_RELAY_DATAGRAM_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/socket_address.h"

/** Room for what the kernel tells with a datagram: IP_PKTINFO or IPV6_PKTINFO, and what else the broker might have asked for. */
#define ROUTE_CONTROL_SIZE 128

struct route {
        struct nb_socket_address peer; /* as the kernel spells it: a mapped address is a mapped one here */
        struct nb_ip local;            /* family 0: the socket has one address only */
        uint32_t scope;                /* of a link-local peer; 0 for others */
        uid_t user;                    /* of a Unix peer; UINT32_MAX: the kernel does not tell; 0 for others */
};

/** What recvmmsg(2) and sendmmsg(2) need beside the bytes. */
struct route_buffer {
        _Alignas(struct cmsghdr) uint8_t control[ROUTE_CONTROL_SIZE];
        struct sockaddr_storage name; /* also of a path that is one longer than `struct sockaddr_un` (unix(7)) */
};

/** The key of a hash of routes: secret, so that no stranger can choose where its peers fall. */
struct route_key {
        uint8_t bytes[16];
};

/** Fills in a key by getrandom(2). @return 0 or -errno */
int route_key_init(struct route_key *ret);

/**
 * How much room there is to be for what the kernel tells with each datagram of a bound socket, in bytes: never for a stranger's descriptors.
 * @param tells_users  whether SO_PASSCRED is set
 */
size_t route_control_size(bool is_unix, bool tells_users);

/** Has a message receive its way into `buffer`, which must live as long as the message. @param control_size  ROUTE_CONTROL_SIZE at most */
void route_expect(struct route_buffer *buffer, size_t control_size, struct msghdr *message);

/** Reads the way of a message that was received. @return 0, or -EINVAL for one that is not of a known family */
int route_of(const struct msghdr *message, struct route *ret);

/** Has a message go the way back. @param buffer  must live as long as the message */
void route_back(const struct route *route, struct route_buffer *buffer, struct msghdr *message);

bool route_equal(const struct route *a, const struct route *b);

/** SipHash-2-4 of all that route_equal() compares. */
uint64_t route_hash(const struct route *route, const struct route_key *key);

#endif
