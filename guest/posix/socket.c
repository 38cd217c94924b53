/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket(), bind(), listen() and shutdown().
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <wasi/networking.h>

#include "guest/posix/address.h"
#include "guest/posix/connect.h"
#include "guest/posix/host.h"
#include "guest/posix/protocol.h"
#include "guest/posix/table.h"

/* The protocol that a kind of socket has if none is named. A Unix socket has its family, as on Linux. */
static int usual_protocol(int family, int type) {
        if (family == AF_UNIX)
                return PF_UNIX;
        return type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

static int check_kind(int family, int type, int protocol) {
        if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
                return EAFNOSUPPORT;
        if (type != SOCK_STREAM && type != SOCK_DGRAM)
                return EPROTOTYPE;
        if (protocol != 0 && protocol != usual_protocol(family, type))
                return EPROTONOSUPPORT;
        return 0;
}

int socket(int family, int type, int protocol) {
        bool nonblock = type & SOCK_NONBLOCK;
        struct nb_posix_socket *socket;
        int error;
        int fd;

        type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
        error = check_kind(family, type, protocol);
        if (error)
                return nb_posix_fail(error);
        error = nb_posix_open(family, type, nonblock, &fd);
        if (error)
                return nb_posix_fail(error);
        socket = nb_posix_enter(fd);
        if (!socket) {
                (void)__wasi_fd_close(fd);
                return nb_posix_fail(ENOMEM);
        }
        socket->family = (uint8_t)family;
        socket->type = (uint8_t)type;
        return fd;
}

/* Puts a control that is bound to the address in the place of the socket's. */
static int bind_socket(int fd, struct nb_posix_socket *socket, const struct nb_posix_target *target) {
        struct nb_posix_description control;
        int bound;
        int error;

        error = nb_posix_describe(fd, &control);
        if (error)
                return error;
        error = nb_posix_open_bound(socket->family, socket->type, control.nonblock, target->text, target->length,
                                    &bound);
        if (error)
                return error;
        error = nb_posix_replace(fd, (__wasi_fd_t)bound);
        if (error)
                return error;
        socket->bound = true;
        return 0;
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
        struct nb_posix_target target;
        struct nb_posix_socket *socket;
        int error;

        error = nb_posix_obtain(fd, &socket);
        if (error)
                return nb_posix_fail(error);
        if (socket->state != NB_POSIX_NEW || socket->bound)
                return nb_posix_fail(EINVAL);
        error = nb_posix_address_format(address, length, socket->family, &target);
        if (error)
                return nb_posix_fail(error);
        if (target.placeholder)
                return nb_posix_fail(EADDRNOTAVAIL);
        if (target.length == 0) /* the host gives no names to Unix sockets */
                return nb_posix_fail(EINVAL);
        return nb_posix_result(bind_socket(fd, socket, &target));
}

int listen(int fd, int backlog) {
        struct nb_posix_socket *socket;
        int error;

        error = nb_posix_obtain(fd, &socket);
        if (error)
                return nb_posix_fail(error);
        if (socket->type != SOCK_STREAM)
                return nb_posix_fail(EOPNOTSUPP);
        if (socket->state == NB_POSIX_LISTENING) /* the backlog stays what it is */
                return 0;
        if (socket->state != NB_POSIX_NEW)
                return nb_posix_fail(EINVAL);
        error = __wasi_networking_listen(fd, backlog < 0 ? 0 : (__wasi_size_t)backlog);
        if (error)
                return nb_posix_fail(error);
        nb_posix_set_state(socket, NB_POSIX_LISTENING);
        return 0;
}

int shutdown(int fd, int how) {
        struct nb_posix_socket *socket = nb_posix_find(fd);

        if (socket && socket->state == NB_POSIX_CONNECTING)
                (void)nb_posix_connect_take(fd, socket);
        if (socket && socket->state != NB_POSIX_CONNECTED)
                return nb_posix_fail(ENOTCONN);
        return nb_posix_result(__wasi_sock_shutdown(fd, (__wasi_sdflags_t)how));
}
