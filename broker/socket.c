/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/socket.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/datagram.h"
#include "broker/unix_path.h"

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
