/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/peer.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/un.h>
#include <wasi/networking_ext.h>

#include "guest/posix/address.h"
#include "guest/posix/connect.h"
#include "guest/posix/host.h"
#include "guest/posix/server.h"
#include "guest/posix/table.h"

typedef __wasi_errno_t address_function(__wasi_fd_t fd, char *buffer, __wasi_size_t size, __wasi_size_t *ret_length);

static int ask(address_function *function, int fd, struct sockaddr_storage *ret, socklen_t *ret_length) {
        char text[WASI_NETWORKING_ADDRESS_MAX];
        struct nb_posix_description description;
        __wasi_size_t length;
        socklen_t n;
        int error;

        error = function((__wasi_fd_t)fd, text, sizeof(text), &length);
        if (error == ENOTSUP && nb_posix_describe(fd, &description) == 0 && !nb_posix_is_socket(&description))
                return ENOTSOCK;
        if (error)
                return error;
        n = nb_posix_address_parse(text, length, ret);
        if (n == 0)
                return ENOBUFS;
        *ret_length = n;
        return 0;
}

int nb_posix_local_address(int fd, struct sockaddr_storage *ret, socklen_t *ret_length) {
        return ask(__wasi_networking_local_address, fd, ret, ret_length);
}

/* A peer that was named is the placeholder, so that a program finds what it connected to. */
static int peer_address(int fd, struct sockaddr_storage *ret, socklen_t *ret_length) {
        struct nb_posix_socket *socket = nb_posix_find(fd);

        if (socket && socket->state == NB_POSIX_CONNECTING)
                (void)nb_posix_connect_take(fd, socket);
        if (socket && socket->state != NB_POSIX_CONNECTED)
                return ENOTCONN;
        if (socket && socket->placeholder) {
                *ret_length = nb_posix_address_of_placeholder(socket->family, socket->placeholder, socket->port, ret);
                return 0;
        }
        return ask(__wasi_networking_remote_address, fd, ret, ret_length);
}

void nb_posix_peer_store(int fd, struct sockaddr *buffer, socklen_t *length) {
        struct sockaddr_storage address;
        socklen_t n;

        if (!buffer || !length)
                return;
        if (peer_address(fd, &address, &n))
                n = 0;
        nb_posix_address_store(&address, n, buffer, length);
}

/* Whether the messages of a socket come with an address. */
static bool tells_source(int fd, const struct sockaddr_storage *peer, socklen_t length) {
        struct nb_posix_description description;

        if (peer->ss_family == AF_UNIX)
                return length > NB_POSIX_UN_HEADER;
        return nb_posix_describe(fd, &description) == 0 && description.type == __WASI_FILETYPE_SOCKET_DGRAM;
}

void nb_posix_source_store(int fd, struct sockaddr *buffer, socklen_t *length) {
        const struct nb_posix_socket *socket = nb_posix_peek(fd);
        struct sockaddr_storage address;
        socklen_t n;

        if (!buffer || !length)
                return;
        if (socket && socket->server)
                n = nb_posix_server_source(socket->server, &address);
        else if (peer_address(fd, &address, &n) || !tells_source(fd, &address, n))
                n = 0;
        nb_posix_address_store(&address, n, buffer, length);
}

int getsockname(int fd, struct sockaddr *restrict buffer, socklen_t *restrict length) {
        struct sockaddr_storage address;
        socklen_t n;
        int error = nb_posix_local_address(fd, &address, &n);

        if (error)
                return nb_posix_fail(error);
        nb_posix_address_store(&address, n, buffer, length);
        return 0;
}

int getpeername(int fd, struct sockaddr *restrict buffer, socklen_t *restrict length) {
        struct sockaddr_storage address;
        socklen_t n;
        int error = peer_address(fd, &address, &n);

        if (error)
                return nb_posix_fail(error);
        nb_posix_address_store(&address, n, buffer, length);
        return 0;
}
