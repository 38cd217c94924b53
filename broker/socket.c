/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <seccomp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/datagram.h"
#include "broker/unix_path.h"
#include "broker/calls.h"

static int set_flag(int fd, int level, int option, int value) {
        return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int socket_new(sa_family_t family, enum policy_socket_type type) {
        bool dgram = type == POLICY_SOCKET_DGRAM;
        NB_CLEANUP_FD int fd = socket(family, (dgram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int r;

        if (fd < 0)
                return -errno;
        if (family == AF_UNIX)
                nb_channel_refuse_fds(fd);
        r = dgram ? datagram_shut(fd) : 0;
        return r < 0 ? r : nb_steal_fd(&fd);
}

int socket_bind_ip(int fd, enum policy_socket_type type, struct nb_address *address, bool dual_stack) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length;
        int r = 0;

        if (address->ip.family == AF_INET6)
                r = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual_stack);
        if (r == 0 && type == POLICY_SOCKET_STREAM)
                r = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (r < 0)
                return r;
        length = nb_address_to_sockaddr(address, &sa);
        if (bind(fd, (struct sockaddr *)&sa, length) < 0)
                return -errno;
        if (address->port != 0)
                return 0;
        length = sizeof(sa);
        if (getsockname(fd, (struct sockaddr *)&sa, &length) < 0)
                return -errno;
        return nb_address_from_sockaddr((struct sockaddr *)&sa, length, address);
}

static struct nb_socket_address address_of_name(const struct nb_unix_name *name) {
        return (struct nb_socket_address){ .family = AF_UNIX, .un = *name };
}

int socket_bind_unix(int fd, const struct nb_unix_name *name, mode_t mode, struct unix_file **ret) {
        const struct nb_socket_address address = address_of_name(name);
        struct sockaddr_storage sa;
        socklen_t length;

        if (name->length == 0)
                return -EINVAL;
        if (!name->abstract)
                return unix_path_bind(fd, name, mode, ret);
        length = nb_socket_address_to_sockaddr(&address, &sa);
        if (bind(fd, (struct sockaddr *)&sa, length) < 0)
                return -errno;
        *ret = NULL;
        return 0;
}

int socket_connect(int fd, const struct nb_socket_address *address, const struct own *own) {
        struct sockaddr_storage sa;
        socklen_t length;

        if (address->family == AF_UNIX && !address->un.abstract)
                return unix_path_connect(fd, &address->un, own);
        length = nb_socket_address_to_sockaddr(address, &sa);
        return connect(fd, (struct sockaddr *)&sa, length) < 0 ? -errno : 0;
}

static const struct confine_call calls[] = {
        CONFINE_CALL_WHERE(socket, 0, AF_INET, "what tenants and questions of DNS are for"),
        CONFINE_CALL_WHERE(socket, 0, AF_INET6, "the same"),
        CONFINE_CALL_WHERE(socket, 0, AF_UNIX, "the same, and the helper, the keeper, relays, the manager"),
        CONFINE_CALL_WHERE(socket, 0, AF_NETLINK, "the kernel's list of sockets, and of interfaces"),
        CONFINE_CALL_WHERE(socketpair, 0, AF_UNIX, "channels, and the guest's end of what is relayed"),
        CONFINE_CALL(bind, "addresses that the policy grants"),
        CONFINE_CALL(listen, "the same"),
        CONFINE_CALL(connect, "the same"),
        CONFINE_CALL(getsockname, "which address it has become"),
        CONFINE_CALL(getpeername, "whom it is connected to"),
        CONFINE_CALL(setsockopt, "how it is to be"),
        CONFINE_CALL(getsockopt, "how it is: errors, cookies, who is at the other end"),
        CONFINE_CALL_WHERE(ioctl, 1, FIONBIO, "sockets of libuv's that do not wait"),
        CONFINE_CALL_WHERE(ioctl, 1, SIOCGIFINDEX, "an address with an interface"),
};
const struct confine_list socket_calls = CONFINE_LIST(calls);
