/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/connect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wasi/networking.h>

#include "guest/posix/host.h"
#include "guest/posix/option.h"
#include "guest/posix/protocol.h"

static int64_t timeout_ns(uint32_t ms) {
        return ms ? ms * NB_POSIX_NS_PER_MS : NB_POSIX_FOREVER;
}

/* Puts the stream of a connection in the place of the control that connected. `connection` is consumed. */
static int install(int fd, struct nb_posix_socket *socket, const struct nb_posix_description *control,
                   __wasi_fd_t connection) {
        __wasi_fd_t stream;
        __wasi_errno_t error;

        error = __wasi_networking_stream_create(connection, control->inheriting & WASI_NETWORKING_RIGHTS_STREAM, 0,
                                                control->nonblock ? __WASI_FDFLAGS_NONBLOCK : 0, &stream);
        (void)__wasi_fd_close(connection); /* the stream keeps the connection */
        if (error)
                return error;
        error = nb_posix_replace(fd, stream);
        if (error)
                return error;
        nb_posix_set_state(socket, NB_POSIX_CONNECTED);
        nb_posix_option_apply(fd, socket);
        return 0;
}

/* Asks the host, which waits only if the descriptor does. Sets the state that the answer leads to. */
static int ask(int fd, struct nb_posix_socket *socket, const struct nb_posix_description *control) {
        __wasi_fd_t connection;
        int error;

        error = __wasi_networking_connect(fd, socket->target, strlen(socket->target), &connection);
        if (error == EINPROGRESS || error == EALREADY) {
                nb_posix_set_state(socket, NB_POSIX_CONNECTING);
                return EINPROGRESS;
        }
        if (!error)
                error = install(fd, socket, control, connection);
        if (error)
                nb_posix_set_state(socket, NB_POSIX_NEW);
        return error;
}

/* The same without waiting, whatever the descriptor does. The stream gets the descriptor's own flag. */
static int ask_at_once(int fd, struct nb_posix_socket *socket) {
        struct nb_posix_description control;
        int error;

        error = nb_posix_describe(fd, &control);
        if (error)
                return error;
        if (control.nonblock)
                return ask(fd, socket, &control);
        error = nb_posix_set_nonblock(fd, true);
        if (error)
                return error;
        error = ask(fd, socket, &control);
        if (socket->state != NB_POSIX_CONNECTED)
                (void)nb_posix_set_nonblock(fd, false);
        return error;
}

int nb_posix_connect_take(int fd, struct nb_posix_socket *socket) {
        int error = ask_at_once(fd, socket);

        if (error != EINPROGRESS) {
                socket->error = error;
                socket->unreported = true;
        }
        return error;
}

int nb_posix_connect_wait(int fd, struct nb_posix_socket *socket, int64_t timeout) {
        int64_t deadline = nb_posix_deadline(timeout);
        int error;

        for (;;) {
                error = nb_posix_connect_take(fd, socket);
                if (error != EINPROGRESS)
                        return error;
                error = nb_posix_wait(fd, __WASI_EVENTTYPE_FD_WRITE, nb_posix_time_left(deadline), NULL);
                if (error)
                        return error == EAGAIN ? EINPROGRESS : error;
        }
}

int nb_posix_connect_start(int fd, struct nb_posix_socket *socket, const struct nb_posix_target *target) {
        struct nb_posix_description control;
        bool waits; /* here; a datagram socket never says EINPROGRESS */
        int error;

        error = nb_posix_describe(fd, &control);
        if (error)
                return error;
        socket->target = strndup(target->text, target->length);
        if (!socket->target)
                return ENOMEM;
        socket->placeholder = target->placeholder;
        socket->port = target->port;
        waits = socket->type == SOCK_DGRAM || (!control.nonblock && socket->send_timeout_ms);
        if (!waits)
                return ask(fd, socket, &control);

        error = ask_at_once(fd, socket);
        if (error != EINPROGRESS)
                return error;
        error = nb_posix_connect_wait(fd, socket, timeout_ns(socket->send_timeout_ms));
        if (error != EINPROGRESS) {
                socket->error = 0; /* this call reports it */
                socket->unreported = false;
        }
        return error;
}

int nb_posix_connect_settle(int fd, struct nb_posix_socket *socket, bool wait) {
        struct nb_posix_description control;
        int error;

        if (socket->state == NB_POSIX_CONNECTED)
                return 0;
        if (socket->state == NB_POSIX_CONNECTING) {
                error = nb_posix_describe(fd, &control);
                if (error)
                        return error;
                if (wait && !control.nonblock)
                        error = nb_posix_connect_wait(fd, socket, timeout_ns(socket->send_timeout_ms));
                else
                        error = nb_posix_connect_take(fd, socket);
                if (error == EINPROGRESS)
                        return EAGAIN;
                if (!error)
                        return 0;
        }
        error = socket->error;
        socket->error = 0;
        return error ? error : ENOTCONN;
}

/* connect() on a datagram socket that has a peer, or with AF_UNSPEC: what follows begins with a control again. */
static int disconnect(int fd, struct nb_posix_socket *socket) {
        struct nb_posix_description stream;
        int control;
        int error;

        error = nb_posix_describe(fd, &stream);
        if (error)
                return error;
        error = nb_posix_open(socket->family, socket->type, stream.nonblock, &control);
        if (error)
                return error;
        error = nb_posix_replace(fd, (__wasi_fd_t)control);
        if (error)
                return error;
        nb_posix_set_state(socket, NB_POSIX_NEW);
        socket->bound = false;
        return 0;
}

/* connect() while one is under way: it waits as the first did. */
static int connect_on(int fd, struct nb_posix_socket *socket) {
        struct nb_posix_description control;
        int error;

        error = nb_posix_describe(fd, &control);
        if (error)
                return error;
        if (control.nonblock)
                return nb_posix_connect_take(fd, socket);
        return nb_posix_connect_wait(fd, socket, timeout_ns(socket->send_timeout_ms));
}

/* connect() on a socket whose last connect() is under way, or had its result meanwhile. */
static int connect_again(int fd, struct nb_posix_socket *socket) {
        int error = socket->state == NB_POSIX_CONNECTING ? connect_on(fd, socket) : socket->error;

        if (error == EINPROGRESS)
                return EALREADY;
        if (!error && !socket->unreported)
                return EISCONN;
        socket->unreported = false;
        socket->error = 0;
        return error;
}

static int connect_socket(int fd, const struct sockaddr *address, socklen_t length) {
        struct nb_posix_target target;
        struct nb_posix_socket *socket;
        int error;

        error = nb_posix_obtain(fd, &socket);
        if (error)
                return error;
        if (socket->state == NB_POSIX_LISTENING)
                return EISCONN; /* as Linux; POSIX would have EOPNOTSUPP */
        if (socket->type == SOCK_DGRAM && socket->state == NB_POSIX_CONNECTED) {
                if (socket->family == AF_UNSPEC) /* not from socket() */
                        return EISCONN;
                error = disconnect(fd, socket);
                if (error)
                        return error;
        }
        if (address && length >= sizeof(address->sa_family) && address->sa_family == AF_UNSPEC)
                return socket->type == SOCK_DGRAM ? 0 : EAFNOSUPPORT;
        if (socket->state != NB_POSIX_NEW || socket->error)
                return connect_again(fd, socket);
        error = nb_posix_address_format(address, length, socket->family, &target);
        return error ? error : nb_posix_connect_start(fd, socket, &target);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
        return nb_posix_result(connect_socket(fd, address, length));
}
