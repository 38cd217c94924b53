/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/datagram/route.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium/crypto_shorthash.h>
#include <string.h>
#include <sys/random.h>

_Static_assert(sizeof(struct route_key) == crypto_shorthash_KEYBYTES, "the key is SipHash's");
_Static_assert(ROUTE_CONTROL_SIZE >= CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo)),
               "both kinds of address fit");

/* All that is hashed: a family, a port, a scope, a user, and two addresses or a name. */
#define HASHED_MAX (NB_UNIX_NAME_MAX + 64)

int route_key_init(struct route_key *ret) {
        struct route_key key;

        if (getrandom(key.bytes, sizeof(key.bytes), 0) != (ssize_t)sizeof(key.bytes))
                return errno ? -errno : -EIO;
        *ret = key;
        return 0;
}

size_t route_control_size(bool is_unix, bool tells_users) {
        if (!is_unix)
                return ROUTE_CONTROL_SIZE;
        /* The kernel puts it in front of descriptors, for which there is no room then. */
        return tells_users ? CMSG_SPACE(sizeof(struct ucred)) : 0;
}

void route_expect(struct route_buffer *buffer, size_t control_size, struct msghdr *message) {
        message->msg_name = &buffer->name;
        message->msg_namelen = sizeof(buffer->name);
        message->msg_control = buffer->control;
        message->msg_controllen = control_size;
}

/* Which of our addresses a datagram was sent to; for broadcasts that of the interface, from which an answer may leave. */
static void find_local(const struct msghdr *message, struct nb_ip *ret) {
        struct msghdr *walked = (struct msghdr *)message; /* CMSG_NXTHDR() does not write there */

        for (struct cmsghdr *c = CMSG_FIRSTHDR(walked); c; c = CMSG_NXTHDR(walked, c)) {
                if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
                        struct in_pktinfo info;

                        memcpy(&info, CMSG_DATA(c), sizeof(info));
                        ret->family = AF_INET;
                        memcpy(ret->bytes, &info.ipi_spec_dst, sizeof(info.ipi_spec_dst));
                } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
                        struct in6_pktinfo info;

                        memcpy(&info, CMSG_DATA(c), sizeof(info));
                        ret->family = AF_INET6;
                        memcpy(ret->bytes, &info.ipi6_addr, sizeof(info.ipi6_addr));
                }
        }
        /* Nothing is sent from a group (RFC 4291 section 2.7): the kernel chooses then. */
        if (ret->family == AF_INET6 && ret->bytes[0] == 0xff)
                *ret = (struct nb_ip){ .family = 0 };
}

static uid_t find_user(const struct msghdr *message) {
        const struct cmsghdr *c = CMSG_FIRSTHDR(message);
        struct ucred credentials;

        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
            c->cmsg_len < CMSG_LEN(sizeof(credentials)))
                return UINT32_MAX;
        memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
        return credentials.uid;
}

int route_of(const struct msghdr *message, struct route *ret) {
        const struct sockaddr_in6 *in6 = message->msg_name;
        struct route route;

        memset(&route, 0, sizeof(route));
        if (message->msg_namelen == 0)
                route.peer.family = AF_UNIX; /* only Unix sockets have no name */
        else if (nb_socket_address_from_sockaddr(message->msg_name, message->msg_namelen, &route.peer) < 0)
                return -EINVAL;
        if (route.peer.family == AF_INET6)
                route.scope = in6->sin6_scope_id;
        if (route.peer.family == AF_UNIX)
                route.user = find_user(message);
        else
                find_local(message, &route.local);
        *ret = route;
        return 0;
}

static void put_control(struct msghdr *message, int level, int type, const void *data, size_t size) {
        struct cmsghdr *c;

        message->msg_controllen = CMSG_SPACE(size);
        c = CMSG_FIRSTHDR(message);
        c->cmsg_level = level;
        c->cmsg_type = type;
        c->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(c), data, size);
}

/* A link-local address is one of an interface's: the answer takes that. */
static void put_local(const struct route *route, struct msghdr *message) {
        struct in_pktinfo in = { .ipi_ifindex = 0 };
        struct in6_pktinfo in6 = { .ipi6_ifindex = route->scope };

        if (route->local.family == AF_INET) {
                memcpy(&in.ipi_spec_dst, route->local.bytes, sizeof(in.ipi_spec_dst));
                put_control(message, IPPROTO_IP, IP_PKTINFO, &in, sizeof(in));
        } else {
                memcpy(&in6.ipi6_addr, route->local.bytes, sizeof(in6.ipi6_addr));
                put_control(message, IPPROTO_IPV6, IPV6_PKTINFO, &in6, sizeof(in6));
        }
}

void route_back(const struct route *route, struct route_buffer *buffer, struct msghdr *message) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&buffer->name;

        memset(buffer->control, 0, sizeof(buffer->control));
        message->msg_name = &buffer->name;
        message->msg_namelen = nb_socket_address_to_sockaddr(&route->peer, &buffer->name);
        if (route->peer.family == AF_INET6)
                in6->sin6_scope_id = route->scope;
        message->msg_control = NULL;
        message->msg_controllen = 0;
        if (route->local.family == 0)
                return;
        message->msg_control = buffer->control;
        put_local(route, message);
}

bool route_equal(const struct route *a, const struct route *b) {
        return a->scope == b->scope && a->user == b->user && nb_ip_equal(&a->local, &b->local) &&
               nb_socket_address_equal(&a->peer, &b->peer);
}

/* What is hashed, one part behind the other. */
struct text {
        uint8_t bytes[HASHED_MAX];
        size_t length;
};

static void append(struct text *text, const void *bytes, size_t n) {
        memcpy(text->bytes + text->length, bytes, n);
        text->length += n;
}

uint64_t route_hash(const struct route *route, const struct route_key *key) {
        const struct nb_unix_name *name = &route->peer.un;
        struct text text = { .length = 0 };
        uint64_t hash;

        append(&text, &route->peer.family, sizeof(route->peer.family));
        if (route->peer.family == AF_UNIX) {
                append(&text, &name->abstract, sizeof(name->abstract));
                append(&text, name->text, name->length);
        } else {
                append(&text, route->peer.ip.ip.bytes, sizeof(route->peer.ip.ip.bytes));
                append(&text, &route->peer.ip.port, sizeof(route->peer.ip.port));
        }
        append(&text, &route->scope, sizeof(route->scope));
        append(&text, &route->user, sizeof(route->user));
        append(&text, route->local.bytes, sizeof(route->local.bytes));
        (void)crypto_shorthash((unsigned char *)&hash, text.bytes, text.length, key->bytes);
        return hash;
}
