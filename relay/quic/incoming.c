/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/incoming.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The longest message, which the kernel fills with packets of one size. */
#define MESSAGE_MAX 65536

/* What the kernel tells with a message: our address, ECN, and the size of its packets. */
#define CONTROL_SIZE                                                                                                   \
        (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +                              \
         2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int)))

struct quic_incoming {
        unsigned n;
        union quic_address local; /* of the socket that was read */
        struct mmsghdr headers[QUIC_INCOMING_MESSAGES];
        struct iovec parts[QUIC_INCOMING_MESSAGES];
        union quic_address names[QUIC_INCOMING_MESSAGES];
        _Alignas(struct cmsghdr) uint8_t controls[QUIC_INCOMING_MESSAGES][CONTROL_SIZE];
        uint8_t bytes[QUIC_INCOMING_MESSAGES][MESSAGE_MAX]; /* memory that no message has reached costs nothing */
};

struct quic_incoming *quic_incoming_new(void) {
        return calloc(1, sizeof(struct quic_incoming));
}

static void expect(struct quic_incoming *in, unsigned i) {
        in->parts[i] = (struct iovec){ .iov_base = in->bytes[i], .iov_len = MESSAGE_MAX };
        in->headers[i].msg_hdr = (struct msghdr){
                .msg_name = &in->names[i],
                .msg_namelen = sizeof(in->names[i]),
                .msg_iov = &in->parts[i],
                .msg_iovlen = 1,
                .msg_control = in->controls[i],
                .msg_controllen = CONTROL_SIZE,
        };
}

int quic_incoming_read(struct quic_incoming *in, int fd, const union quic_address *local) {
        int n;

        for (unsigned i = 0; i < QUIC_INCOMING_MESSAGES; ++i)
                expect(in, i);
        in->local = *local;
        in->n = 0;
        do
                n = recvmmsg(fd, in->headers, QUIC_INCOMING_MESSAGES, MSG_DONTWAIT, NULL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        in->n = (unsigned)n;
        return n > 0 ? n : -EAGAIN;
}

/* ---- what came with a message ---- */

struct facts {
        union quic_address local;
        uint8_t ecn;
        size_t packet_size; /* of all its packets, the last of which may be shorter; 0: it is one */
};

static int read_int(const struct cmsghdr *c) {
        int value = 0;

        memcpy(&value, CMSG_DATA(c), sizeof(value));
        return value;
}

/* Which of our addresses it was sent to; nothing is sent from a group, so the kernel chooses then. */
static void read_local(const struct cmsghdr *c, union quic_address *local) {
        struct in_pktinfo in;
        struct in6_pktinfo in6;

        if (c->cmsg_level == IPPROTO_IP) {
                memcpy(&in, CMSG_DATA(c), sizeof(in));
                /* Of a packet that came before it was asked for there is only what the header says. */
                local->in.sin_addr = in.ipi_spec_dst.s_addr != INADDR_ANY ? in.ipi_spec_dst : in.ipi_addr;
                return;
        }
        memcpy(&in6, CMSG_DATA(c), sizeof(in6));
        if (IN6_IS_ADDR_MULTICAST(&in6.ipi6_addr))
                return;
        local->in6.sin6_addr = in6.ipi6_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&in6.ipi6_addr))
                local->in6.sin6_scope_id = in6.ipi6_ifindex;
}

static void read_control(const struct cmsghdr *c, struct facts *facts) {
        sa_family_t family = facts->local.any.sa_family;

        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
                facts->ecn = *CMSG_DATA(c) & IPTOS_ECN_MASK;
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
                facts->ecn = (uint8_t)(read_int(c) & IPTOS_ECN_MASK);
        else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
                facts->packet_size = (size_t)read_int(c);
        else if ((family == AF_INET && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) ||
                 (family == AF_INET6 && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO))
                read_local(c, &facts->local);
}

static struct facts facts_of(const struct quic_incoming *in, unsigned i) {
        struct msghdr *walked = (struct msghdr *)&in->headers[i].msg_hdr; /* CMSG_NXTHDR() does not write there */
        struct facts facts = { .local = in->local };

        for (struct cmsghdr *c = CMSG_FIRSTHDR(walked); c; c = CMSG_NXTHDR(walked, c))
                read_control(c, &facts);
        return facts;
}

/* ---- */

/* A socket of all addresses may serve IPv4 as well, whose addresses are mapped then (ipv6(7)); to any other no mapped address can be a peer's. */
static bool may_be_peer(const struct quic_incoming *in, const struct in6_addr *address) {
        return !IN6_IS_ADDR_V4MAPPED(address) || IN6_IS_ADDR_UNSPECIFIED(&in->local.in6.sin6_addr);
}

static bool is_usable(const struct quic_incoming *in, unsigned i) {
        const union quic_address *name = &in->names[i];

        if (in->headers[i].msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
            name->any.sa_family != in->local.any.sa_family)
                return false;
        return name->any.sa_family == AF_INET || may_be_peer(in, &name->in6.sin6_addr);
}

static size_t each_of_message(const struct quic_incoming *in, unsigned i, quic_incoming_function function, void *data) {
        const struct facts facts = facts_of(in, i);
        size_t left = in->headers[i].msg_len, size = facts.packet_size > 0 ? facts.packet_size : left, n = 0;
        struct quic_packet packet = {
                .bytes = in->bytes[i],
                .path = { .local = facts.local, .remote = in->names[i] },
                .ecn = facts.ecn,
        };

        for (; left > 0; left -= packet.length, packet.bytes += packet.length, ++n) {
                packet.length = left < size ? left : size;
                function(data, &packet);
        }
        return n;
}

size_t quic_incoming_each(const struct quic_incoming *in, quic_incoming_function function, void *data) {
        size_t n = 0;

        for (unsigned i = 0; i < in->n; ++i) {
                if (is_usable(in, i))
                        n += each_of_message(in, i, function, data);
        }
        return n;
}
