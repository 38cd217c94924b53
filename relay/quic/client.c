/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/client.h"

#include "relay/quic/connection.h"
#include "relay/quic/paths.h"
#include "relay/quic/quic.h"
#include "relay/quic/socket.h"

static void packet(struct quic_socket *socket, const struct quic_packet *packet) {
        quic_connection_receive(quic_socket_owner(socket), packet);
}

static void writable(struct quic_socket *socket) {
        quic_connection_writable(quic_socket_owner(socket));
}

static void failed(struct quic_socket *socket, int error) {
        struct quic_connection *connection = quic_socket_owner(socket);

        if (quic_paths_socket_failed(connection, socket, error))
                quic_connection_run_later(connection);
        else
                quic_connection_socket_failed(connection, error);
}

static const struct quic_socket_ops ops = {
        .packet = packet,
        .writable = writable,
        .failed = failed,
};

int quic_client_socket_new(struct quic_connection *connection, int fd, struct quic_socket **ret) {
        return quic_socket_new(connection->quic->relay, fd, &ops, connection, ret);
}
