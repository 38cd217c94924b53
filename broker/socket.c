/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/socket.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"

static int set_flag(int fd, int level, int option, int value) {
        return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int socket_new_stream(sa_family_t family) {
        NB_CLEANUP_FD int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        return nb_steal_fd(&fd);
}

int socket_bind(int fd, struct nb_address *address, bool dual_stack) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length;
        int r;

        if (address->ip.family == AF_INET6) {
                r = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual_stack);
                if (r < 0)
                        return r;
        }
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
