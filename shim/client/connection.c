/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/client/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "proto/frame.h"
#include "shim/client/security.h"

struct nb_connection {
        int stream_fd;                /* owned; -1 when it has been taken */
        struct nb_security *security; /* owned; NULL: no TLS */
        const char *local;            /* in `texts` */
        char texts[];                 /* the peer's address and the local one, each with its NUL */
};

static int new_of_addresses(const char *peer, const char *local, struct nb_connection **ret) {
        size_t peer_size = strlen(peer) + 1;
        size_t local_size = strlen(local) + 1;
        struct nb_connection *connection = malloc(sizeof(*connection) + peer_size + local_size);

        if (!connection)
                return -ENOMEM;
        connection->stream_fd = -1;
        connection->security = NULL;
        memcpy(connection->texts, peer, peer_size);
        memcpy(connection->texts + peer_size, local, local_size);
        connection->local = connection->texts + peer_size;
        *ret = connection;
        return 0;
}

int nb_connection_new(const struct nb_connection_facts *facts, int stream_fd, struct nb_connection **ret) {
        struct nb_connection *connection;
        int r;

        if (strlen(facts->peer) > NB_ADDRESS_LENGTH_MAX || strlen(facts->local) > NB_ADDRESS_LENGTH_MAX)
                return -EPROTO;
        r = new_of_addresses(facts->peer, facts->local, &connection);
        if (r < 0)
                return r;
        r = facts->security ? nb_security_new(facts->security, &connection->security) : 0;
        if (r < 0) {
                (void)nb_connection_free(connection);
                return r;
        }
        connection->stream_fd = stream_fd;
        *ret = connection;
        return 0;
}

struct nb_connection *nb_connection_free(struct nb_connection *connection) {
        if (!connection)
                return NULL;
        nb_fd_close(connection->stream_fd);
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

int nb_stream_create(struct nb_connection *connection, int *ret_fd) {
        if (connection->stream_fd < 0)
                return -ENOTSUP;
        *ret_fd = nb_steal_fd(&connection->stream_fd);
        return 0;
}

int nb_stream_accept(struct nb_connection *connection, int *ret_fd) {
        return nb_stream_create(connection, ret_fd);
}
