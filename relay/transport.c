/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "relay/socket_io.h"
#include "relay/calls.h"

struct transport *transport_free(struct transport *top) {
        while (top) {
                struct transport *below = top->below;

                top->ops->free(top);
                top = below;
        }
        return NULL;
}

static const struct transport *bottom_of(const struct transport *top) {
        while (top->below)
                top = top->below;
        return top;
}

int transport_bottom_fd(const struct transport *top) {
        return bottom_of(top)->fd;
}

void transport_reset_socket(int fd) {
        struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void transport_reset(const struct transport *top) {
        transport_reset_socket(transport_bottom_fd(top));
}

/* ---- a socket ---- */

static ssize_t socket_read(struct transport *transport, void *buffer, size_t size) {
        ssize_t n = socket_io_receive(transport->fd, buffer, size, 0);

        transport->is_drained = n > 0 && (size_t)n < size;
        return n;
}

/* A read of a Unix socket ends behind bytes that came with descriptors, or from another process, whatever is there. */
static ssize_t unix_read(struct transport *transport, void *buffer, size_t size) {
        return socket_io_receive(transport->fd, buffer, size, 0);
}

static ssize_t socket_write(struct transport *transport, const void *bytes, size_t size) {
        return socket_io_send(transport->fd, bytes, size);
}

static int socket_finish(struct transport *transport) {
        return socket_io_finish(transport->fd);
}

static void socket_free(struct transport *transport) {
        (void)nb_fd_close(transport->fd);
        free(transport);
}

static ssize_t socket_splice(struct transport *transport, int pipe_fd, size_t size) {
        return socket_io_splice(transport->fd, pipe_fd, size);
}

static const struct transport_ops socket_ops = {
        .read = socket_read,
        .write = socket_write,
        .finish = socket_finish,
        .free = socket_free,
        .splice = socket_splice,
};

static const struct transport_ops unix_ops = {
        .read = unix_read,
        .write = socket_write,
        .finish = socket_finish,
        .free = socket_free,
        .splice = socket_splice,
};

/* ---- a socket of datagrams ---- */

static ssize_t datagram_read(struct transport *transport, void *buffer, size_t size) {
        ssize_t n = socket_io_receive(transport->fd, buffer, size, 0);

        return n == 0 ? TRANSPORT_EMPTY : n;
}

static ssize_t datagram_write(struct transport *transport, const void *bytes, size_t size) {
        return socket_io_send(transport->fd, bytes, size);
}

/* A datagram socket has no end to tell. */
static int datagram_finish(struct transport *transport) {
        (void)transport;
        return 0;
}

static const struct transport_ops datagram_ops = {
        .read = datagram_read,
        .write = datagram_write,
        .finish = datagram_finish,
        .free = socket_free,
};

bool transport_hurry(int fd, bool on) {
        int value = on;

        return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)) == 0;
}

struct transport *transport_new_socket(int fd, bool datagrams) {
        struct transport *transport = malloc(sizeof(*transport));
        const struct transport_ops *ops = &datagram_ops;

        if (!transport)
                return NULL;
        /* What we write is all that there is: the kernel has nothing to wait for (RFC 896), and a handshake would wait 40 ms for each pair of messages. */
        if (!datagrams)
                ops = transport_hurry(fd, true) ? &socket_ops : &unix_ops;
        *transport = (struct transport){ .ops = ops, .fd = fd };
        return transport;
}

/* ---- bytes that were read too far ---- */

struct rest {
        struct transport transport;
        size_t start;
        size_t end;
        uint8_t bytes[];
};

static struct rest *rest_of(struct transport *transport) {
        return nb_container_of(transport, struct rest, transport);
}

static ssize_t rest_read(struct transport *transport, void *buffer, size_t size) {
        struct rest *rest = rest_of(transport);
        size_t n = rest->end - rest->start;

        transport->is_drained = false;
        if (n == 0) {
                ssize_t r = transport->below->ops->read(transport->below, buffer, size);

                transport->is_drained = transport->below->is_drained;
                return r;
        }
        if (n > size)
                n = size;
        memcpy(buffer, rest->bytes + rest->start, n);
        rest->start += n;
        return (ssize_t)n;
}

static ssize_t rest_write(struct transport *transport, const void *bytes, size_t size) {
        return transport->below->ops->write(transport->below, bytes, size);
}

static int rest_finish(struct transport *transport) {
        return transport->below->ops->finish(transport->below);
}

static void rest_free(struct transport *transport) {
        free(rest_of(transport));
}

static const struct transport_ops rest_ops = {
        .read = rest_read,
        .write = rest_write,
        .finish = rest_finish,
        .free = rest_free,
};

struct transport *transport_new_rest(struct transport *below, const void *bytes, size_t length) {
        struct rest *rest = length <= TRANSPORT_REST_MAX ? malloc(sizeof(*rest) + length) : NULL;

        if (!rest)
                return NULL;
        rest->transport = (struct transport){
                .ops = &rest_ops,
                .below = below,
                .fd = -1,
        };
        rest->start = 0;
        rest->end = length;
        memcpy(rest->bytes, bytes, length);
        return &rest->transport;
}

static const struct confine_call calls[] = {
        CONFINE_OPTION(SOL_SOCKET, SO_LINGER, "a reset instead of an end"),
        CONFINE_OPTION(IPPROTO_TCP, TCP_NODELAY, "nothing is held back"),
};
const struct confine_list transport_calls = CONFINE_LIST(calls);
