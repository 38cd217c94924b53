/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/transfer.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/socket.h>
#include <wasi/api.h>

#include "guest/posix/connect.h"
#include "guest/posix/host.h"
#include "guest/posix/server.h"
#include "guest/posix/table.h"

/* A write to a connection that has ended raises no signal here: WASI has none. The host closes nothing on exec: there is none either. */
#define RECEIVE_FLAGS (MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC)
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR)

_Static_assert(sizeof(struct iovec) == sizeof(__wasi_iovec_t) && sizeof(struct iovec) == sizeof(__wasi_ciovec_t),
               "an iovec is WASI's");

/* One call of the host on a socket. @param moved  how many bytes are behind already @return an errno */
typedef int move_function(int fd, const struct iovec *parts, size_t n_parts, int flags, size_t *ret_size,
                          bool *ret_truncated);

static int receive(int fd, const struct iovec *parts, size_t n_parts, int flags, size_t *ret_size,
                   bool *ret_truncated) {
        __wasi_roflags_t roflags = 0;
        int error;

        error = __wasi_sock_recv(fd, (const __wasi_iovec_t *)parts, n_parts,
                                 (__wasi_riflags_t)(flags & (MSG_PEEK | MSG_WAITALL)), ret_size, &roflags);
        *ret_truncated = roflags & __WASI_ROFLAGS_RECV_DATA_TRUNCATED;
        return error;
}

static int transmit(int fd, const struct iovec *parts, size_t n_parts, int flags, size_t *ret_size,
                    bool *ret_truncated) {
        (void)flags;
        *ret_truncated = false;
        return __wasi_sock_send(fd, (const __wasi_ciovec_t *)parts, n_parts, 0, ret_size);
}

/* Which way bytes go, and what that means. */
struct direction {
        move_function *move;
        __wasi_eventtype_t event;
        int flags; /* that are known */
        bool all;  /* a blocking call goes on until nothing is left */
};

static const struct direction receiving = { receive, __WASI_EVENTTYPE_FD_READ, RECEIVE_FLAGS, false };
static const struct direction sending = { transmit, __WASI_EVENTTYPE_FD_WRITE, SEND_FLAGS, true };

/* MSG_DONTWAIT: one call as if the descriptor did not wait. */
static int move_at_once(int fd, const struct direction *direction, const struct iovec *parts, size_t n_parts, int flags,
                        size_t *ret_size, bool *ret_truncated) {
        struct nb_posix_description description;
        int error;

        error = nb_posix_describe(fd, &description);
        if (error)
                return error;
        if (!nb_posix_is_socket(&description))
                return ENOTSOCK;
        if (description.nonblock)
                return direction->move(fd, parts, n_parts, flags, ret_size, ret_truncated);
        error = nb_posix_set_nonblock(fd, true);
        if (error)
                return error;
        error = direction->move(fd, parts, n_parts, flags, ret_size, ret_truncated);
        (void)nb_posix_set_nonblock(fd, false);
        return error;
}

/* Skips what has been moved. @return whether anything is left */
static bool advance(struct iovec *parts, size_t n_parts, size_t moved) {
        size_t left = 0;

        for (size_t i = 0; i < n_parts; ++i) {
                size_t n = moved < parts[i].iov_len ? moved : parts[i].iov_len;

                parts[i].iov_base = (char *)parts[i].iov_base + n;
                parts[i].iov_len -= n;
                moved -= n;
                left += parts[i].iov_len;
        }
        return left > 0;
}

/*
 * A blocking call with a timeout: the descriptor is nonblocking meanwhile, and the waiting is done here. What has moved when the time
 * is over, or an error comes, is the result.
 */
static int move_in_time(int fd, const struct direction *direction, const struct iovec *parts, size_t n_parts, int flags,
                        int64_t timeout_ns, bool all, size_t *ret_size, bool *ret_truncated) {
        struct iovec rest[IOV_MAX];
        int64_t deadline = nb_posix_deadline(timeout_ns);
        size_t done = 0;
        size_t n;
        int error;

        for (size_t i = 0; i < n_parts; ++i)
                rest[i] = parts[i];
        for (;;) {
                error = direction->move(fd, rest, n_parts, flags & ~MSG_WAITALL, &n, ret_truncated);
                if (error == EAGAIN) {
                        error = nb_posix_wait(fd, direction->event, nb_posix_time_left(deadline), NULL);
                        if (error)
                                break;
                        continue;
                }
                if (error)
                        break;
                done += n;
                if (!all || n == 0 || !advance(rest, n_parts, n))
                        break;
        }
        *ret_size = done;
        return done > 0 ? 0 : error;
}

/* As long as the socket's timeout says, if the descriptor waits at all. */
static int move_with_timeout(int fd, const struct nb_posix_socket *socket, const struct direction *direction,
                             const struct iovec *parts, size_t n_parts, int flags, uint32_t timeout_ms,
                             size_t *ret_size, bool *ret_truncated) {
        struct nb_posix_description description;
        bool all = socket->type == SOCK_STREAM && !(flags & MSG_PEEK) && (direction->all || (flags & MSG_WAITALL));
        int error;

        if (n_parts > IOV_MAX)
                return EINVAL;
        error = nb_posix_describe(fd, &description);
        if (error)
                return error;
        if (description.nonblock)
                return direction->move(fd, parts, n_parts, flags, ret_size, ret_truncated);
        error = nb_posix_set_nonblock(fd, true);
        if (error)
                return error;
        error = move_in_time(fd, direction, parts, n_parts, flags, timeout_ms * NB_POSIX_NS_PER_MS, all, ret_size,
                             ret_truncated);
        (void)nb_posix_set_nonblock(fd, false);
        return error;
}

static int64_t timeout_ns(uint32_t timeout_ms) {
        return timeout_ms ? timeout_ms * NB_POSIX_NS_PER_MS : NB_POSIX_FOREVER;
}

/* A server receives from whoever has sent something, and sends to whom it names. */
static int move_of_server(int fd, const struct nb_posix_socket *socket, const struct direction *direction,
                          const struct iovec *parts, size_t n_parts, int flags, size_t *ret_size, bool *ret_truncated) {
        struct nb_posix_description control;
        bool waits;
        int error;

        if (direction == &sending)
                return EDESTADDRREQ;
        error = nb_posix_describe(fd, &control);
        if (error)
                return error;
        waits = !control.nonblock && !(flags & MSG_DONTWAIT);
        return nb_posix_server_receive(fd, socket->server, parts, n_parts, flags,
                                       waits ? timeout_ns(socket->receive_timeout_ms) : 0, ret_size, ret_truncated);
}

static int move(int fd, const struct direction *direction, const struct iovec *parts, size_t n_parts, int flags,
                size_t *ret_size, bool *ret_truncated) {
        struct nb_posix_socket *socket = nb_posix_peek(fd);
        uint32_t timeout_ms = 0;
        int error;

        if (flags & ~direction->flags)
                return EOPNOTSUPP;
        if (socket && socket->state != NB_POSIX_CONNECTED)
                socket = nb_posix_find(fd);
        if (socket && direction == &receiving && socket->state == NB_POSIX_NEW) {
                error = nb_posix_serve(fd, socket);
                if (error && error != ENOTCONN)
                        return error;
        }
        if (socket && socket->server)
                return move_of_server(fd, socket, direction, parts, n_parts, flags, ret_size, ret_truncated);
        if (socket) {
                error = nb_posix_connect_settle(fd, socket, !(flags & MSG_DONTWAIT));
                if (error == ENOTCONN && direction == &sending && socket->type == SOCK_DGRAM)
                        return EDESTADDRREQ;
                if (error)
                        return error;
                timeout_ms = direction == &sending ? socket->send_timeout_ms : socket->receive_timeout_ms;
        }
        if (flags & MSG_DONTWAIT)
                return move_at_once(fd, direction, parts, n_parts, flags, ret_size, ret_truncated);
        if (timeout_ms)
                return move_with_timeout(fd, socket, direction, parts, n_parts, flags, timeout_ms, ret_size,
                                         ret_truncated);
        return direction->move(fd, parts, n_parts, flags, ret_size, ret_truncated);
}

bool nb_posix_is_empty(const struct iovec *parts, size_t n_parts) {
        if (n_parts > IOV_MAX)
                return false;
        for (size_t i = 0; i < n_parts; ++i) {
                if (parts[i].iov_len > 0)
                        return false;
        }
        return true;
}

ssize_t nb_posix_receive(int fd, const struct iovec *parts, size_t n_parts, int flags, bool *ret_truncated) {
        bool truncated = false;
        size_t size = 0;
        int error = move(fd, &receiving, parts, n_parts, flags, &size, &truncated);

        if (error)
                return nb_posix_fail(error == ENOTSUP ? ENOTCONN : error); /* a listener */
        if (ret_truncated)
                *ret_truncated = truncated;
        return (ssize_t)size;
}

ssize_t nb_posix_send(int fd, const struct iovec *parts, size_t n_parts, int flags) {
        bool truncated;
        size_t size = 0;
        int error = move(fd, &sending, parts, n_parts, flags, &size, &truncated);

        return error ? nb_posix_fail(error == ENOTSUP ? ENOTCONN : error) : (ssize_t)size;
}
