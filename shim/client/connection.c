/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct nb_connection {
        int stream_fd;     /* owned; -1 when it has been taken */
        const char *local; /* in `texts` */
        char texts[];      /* the peer's address and the local one, each with its NUL */
};

int nb_connection_new(const char *peer, const char *local, int stream_fd, struct nb_connection **ret) {
        size_t peer_size = strlen(peer) + 1;
        size_t local_size = strlen(local) + 1;
        struct nb_connection *connection = malloc(sizeof(*connection) + peer_size + local_size);

        if (!connection)
                return -ENOMEM;
        connection->stream_fd = stream_fd;
        memcpy(connection->texts, peer, peer_size);
        memcpy(connection->texts + peer_size, local, local_size);
        connection->local = connection->texts + peer_size;
        *ret = connection;
        return 0;
}

struct nb_connection *nb_connection_free(struct nb_connection *connection) {
        if (!connection)
                return NULL;
        nb_fd_close(connection->stream_fd);
        free(connection);
        return NULL;
}

const char *nb_connection_peer(const struct nb_connection *connection) {
        return connection->texts;
}

const char *nb_connection_local(const struct nb_connection *connection) {
        return connection->local;
}

int nb_connection_stream_fd(const struct nb_connection *connection) {
        return connection->stream_fd;
}

int nb_stream_create(struct nb_connection *connection, int *ret_fd) {
        if (connection->stream_fd < 0)
                return -ENOTSUP;
        *ret_fd = nb_steal_fd(&connection->stream_fd);
        return 0;
}

int nb_stream_accept(struct nb_connection *connection, int *ret_fd) {
        return nb_stream_create(connection, ret_fd);
}
