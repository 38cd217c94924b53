/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recv(), send() and their kin. There are no control messages: nothing that WASI has could be sent by them.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "guest/posix/address.h"
#include "guest/posix/connect.h"
#include "guest/posix/host.h"
#include "guest/posix/peer.h"
#include "guest/posix/server.h"
#include "guest/posix/table.h"
#include "guest/posix/transfer.h"

ssize_t recv(int fd, void *buffer, size_t size, int flags) {
        struct iovec part = { .iov_base = buffer, .iov_len = size };

        return nb_posix_receive(fd, &part, 1, flags, NULL);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags) {
        struct iovec part = { .iov_base = (void *)bytes, .iov_len = size }; /* nothing is written there */

        return nb_posix_send(fd, &part, 1, flags);
}

ssize_t recvfrom(int fd, void *restrict buffer, size_t size, int flags, struct sockaddr *restrict address,
                 socklen_t *restrict length) {
        ssize_t n = recv(fd, buffer, size, flags);

        if (n >= 0)
                nb_posix_source_store(fd, address, length);
        return n;
}

/* Whether a message has as many parts as one may have; for readv() and writev() more are EINVAL. */
static bool has_good_length(const struct msghdr *message) {
        return message->msg_iovlen >= 0 && message->msg_iovlen <= IOV_MAX;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
        bool truncated;
        ssize_t n;

        if (!has_good_length(message))
                return nb_posix_fail(EMSGSIZE);
        n = nb_posix_receive(fd, message->msg_iov, (size_t)message->msg_iovlen, flags, &truncated);
        if (n < 0)
                return n;
        nb_posix_source_store(fd, message->msg_name, &message->msg_namelen);
        message->msg_controllen = 0;
        message->msg_flags = truncated ? MSG_TRUNC : 0;
        return n;
}

/*
 * A destination of a datagram. A socket of the host has one peer, so the first destination becomes the peer, and from then on it is the only
 * one.
 */
static int aim_datagram(int fd, struct nb_posix_socket *socket, const struct sockaddr *address, socklen_t length) {
        struct nb_posix_target target;
        int error;

        error = nb_posix_address_format(address, length, socket->family, &target);
        if (error)
                return error;
        if (socket->state == NB_POSIX_NEW) {
                if (socket->error) {
                        error = socket->error;
                        socket->error = 0;
                        return error;
                }
                return nb_posix_connect_start(fd, socket, &target);
        }
        if (socket->target && strcmp(socket->target, target.text) == 0)
                return 0;
        return EISCONN;
}

/*
 * Answers a peer of a server. What there is no room for at the moment is waited for, if the socket waits, though not for a peer that the host has
 * forgotten: it is as unknown as others that were never heard of.
 */
static int answer(int fd, const struct nb_posix_socket *socket, const struct sockaddr *address, socklen_t length,
                  const struct iovec *parts, size_t n_parts, int flags, ssize_t *ret) {
        int peer = nb_posix_server_find(socket->server, address, length);
        struct nb_posix_description control;
        int error;

        if (peer < 0)
                return EHOSTUNREACH;
        error = nb_posix_describe(fd, &control);
        if (error)
                return error;
        for (;;) {
                *ret = nb_posix_send(peer, parts, n_parts, flags & ~MSG_DONTWAIT);
                if (*ret >= 0)
                        return 0;
                if (errno != EAGAIN || control.nonblock || (flags & MSG_DONTWAIT))
                        return errno == EPIPE && socket->family != AF_UNIX ? EHOSTUNREACH : errno;
                error = nb_posix_wait(peer, __WASI_EVENTTYPE_FD_WRITE, NB_POSIX_FOREVER, NULL);
                if (error)
                        return error;
        }
}

/* Sends to an address, if it is of a server's socket. @return whether it is */
static bool send_as_server(int fd, const struct sockaddr *address, socklen_t length, const struct iovec *parts,
                           size_t n_parts, int flags, ssize_t *ret) {
        const struct nb_posix_socket *socket = nb_posix_find(fd);
        int error;

        if (!socket || !socket->server || !address || length == 0)
                return false;
        error = answer(fd, socket, address, length, parts, n_parts, flags, ret);
        if (error)
                *ret = nb_posix_fail(error);
        return true;
}

/* POSIX has a stream ignore a destination. */
static int aim(int fd, const struct sockaddr *address, socklen_t length) {
        struct nb_posix_socket *socket;
        int error;

        if (!address || length == 0)
                return 0;
        error = nb_posix_obtain(fd, &socket);
        if (error || socket->type == SOCK_STREAM)
                return error;
        return aim_datagram(fd, socket, address, length);
}

ssize_t sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
        const struct iovec part = { .iov_base = (void *)bytes, .iov_len = size }; /* nothing is written there */
        ssize_t n;
        int error;

        if (send_as_server(fd, address, length, &part, 1, flags, &n))
                return n;
        error = aim(fd, address, length);
        return error ? nb_posix_fail(error) : send(fd, bytes, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
        ssize_t n;
        int error;

        if (message->msg_controllen > 0)
                return nb_posix_fail(EOPNOTSUPP);
        if (!has_good_length(message))
                return nb_posix_fail(EMSGSIZE);
        if (send_as_server(fd, message->msg_name, message->msg_namelen, message->msg_iov, (size_t)message->msg_iovlen,
                           flags, &n))
                return n;
        error = aim(fd, message->msg_name, message->msg_namelen);
        if (error)
                return nb_posix_fail(error);
        return nb_posix_send(fd, message->msg_iov, (size_t)message->msg_iovlen, flags);
}
