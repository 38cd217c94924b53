/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/quic_server.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"

#define EVENTS_MAX 64
#define BUFFER_SIZE ((size_t)256 * 1024)

enum kind {
        CONTROL,
        CONNECTION,
        STREAM,
};

struct object {
        enum kind kind;
        struct nb_connection *connection;
        int fd;                           /* of a stream */
        uint8_t header[QUIC_HEADER_SIZE]; /* as far as it came */
        size_t n_header;
        uint64_t wanted; /* bytes that are still to be sent */
        bool ended;      /* the peer has sent everything */
};

struct server {
        int epoll_fd;
        enum quic_service service;
        struct nb_control *control;
        uint8_t *buffer;
        uint8_t *zeros;
};

static void watch(const struct server *server, int operation, int fd, uint32_t events, struct object *object) {
        struct epoll_event event = { .events = events, .data.ptr = object };

        if (epoll_ctl(server->epoll_fd, operation, fd, &event) < 0)
                bench_die("epoll_ctl", errno);
}

/* Before it is closed: whoever sent a descriptor may have its own still open for a moment, and epoll(7) goes on watching then. */
static void unwatch(const struct server *server, int fd) {
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, fd, NULL) < 0)
                bench_die("epoll_ctl", errno);
}

static struct object *object_new(enum kind kind) {
        struct object *object = calloc(1, sizeof(*object));

        if (!object)
                bench_die("calloc", ENOMEM);
        object->kind = kind;
        return object;
}

static void take_connections(const struct server *server) {
        struct nb_connection *connection;
        short events;
        int r;

        while ((r = nb_accept(server->control, &connection)) == 0) {
                struct object *object = object_new(CONNECTION);

                object->connection = connection;
                watch(server, EPOLL_CTL_ADD, nb_connection_poll_fd(connection, &events), EPOLLIN, object);
        }
        if (r != -EAGAIN)
                bench_die("nb_accept", -r);
}

static void take_streams(const struct server *server, struct object *connection) {
        struct nb_stream stream;
        short events;
        int r;

        (void)nb_connection_ready(connection->connection);
        while ((r = nb_stream_accept(connection->connection, NB_STREAM_NONBLOCK, &stream)) == 0) {
                struct object *object = object_new(STREAM);

                object->fd = stream.fd;
                watch(server, EPOLL_CTL_ADD, stream.fd, EPOLLIN, object);
        }
        if (r == -EAGAIN)
                return;
        unwatch(server, nb_connection_poll_fd(connection->connection, &events));
        nb_connection_free(connection->connection);
        free(connection);
}

/* Closing is the end of what was sent. */
static void end_stream(const struct server *server, struct object *stream) {
        unwatch(server, stream->fd);
        (void)close(stream->fd);
        free(stream);
}

/* A closed loop asks little at once, so that what cannot be written at once is a mistake of the bench's. */
static void run_echo(const struct server *server, struct object *stream) {
        ssize_t n = recv(stream->fd, server->buffer, BUFFER_SIZE, 0);

        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0)
                end_stream(server, stream);
        else if (send(stream->fd, server->buffer, (size_t)n, MSG_NOSIGNAL) != n && errno != EPIPE &&
                 errno != ECONNRESET)
                bench_die("send", errno);
}

static void take_header(struct object *stream, const uint8_t *bytes, size_t n) {
        size_t part = QUIC_HEADER_SIZE - stream->n_header < n ? QUIC_HEADER_SIZE - stream->n_header : n;
        uint64_t wanted;

        memcpy(stream->header + stream->n_header, bytes, part);
        stream->n_header += part;
        memcpy(&wanted, stream->header, sizeof(wanted));
        if (stream->n_header == QUIC_HEADER_SIZE)
                stream->wanted = be64toh(wanted);
}

/* @return whether there may be more */
static bool supply_receive(const struct server *server, struct object *stream) {
        ssize_t n = recv(stream->fd, server->buffer, BUFFER_SIZE, 0);

        if (n < 0 && errno == EAGAIN)
                return false;
        if (n <= 0) {
                stream->wanted = n < 0 ? 0 : stream->wanted;
                stream->ended = true;
                return false;
        }
        if (stream->n_header < QUIC_HEADER_SIZE)
                take_header(stream, server->buffer, (size_t)n);
        return true;
}

/* @return whether more can be sent at once */
static bool supply_send(const struct server *server, struct object *stream) {
        size_t size = stream->wanted < BUFFER_SIZE ? (size_t)stream->wanted : BUFFER_SIZE;
        ssize_t n = send(stream->fd, server->zeros, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
                return false;
        stream->wanted = n < 0 ? 0 : stream->wanted - (uint64_t)n;
        return stream->wanted > 0;
}

static void run_supply(const struct server *server, struct object *stream) {
        bool had_ended = stream->ended;

        while (!stream->ended && supply_receive(server, stream))
                ;
        if (!stream->ended)
                return;
        while (stream->wanted > 0 && supply_send(server, stream))
                ;
        if (stream->wanted == 0)
                end_stream(server, stream);
        else if (!had_ended)
                watch(server, EPOLL_CTL_MOD, stream->fd, EPOLLOUT, stream);
}

static void run(const struct server *server, struct object *object) {
        if (object->kind == CONTROL)
                take_connections(server);
        else if (object->kind == CONNECTION)
                take_streams(server, object);
        else if (server->service == QUIC_ECHO)
                run_echo(server, object);
        else
                run_supply(server, object);
}

_Noreturn void quic_server_run(struct nb_control *control, enum quic_service service) {
        struct server server = {
                .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                .service = service,
                .control = control,
                .buffer = malloc(BUFFER_SIZE),
                .zeros = calloc(1, BUFFER_SIZE),
        };
        short events;

        if (server.epoll_fd < 0 || !server.buffer || !server.zeros)
                bench_die("epoll_create1", errno);
        nb_control_set_flags(control, NB_NONBLOCK);
        watch(&server, EPOLL_CTL_ADD, nb_control_poll_fd(control, &events), EPOLLIN, object_new(CONTROL));
        for (;;) {
                struct epoll_event ready[EVENTS_MAX];
                int n = epoll_wait(server.epoll_fd, ready, EVENTS_MAX, -1);

                if (n < 0 && errno != EINTR)
                        bench_die("epoll_wait", errno);
                for (int i = 0; i < n; ++i)
                        run(&server, ready[i].data.ptr);
        }
}
