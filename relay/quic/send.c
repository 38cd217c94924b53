/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/send.h"

#include <string.h>

#include "relay/quic/connection.h"
#include "relay/quic/ending.h"
#include "relay/quic/paths.h"
#include "relay/quic/socket.h"
#include "relay/quic/streams.h"

/* Packets of one turn: what fits one call with UDP_SEGMENT, 64 KiB. */
#define TURN_PACKETS 44u

/* Pieces of streams that are tried for one packet. One that has not become full by then goes as it is. */
#define PIECES_MAX 64u

/* What is written now. */
struct writing {
        struct quic_connection *connection;
        struct quic_path path;
        ngtcp2_path for_library; /* of `path` */
        ngtcp2_pkt_info info;
        uint8_t *room;
        uint64_t now;
};

static size_t length_of(const struct quic_offer *offer) {
        size_t length = 0;

        for (size_t i = 0; i < offer->n_parts; ++i)
                length += offer->parts[i].len;
        return length;
}

static void took(struct writing *writing, const struct quic_offer *offer, size_t n) {
        writing->connection->counts.bytes_to_peer += n;
        quic_streams_took(writing->connection, offer, n);
}

static ngtcp2_ssize write_datagram(struct writing *writing, const struct quic_offer *offer) {
        int accepted = 0;
        ngtcp2_ssize n =
                ngtcp2_conn_writev_datagram(writing->connection->conn, &writing->for_library, &writing->info,
                                            writing->room, QUIC_PACKET_MAX, &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_MORE,
                                            0, offer->parts, offer->n_parts, writing->now);

        if (accepted)
                took(writing, offer, length_of(offer));
        return n;
}

static ngtcp2_ssize write_stream(struct writing *writing, const struct quic_offer *offer) {
        uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (offer->fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
        ngtcp2_ssize taken = -1;
        ngtcp2_ssize n = ngtcp2_conn_writev_stream(writing->connection->conn, &writing->for_library, &writing->info,
                                                   writing->room, QUIC_PACKET_MAX, &taken, flags, offer->id,
                                                   offer->parts, offer->n_parts, writing->now);

        if (taken >= 0)
                took(writing, offer, (size_t)taken);
        return n;
}

/* What is there already becomes a packet, or what the library itself has to say. */
static ngtcp2_ssize write_rest(struct writing *writing) {
        return ngtcp2_conn_writev_stream(writing->connection->conn, &writing->for_library, &writing->info,
                                         writing->room, QUIC_PACKET_MAX, NULL, NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL,
                                         0, writing->now);
}

/* Whether the packet may still be filled with something else. */
static bool is_refusal(ngtcp2_ssize result) {
        return result == NGTCP2_ERR_STREAM_DATA_BLOCKED || result == NGTCP2_ERR_STREAM_SHUT_WR ||
               result == NGTCP2_ERR_STREAM_NOT_FOUND;
}

static bool is_datagram_refusal(ngtcp2_ssize result) {
        return result == NGTCP2_ERR_INVALID_ARGUMENT || result == NGTCP2_ERR_INVALID_STATE;
}

/* @return the length of a packet; 0: nothing can be sent now; an error of the library */
static ngtcp2_ssize write_packet(struct writing *writing) {
        struct quic_connection *connection = writing->connection;
        struct quic_offer offer;

        for (unsigned i = 0; i < PIECES_MAX && connection->state == QUIC_OPEN; ++i) {
                ngtcp2_ssize n;

                if (!quic_streams_offer(connection, &offer))
                        break;
                n = offer.stream ? write_stream(writing, &offer) : write_datagram(writing, &offer);
                if (n == NGTCP2_ERR_WRITE_MORE)
                        continue;
                if (!(offer.stream ? is_refusal(n) : is_datagram_refusal(n)))
                        return n;
                quic_streams_refused(connection, &offer, (int)n);
        }
        return write_rest(writing);
}

/* A probe of the path's MTU is larger than what is known to fit. */
static bool is_probe(const struct quic_connection *connection, size_t length) {
        return length > ngtcp2_conn_get_path_max_tx_udp_payload_size(connection->conn);
}

/* Of a client that moves: few. What finds no room there is lost, as packets may be. */
static void add_elsewhere(struct writing *writing, struct quic_socket *socket, size_t length) {
        uint8_t copy[QUIC_PACKET_MAX];
        uint8_t *room;

        /* The room of one socket is gone when another's is asked for. */
        memcpy(copy, writing->room, length);
        room = quic_socket_room(socket);
        if (!room)
                return;
        memcpy(room, copy, length);
        quic_socket_add(socket, length, &writing->path, (uint8_t)writing->info.ecn, true);
        quic_socket_flush(socket);
}

static void add(struct writing *writing, size_t length) {
        struct quic_connection *connection = writing->connection;
        struct quic_socket *socket = quic_paths_socket(connection, &writing->path);

        connection->counts.packets_sent++;
        connection->counts.bytes_sent += length;
        if (socket == connection->socket)
                quic_socket_add(socket, length, &writing->path, (uint8_t)writing->info.ecn,
                                is_probe(connection, length));
        else
                add_elsewhere(writing, socket, length);
}

bool quic_send(struct quic_connection *connection, uint64_t now) {
        struct writing writing = { .connection = connection, .now = now };
        bool has_more = true;
        unsigned n;

        writing.for_library = quic_path_for_library(&writing.path);
        for (n = 0; n < TURN_PACKETS; ++n) {
                ngtcp2_ssize length;

                writing.room = quic_socket_room(connection->socket);
                if (!writing.room)
                        quic_socket_wait(connection->socket, &connection->in_waiters);
                length = writing.room ? write_packet(&writing) : 0;
                if (length < 0)
                        quic_ending_note_library(connection, (int)length);
                has_more = length > 0;
                if (!has_more)
                        break;
                add(&writing, (size_t)length);
        }
        if (n > 0)
                quic_socket_flush(connection->socket);
        /*
         * From here the library paces. Its pauses are shorter than a millisecond, which is what a timer can do, where the peer is near; but what a pause was too long by is made up for by
         * the next ones, so that on average nothing is lost, and where the window is large for the round trip there are no pauses at all.
         */
        ngtcp2_conn_update_pkt_tx_time(connection->conn, now);
        return has_more;
}
