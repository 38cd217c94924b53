/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept() and accept4(): in one file, since they are in one object of wasi-libc and both must be ours.
 */
#include <errno.h>
#include <sys/socket.h>
#include <wasi/api.h>

#include "guest/posix/host.h"
#include "guest/posix/option.h"
#include "guest/posix/peer.h"
#include "guest/posix/table.h"

/* Why a socket accepts nobody; 0: it listens, as far as is known here. */
static int check_listener(const struct nb_posix_socket *listener) {
        if (!listener || (listener->state == NB_POSIX_LISTENING && !listener->server))
                return 0;
        return listener->type == SOCK_STREAM ? EINVAL : EOPNOTSUPP;
}

/* SO_RCVTIMEO counts for accept as well. */
static int wait_for_peer(int fd, const struct nb_posix_socket *listener) {
        struct nb_posix_description description;
        int error;

        if (!listener || !listener->receive_timeout_ms)
                return 0;
        error = nb_posix_describe(fd, &description);
        if (error || description.nonblock)
                return error;
        return nb_posix_wait(fd, __WASI_EVENTTYPE_FD_READ, listener->receive_timeout_ms * NB_POSIX_NS_PER_MS, NULL);
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags) {
        struct nb_posix_socket *listener;
        __wasi_fd_t accepted;
        int error;

        if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
                return nb_posix_fail(EINVAL);
        listener = nb_posix_find(fd);
        error = check_listener(listener);
        if (!error)
                error = wait_for_peer(fd, listener);
        if (error)
                return nb_posix_fail(error);
        error = __wasi_sock_accept(fd, flags & SOCK_NONBLOCK ? __WASI_FDFLAGS_NONBLOCK : 0, &accepted);
        if (error)
                return nb_posix_fail(error == ENOTSUP ? EINVAL : error); /* a stream */
        nb_posix_forget((int)accepted);
        if (listener)
                nb_posix_option_inherit((int)accepted, listener);
        nb_posix_peer_store((int)accepted, address, length);
        return (int)accepted;
}

int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict length) {
        return accept4(fd, address, length, 0);
}
