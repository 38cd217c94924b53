/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/stopped.h"

#include "relay/quic/connection.h"
#include "relay/quic/stream.h"

/* Streams that are asked of in one run of their connection. */
#define RUN_MAX 64

/*
 * What no stream can carry is refused before anything is written; and what is reset is refused before that. (RFC 9000, 4.5: 2^62-1 bytes at most.)
 */
static bool is_stopped(const struct quic_stream *stream) {
        const ngtcp2_vec too_much = { .len = SIZE_MAX };

        _Static_assert(SIZE_MAX > NGTCP2_MAX_VARINT, "a length that no stream can have");
        return ngtcp2_conn_writev_stream(stream->connection->conn, NULL, NULL, NULL, 0, NULL,
                                         NGTCP2_WRITE_STREAM_FLAG_NONE, stream->id, &too_much, 1,
                                         0) == NGTCP2_ERR_STREAM_SHUT_WR;
}

/* Of one whose FIN the library has it would say the same. */
static bool is_waiting(const struct quic_stream *stream) {
        return !stream->is_closed && stream->out.length > 0 &&
               (stream->out_state == QUIC_OUT_OPEN || stream->out_state == QUIC_OUT_FINISHED);
}

/* A peer may open streams before its handshake is confirmed, and only then are they looked at. */
static bool is_due(const struct quic_connection *connection) {
        return connection->state == QUIC_OPEN && connection->streams.n > 0 &&
               connection->counts.packets_received != connection->stopped.n_packets;
}

static void begin_round(struct quic_connection *connection, uint64_t now) {
        connection->stopped = (struct quic_stopped){
                .n_left = connection->streams.n,
                .n_packets = connection->counts.packets_received,
                .next_at = now + QUIC_STOPPED_PAUSE,
        };
}

bool quic_stopped_run(struct quic_connection *connection, uint64_t now) {
        struct quic_stopped *stopped = &connection->stopped;
        struct nb_list *all = &connection->streams.all;

        if (stopped->n_left == 0 && is_due(connection) && now >= stopped->next_at)
                begin_round(connection, now);
        /* Some may be gone since it began. */
        if (stopped->n_left > connection->streams.n)
                stopped->n_left = connection->streams.n;
        for (unsigned i = 0; i < RUN_MAX && stopped->n_left > 0; ++i, --stopped->n_left) {
                struct quic_stream *stream = nb_container_of(all->next, struct quic_stream, in_all);

                nb_list_remove(&stream->in_all);
                nb_list_append(all, &stream->in_all);
                if (is_waiting(stream) && is_stopped(stream))
                        quic_stream_was_stopped(stream);
        }
        return stopped->n_left > 0;
}

uint64_t quic_stopped_next(const struct quic_connection *connection) {
        return is_due(connection) ? connection->stopped.next_at : UINT64_MAX;
}
