/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/escape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/cleanup.h"
#include "seal/ring.h"

/* IPOPT_NOP; four of them, for options come in words. */
#define NO_OPERATION 1

#define LOOPBACK_DEVICE "lo"

/* 224.0.0.251 and ff02::fb: those of multicast DNS. */
#define GROUP4 0xe00000fbU
static const struct in6_addr group6 = { { { 0xff, 0x02, [15] = 0xfb } } };

static int family_of(const struct escape_target *target) {
        return target->elsewhere.ss_family;
}

static const struct sockaddr *address_of(const struct sockaddr_storage *storage) {
        return (const struct sockaddr *)storage;
}

/* ---- targets --------------------------------------------------------------------------------------------------- */

static socklen_t put_ipv4(struct sockaddr_storage *ret, uint16_t port) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(ret, &address, sizeof(address));
        return sizeof(address);
}

static socklen_t put_ipv6(struct sockaddr_storage *ret, uint16_t port) {
        struct sockaddr_in6 address = { .sin6_family = AF_INET6,
                                        .sin6_port = htons(port),
                                        .sin6_addr = IN6ADDR_LOOPBACK_INIT };

        memcpy(ret, &address, sizeof(address));
        return sizeof(address);
}

/* 127.0.0.1 as a socket of IPv6 calls it. */
static socklen_t put_mapped(struct sockaddr_storage *ret, uint16_t port) {
        struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

        address.sin6_addr.s6_addr[10] = address.sin6_addr.s6_addr[11] = 0xff;
        address.sin6_addr.s6_addr[12] = 127;
        address.sin6_addr.s6_addr[15] = 1;
        memcpy(ret, &address, sizeof(address));
        return sizeof(address);
}

int escape_target_init(struct escape_target *ret, int fd, const uint16_t ports[static 2]) {
        socklen_t length = sizeof(int);
        int domain, type;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0)
                return -errno;
        if ((domain != AF_INET && domain != AF_INET6) || (type != SOCK_STREAM && type != SOCK_DGRAM))
                return -EINVAL;
        *ret = (struct escape_target){ .fd = fd, .is_stream = type == SOCK_STREAM };
        if (domain == AF_INET) {
                ret->elsewhere_length = put_ipv4(&ret->elsewhere, ports[0]);
        } else {
                ret->elsewhere_length = put_ipv6(&ret->elsewhere, ports[1]);
                ret->other_length = put_mapped(&ret->other, ports[0]);
        }
        return nb_fd_prepare(fd);
}

/* ---- connecting and binding ------------------------------------------------------------------------------------ */

int escape_disconnect(const struct escape_target *target) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };

        return connect(target->fd, &nobody, sizeof(nobody)) < 0 ? -errno : 0;
}

static int try_connect(const struct escape_target *target) {
        return connect(target->fd, address_of(&target->elsewhere), target->elsewhere_length) < 0 ? -errno : 0;
}

static int try_connect_other(const struct escape_target *target) {
        return connect(target->fd, address_of(&target->other), target->other_length) < 0 ? -errno : 0;
}

static int try_fast_open(const struct escape_target *target) {
        return sendto(target->fd, "?", 1, MSG_FASTOPEN | MSG_NOSIGNAL, address_of(&target->elsewhere),
                      target->elsewhere_length) < 0
                       ? -errno
                       : 0;
}

static int try_io_uring(const struct escape_target *target) {
        return ring_connect(target->fd, address_of(&target->elsewhere), target->elsewhere_length);
}

static int try_bind(const struct escape_target *target) {
        struct sockaddr_storage any = { 0 };

        if (family_of(target) == AF_INET)
                (void)put_ipv4(&any, 0);
        else
                (void)put_ipv6(&any, 0);
        return bind(target->fd, address_of(&any), target->elsewhere_length) < 0 ? -errno : 0;
}

static int try_listen(const struct escape_target *target) {
        return listen(target->fd, 1) < 0 ? -errno : 0;
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

static int try_sendto(const struct escape_target *target) {
        return sendto(target->fd, "?", 1, MSG_NOSIGNAL, address_of(&target->elsewhere), target->elsewhere_length) < 0
                       ? -errno
                       : 0;
}

static struct msghdr message_to(const struct escape_target *target, struct iovec *iov) {
        return (struct msghdr){
                .msg_name = (void *)(uintptr_t)&target->elsewhere,
                .msg_namelen = target->elsewhere_length,
                .msg_iov = iov,
                .msg_iovlen = 1,
        };
}

static int try_sendmsg(const struct escape_target *target) {
        struct iovec iov = { .iov_base = (char[]){ '?' }, .iov_len = 1 };
        struct msghdr message = message_to(target, &iov);

        return sendmsg(target->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int try_sendmmsg(const struct escape_target *target) {
        struct iovec iov = { .iov_base = (char[]){ '?' }, .iov_len = 1 };
        struct mmsghdr messages[1] = { { .msg_hdr = message_to(target, &iov) } };

        return sendmmsg(target->fd, messages, 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* To the peer that it has, but in the name of another address. */
static int try_packet_info(const struct escape_target *target) {
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
        } control = { .bytes = { 0 } };
        struct iovec iov = { .iov_base = (char[]){ '?' }, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes };
        struct cmsghdr *cmsg;
        bool is_ipv4 = family_of(target) == AF_INET;
        size_t size = is_ipv4 ? sizeof(struct in_pktinfo) : sizeof(struct in6_pktinfo);

        message.msg_controllen = CMSG_SPACE(size);
        cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
        cmsg->cmsg_type = is_ipv4 ? IP_PKTINFO : IPV6_PKTINFO;
        cmsg->cmsg_len = CMSG_LEN(size);
        return sendmsg(target->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- options --------------------------------------------------------------------------------------------------- */

static int set(const struct escape_target *target, int level, int name, const void *value, socklen_t length) {
        return setsockopt(target->fd, level, name, value, length) < 0 ? -errno : 0;
}

static int set_on(const struct escape_target *target, int level, int name) {
        int one = 1;

        return set(target, level, name, &one, sizeof(one));
}

static int try_device(const struct escape_target *target) {
        return set(target, SOL_SOCKET, SO_BINDTODEVICE, LOOPBACK_DEVICE, sizeof(LOOPBACK_DEVICE));
}

static int try_freebind(const struct escape_target *target) {
        return family_of(target) == AF_INET ? set_on(target, IPPROTO_IP, IP_FREEBIND)
                                            : set_on(target, IPPROTO_IPV6, IPV6_FREEBIND);
}

static int try_reuseport(const struct escape_target *target) {
        return set_on(target, SOL_SOCKET, SO_REUSEPORT);
}

static int try_membership(const struct escape_target *target) {
        struct ip_mreqn ipv4 = { .imr_multiaddr.s_addr = htonl(GROUP4), .imr_ifindex = 1 };
        struct ipv6_mreq ipv6 = { .ipv6mr_multiaddr = group6, .ipv6mr_interface = 1 };

        if (family_of(target) == AF_INET)
                return set(target, IPPROTO_IP, IP_ADD_MEMBERSHIP, &ipv4, sizeof(ipv4));
        return set(target, IPPROTO_IPV6, IPV6_JOIN_GROUP, &ipv6, sizeof(ipv6));
}

/* What changes nothing, of an option by which packets could be led. */
static int try_routing(const struct escape_target *target) {
        const unsigned char options[] = { NO_OPERATION, NO_OPERATION, NO_OPERATION, NO_OPERATION };

        if (family_of(target) == AF_INET)
                return set(target, IPPROTO_IP, IP_OPTIONS, options, sizeof(options));
        return set(target, IPPROTO_IPV6, IPV6_RTHDR, NULL, 0);
}

/* ---- the table ------------------------------------------------------------------------------------------------- */

/* Who is disconnected hears everybody, if it still has a port, or gets one by sending or by a bind. */
static int try_receive(const struct escape_target *target) {
        if (escape_port(target) != 0 || try_sendto(target) == 0)
                return 0;
        (void)try_bind(target);
        return 0;
}

enum kinds { STREAMS = 1, DATAGRAMS = 2, BOTH = 3 };

static const struct {
        int (*try)(const struct escape_target *target);
        enum kinds kinds;
} table[NB_PROBE_ESCAPES] = {
        [NB_PROBE_CONNECT] = { try_connect, BOTH },
        [NB_PROBE_CONNECT_OTHER] = { try_connect_other, BOTH },
        [NB_PROBE_FAST_OPEN] = { try_fast_open, STREAMS },
        [NB_PROBE_IO_URING] = { try_io_uring, BOTH },
        [NB_PROBE_BIND] = { try_bind, BOTH },
        [NB_PROBE_LISTEN] = { try_listen, STREAMS },
        [NB_PROBE_SENDTO] = { try_sendto, DATAGRAMS },
        [NB_PROBE_SENDMSG] = { try_sendmsg, DATAGRAMS },
        [NB_PROBE_SENDMMSG] = { try_sendmmsg, DATAGRAMS },
        [NB_PROBE_RECEIVE] = { try_receive, DATAGRAMS },
        [NB_PROBE_DEVICE] = { try_device, BOTH },
        [NB_PROBE_FREEBIND] = { try_freebind, BOTH },
        [NB_PROBE_REUSEPORT] = { try_reuseport, BOTH },
        [NB_PROBE_MEMBERSHIP] = { try_membership, DATAGRAMS },
        [NB_PROBE_ROUTING] = { try_routing, BOTH },
        [NB_PROBE_PACKET_INFO] = { try_packet_info, DATAGRAMS },
};

bool escape_applies(enum nb_probe_escape escape, const struct escape_target *target) {
        if (escape == NB_PROBE_CONNECT_OTHER && target->other_length == 0)
                return false;
        return table[escape].kinds & (target->is_stream ? STREAMS : DATAGRAMS);
}

int escape_try(enum nb_probe_escape escape, const struct escape_target *target) {
        return table[escape].try(target);
}

uint16_t escape_port(const struct escape_target *target) {
        struct sockaddr_storage address = { 0 };
        socklen_t length = sizeof(address);
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;

        if (getsockname(target->fd, (struct sockaddr *)&address, &length) < 0)
                return 0;
        memcpy(&ipv4, &address, sizeof(ipv4));
        memcpy(&ipv6, &address, sizeof(ipv6));
        return ntohs(address.ss_family == AF_INET ? ipv4.sin_port : ipv6.sin6_port);
}

bool escape_was_reached(const struct escape_target *target) {
        char byte;

        if (target->is_stream) {
                NB_CLEANUP_FD int fd = accept4(target->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                return fd >= 0;
        }
        return recv(target->fd, &byte, sizeof(byte), MSG_DONTWAIT) > 0;
}
