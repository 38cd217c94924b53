/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/socket_io.h"
#include "relay/calls.h"

#include <errno.h>
#include <seccomp.h>
#include <fcntl.h>
#include <sys/socket.h>

ssize_t socket_io_receive(int fd, void *buffer, size_t size, int flags) {
        ssize_t n;

        do
                n = recv(fd, buffer, size, MSG_DONTWAIT | flags);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

ssize_t socket_io_send(int fd, const void *bytes, size_t size) {
        ssize_t n;

        do
                n = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

ssize_t socket_io_splice(int fd, int pipe_fd, size_t size) {
        ssize_t n;

        do
                n = splice(fd, NULL, pipe_fd, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

ssize_t socket_io_unsplice(int pipe_fd, int fd, size_t size) {
        ssize_t n;

        do
                n = splice(pipe_fd, NULL, fd, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n;
}

int socket_io_finish(int fd) {
        return shutdown(fd, SHUT_WR) < 0 && errno != ENOTCONN ? -errno : 0;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(recvfrom, "what peers and guests send"),
        CONFINE_CALL(sendto, "what is sent to them"),
        CONFINE_CALL(splice, "long transfers"),
        CONFINE_CALL(shutdown, "the end of one direction"),
};
const struct confine_list socket_io_calls = CONFINE_LIST(calls);
