/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/frame.h"
#include "shim/client/multiplex.h"
#include "shim/client/security.h"

struct nb_connection {
        int stream_fd;                /* owned; -1 when it has been taken, or there are any number */
        bool multiplexed;             /* also when it is retired */
        bool datagrams;               /* the stream keeps the borders of messages */
        struct nb_multiplex *streams; /* owned; NULL: not multiplexed, or retired */
        struct nb_security *security; /* owned; NULL: no TLS */
        const char *local;            /* in `texts` */
        char texts[];                 /* the peer's address and the local one, each with its NUL */
};

static int new_of_addresses(const char *peer, const char *local, struct nb_connection **ret) {
        size_t peer_size = strlen(peer) + 1;
        size_t local_size = strlen(local) + 1;
        struct nb_connection *connection = calloc(1, sizeof(*connection) + peer_size + local_size);

        if (!connection)
                return -ENOMEM;
        connection->stream_fd = -1;
        memcpy(connection->texts, peer, peer_size);
        memcpy(connection->texts + peer_size, local, local_size);
        connection->local = connection->texts + peer_size;
        *ret = connection;
        return 0;
}

/* Consumes the descriptor on success. */
static int take_descriptor(struct nb_connection *connection, struct nb_context *context, int fd) {
        if (!connection->multiplexed) {
                connection->stream_fd = fd;
                return 0;
        }
        return nb_multiplex_new(context, connection->datagrams, fd, &connection->streams);
}

int nb_connection_new(struct nb_context *context, const struct nb_connection_facts *facts, int fd,
                      struct nb_connection **ret) {
        struct nb_connection *connection;
        int r;

        if (strlen(facts->peer) > NB_ADDRESS_LENGTH_MAX || strlen(facts->local) > NB_ADDRESS_LENGTH_MAX)
                return -EPROTO;
        r = new_of_addresses(facts->peer, facts->local, &connection);
        if (r < 0)
                return r;
        connection->multiplexed = facts->multiplexed;
        connection->datagrams = facts->datagrams;
        r = facts->security ? nb_security_new(facts->security, &connection->security) : 0;
        if (r == 0)
                r = take_descriptor(connection, context, fd);
        if (r < 0) {
                (void)nb_connection_free(connection);
                return r;
        }
        *ret = connection;
        return 0;
}

struct nb_connection *nb_connection_free(struct nb_connection *connection) {
        if (!connection)
                return NULL;
        nb_fd_close(connection->stream_fd);
        nb_multiplex_free(connection->streams);
        nb_security_free(connection->security);
        free(connection);
        return NULL;
}

const char *nb_connection_peer(const struct nb_connection *connection) {
        return connection->texts;
}

const char *nb_connection_local(const struct nb_connection *connection) {
        return connection->local;
}

const struct nb_security *nb_connection_security(const struct nb_connection *connection) {
        return connection->security;
}

int nb_connection_stream_fd(const struct nb_connection *connection) {
        return connection->stream_fd;
}

int nb_connection_is_multiplexed(const struct nb_connection *connection) {
        return connection->multiplexed;
}

void nb_connection_retire(struct nb_connection *connection) {
        connection->streams = nb_multiplex_free(connection->streams);
}

/* Of a connection that is not multiplexed, or retired. */
static int take_only_stream(struct nb_connection *connection, struct nb_stream *ret) {
        if (connection->stream_fd < 0)
                return -ENOTSUP;
        *ret = (struct nb_stream){
                .fd = nb_steal_fd(&connection->stream_fd),
                .may_read = true,
                .may_write = true,
                .datagrams = connection->datagrams,
        };
        return 0;
}

int nb_stream_create(struct nb_connection *connection, unsigned flags, struct nb_stream *ret) {
        if (flags & ~(NB_STREAM_UNIDIRECTIONAL | NB_STREAM_NONBLOCK))
                return -EINVAL;
        if (!connection->streams)
                return take_only_stream(connection, ret);
        return nb_multiplex_create(connection->streams, flags, ret);
}

int nb_stream_accept(struct nb_connection *connection, unsigned flags, struct nb_stream *ret) {
        if (flags & ~NB_STREAM_NONBLOCK)
                return -EINVAL;
        if (!connection->streams)
                return take_only_stream(connection, ret);
        return nb_multiplex_accept(connection->streams, flags, ret);
}

int nb_connection_poll_fd(const struct nb_connection *connection, short *ret_events) {
        *ret_events = 0;
        return connection->streams ? nb_multiplex_poll_fd(connection->streams, ret_events) : -1;
}

short nb_connection_known(const struct nb_connection *connection) {
        return connection->streams ? nb_multiplex_known(connection->streams) : POLLIN | POLLOUT;
}

short nb_connection_ready(struct nb_connection *connection) {
        return connection->streams ? nb_multiplex_ready(connection->streams) : POLLIN | POLLOUT;
}

unsigned nb_connection_n_incoming(const struct nb_connection *connection) {
        return connection->streams ? nb_multiplex_n_incoming(connection->streams) : connection->stream_fd >= 0;
}

const char *nb_connection_end_reason(const struct nb_connection *connection) {
        return connection->streams ? nb_multiplex_end_reason(connection->streams) : "";
}
