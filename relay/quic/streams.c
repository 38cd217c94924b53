/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/streams.h"

#include <assert.h>
#include <errno.h>

#include "base/cleanup.h"
#include "relay/quic/connection.h"
#include "relay/quic/datagrams.h"
#include "relay/quic/guest_channel.h"
#include "relay/quic/quic.h"
#include "relay/quic/stream.h"

/*
 * What one stream may send before it is the turn of another, in bytes: an eighth of what may be under way, so that nobody waits long for its turn. A dozen packets at least and what the kernel sends
 * at once at most: what its peer's guest is woken for is not to be crumbs.
 */
#define SHARES 8u
#define SHARE_MIN 16384u
#define SHARE_MAX 65536u

/* What is offered at once: more than fits a packet. */
#define OFFER_MAX 4096u

/* Streams that are looked at in one run of their connection. */
#define RUN_MAX 64

static bool is_bidirectional(int64_t id) {
        return !(id & 2);
}

void quic_streams_init(struct quic_streams *streams) {
        *streams = (struct quic_streams){ .share = SHARE_MIN };
        nb_list_init(&streams->all);
        nb_list_init(&streams->sending);
        nb_list_init(&streams->changed);
        nb_list_init(&streams->incoming);
}

void quic_streams_deinit(struct quic_connection *connection) {
        nb_list_foreach_safe(element, &connection->streams.all) {
                struct quic_stream *stream = nb_container_of(element, struct quic_stream, in_all);

                /* What is revoked is over at once. */
                if (connection->ending.cause != NB__RELAY__CAUSE__CAUSE_ENDED)
                        quic_stream_outlive(stream);
                quic_stream_free(stream);
        }
        connection->streams.datagrams = quic_datagrams_free(connection->streams.datagrams);
}

/* ---- what the guest asks for ---- */

/* @return 0 or -errno */
static int open_stream(struct quic_stream *stream, bool unidirectional) {
        ngtcp2_conn *conn = stream->connection->conn;
        int r = unidirectional ? ngtcp2_conn_open_uni_stream(conn, &stream->id, stream)
                               : ngtcp2_conn_open_bidi_stream(conn, &stream->id, stream);

        if (r == NGTCP2_ERR_STREAM_ID_BLOCKED)
                return -EAGAIN;
        return r < 0 ? -ENOMEM : 0;
}

/* The library comes last: what it has opened the peer would see opened and reset. */
int quic_streams_create(struct quic_connection *connection, bool unidirectional, struct quic_stream **ret,
                        int *ret_guest_fd) {
        struct quic_stream *stream =
                quic_stream_new(connection, unidirectional ? QUIC_STREAM_OURS : QUIC_STREAM_BIDIRECTIONAL);
        NB_CLEANUP_FD int guest_fd = -1;
        int r;

        if (!stream)
                return -ENOMEM;
        r = quic_stream_make_pair(stream, &guest_fd);
        if (r == 0)
                r = open_stream(stream, unidirectional);
        if (r < 0) {
                quic_stream_free(stream);
                return r;
        }
        connection->streams.n_created++;
        connection->streams.n_created_unidirectional += unidirectional;
        *ret = stream;
        *ret_guest_fd = nb_steal_fd(&guest_fd);
        return 0;
}

/* ---- a turn ---- */

/* An end alone costs no credit of the connection's: it need not wait for those that do. */
static void want_to_send(struct quic_stream *stream) {
        struct nb_list *sending = &stream->connection->streams.sending;

        if (stream->is_blocked || !nb_list_is_empty(&stream->in_sending) || !quic_stream_has_unsent(stream))
                return;
        stream->share_left = stream->connection->streams.share;
        nb_list_append(stream->out.n_unsent > 0 ? sending : sending->next, &stream->in_sending);
}

/* The peer may open another in its place. */
static void give_back(struct quic_stream *stream) {
        ngtcp2_conn *conn = stream->connection->conn;

        if (ngtcp2_conn_is_local_stream(conn, stream->id))
                return;
        if (is_bidirectional(stream->id))
                ngtcp2_conn_extend_max_streams_bidi(conn, 1);
        else
                ngtcp2_conn_extend_max_streams_uni(conn, 1);
}

static void run_one(struct quic_stream *stream) {
        bool has_more;

        if (!stream->connection->channel && !nb_list_is_empty(&stream->in_incoming))
                quic_stream_refuse(stream);
        has_more = quic_stream_run(stream);
        want_to_send(stream);
        if (has_more)
                quic_stream_changed(stream);
        if (!quic_stream_is_over(stream))
                return;
        give_back(stream);
        quic_stream_free(stream);
}

static void look_for_guest(struct quic_connection *connection) {
        struct quic_streams *streams = &connection->streams;

        if (connection->channel || streams->n_pairs > 0 || streams->guest_is_gone)
                return;
        streams->guest_is_gone = true;
        quic_connection_guest_gone(connection);
}

static size_t share_of(ngtcp2_conn *conn) {
        ngtcp2_conn_info info;
        uint64_t share;

        ngtcp2_conn_get_conn_info(conn, &info);
        share = info.cwnd / SHARES;
        if (share < SHARE_MIN)
                return SHARE_MIN;
        return share < SHARE_MAX ? (size_t)share : SHARE_MAX;
}

bool quic_streams_run(struct quic_connection *connection) {
        struct quic_streams *streams = &connection->streams;
        struct nb_list end;

        streams->data_left = ngtcp2_conn_get_max_data_left(connection->conn);
        streams->share = share_of(connection->conn);
        if (streams->datagrams)
                quic_datagrams_run(streams->datagrams);
        /* Those that have more to do come behind the end, and in the next run. */
        nb_list_append(&streams->changed, &end);
        for (unsigned i = 0; i < RUN_MAX && streams->changed.next != &end; ++i) {
                struct quic_stream *stream = nb_container_of(streams->changed.next, struct quic_stream, in_changed);

                nb_list_remove(&stream->in_changed);
                run_one(stream);
        }
        nb_list_remove(&end);
        look_for_guest(connection);
        return !nb_list_is_empty(&streams->changed);
}

void quic_streams_refuse_incoming(struct quic_connection *connection) {
        nb_list_foreach_safe(element, &connection->streams.incoming)
                quic_stream_refuse(nb_container_of(element, struct quic_stream, in_incoming));
}

bool quic_streams_are_drained(const struct quic_connection *connection) {
        const struct quic_streams *streams = &connection->streams;

        for (const struct nb_list *element = streams->all.next; element != &streams->all; element = element->next) {
                if (!quic_stream_is_drained(nb_container_of(element, struct quic_stream, in_all)))
                        return false;
        }
        return !streams->datagrams || quic_datagrams_are_drained(streams->datagrams);
}

/* ---- what is written ---- */

bool quic_streams_offer(struct quic_connection *connection, struct quic_offer *ret) {
        struct quic_streams *streams = &connection->streams;
        struct iovec parts[QUIC_OFFER_PARTS];
        struct quic_stream *stream;
        size_t most;

        *ret = (struct quic_offer){ 0 };
        if (streams->datagrams)
                return quic_datagrams_offer(streams->datagrams, ret);
        if (nb_list_is_empty(&streams->sending))
                return false;
        stream = nb_container_of(streams->sending.next, struct quic_stream, in_sending);
        most = streams->data_left < OFFER_MAX ? (size_t)streams->data_left : OFFER_MAX;
        if (most == 0 && stream->out.n_unsent > 0)
                return false;
        ret->stream = stream;
        ret->id = stream->id;
        ret->n_parts = quic_ring_unsent_parts(&stream->out, parts, QUIC_OFFER_PARTS, most);
        for (size_t i = 0; i < ret->n_parts; ++i) {
                ret->parts[i] = (ngtcp2_vec){ .base = parts[i].iov_base, .len = parts[i].iov_len };
                ret->length += parts[i].iov_len;
        }
        ret->fin = stream->out_state == QUIC_OUT_FINISHED && ret->length == stream->out.n_unsent;
        return true;
}

void quic_streams_took(struct quic_connection *connection, const struct quic_offer *offer, size_t n) {
        struct quic_streams *streams = &connection->streams;
        struct quic_stream *stream = offer->stream;

        if (!stream) {
                quic_datagrams_took(streams->datagrams);
                return;
        }
        assert(n <= offer->length && n <= streams->data_left);
        streams->data_left -= n;
        quic_stream_took(stream, n, offer->fin && n == offer->length);
        if (!quic_stream_has_unsent(stream)) {
                nb_list_remove(&stream->in_sending);
        } else if (stream->share_left == 0) {
                nb_list_remove(&stream->in_sending);
                want_to_send(stream);
        }
}

void quic_streams_refused(struct quic_connection *connection, const struct quic_offer *offer, int error) {
        struct quic_stream *stream = offer->stream;

        if (!stream) {
                quic_datagrams_refused(connection->streams.datagrams);
                return;
        }
        nb_list_remove(&stream->in_sending);
        if (error == NGTCP2_ERR_STREAM_DATA_BLOCKED)
                stream->is_blocked = true;
        else
                quic_stream_was_stopped(stream);
}

/* ---- callbacks ---- */

int quic_streams_on_open(ngtcp2_conn *conn, int64_t id, void *user_data) {
        struct quic_connection *connection = user_data;
        struct quic_stream *stream =
                quic_stream_new(connection, is_bidirectional(id) ? QUIC_STREAM_BIDIRECTIONAL : QUIC_STREAM_PEERS);

        if (!stream)
                return NGTCP2_ERR_CALLBACK_FAILURE;
        stream->id = id;
        (void)ngtcp2_conn_set_stream_user_data(conn, id, stream);
        nb_list_append(&connection->streams.incoming, &stream->in_incoming);
        connection->streams.n_accepted++;
        quic_stream_changed(stream);
        return 0;
}

int quic_streams_on_data(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t offset, const uint8_t *data,
                         size_t length, void *user_data, void *stream_user_data) {
        struct quic_stream *stream = stream_user_data;

        (void)conn;
        (void)id;
        (void)offset;
        (void)user_data;
        if (!stream)
                return 0;
        return quic_stream_receive(stream, data, length, flags & NGTCP2_STREAM_DATA_FLAG_FIN) < 0
                       ? NGTCP2_ERR_CALLBACK_FAILURE
                       : 0;
}

int quic_streams_on_acked(ngtcp2_conn *conn, int64_t id, uint64_t offset, uint64_t length, void *user_data,
                          void *stream_user_data) {
        (void)conn;
        (void)id;
        (void)offset;
        (void)user_data;
        if (stream_user_data)
                quic_stream_acknowledged(stream_user_data, (size_t)length);
        return 0;
}

int quic_streams_on_close(ngtcp2_conn *conn, uint32_t flags, int64_t id, uint64_t error, void *user_data,
                          void *stream_user_data) {
        (void)conn;
        (void)flags;
        (void)id;
        (void)error;
        (void)user_data;
        if (stream_user_data)
                quic_stream_was_closed(stream_user_data);
        return 0;
}

int quic_streams_on_reset(ngtcp2_conn *conn, int64_t id, uint64_t final_size, uint64_t error, void *user_data,
                          void *stream_user_data) {
        (void)conn;
        (void)id;
        (void)final_size;
        (void)error;
        (void)user_data;
        if (stream_user_data)
                quic_stream_was_reset(stream_user_data);
        return 0;
}

int quic_streams_on_more_stream_data(ngtcp2_conn *conn, int64_t id, uint64_t max, void *user_data,
                                     void *stream_user_data) {
        struct quic_stream *stream = stream_user_data;

        (void)conn;
        (void)id;
        (void)max;
        (void)user_data;
        if (!stream)
                return 0;
        stream->is_blocked = false;
        want_to_send(stream);
        return 0;
}

/* The totals are told by the guest's channel, which asks for them when it is run. */
int quic_streams_on_more_bidirectional(ngtcp2_conn *conn, uint64_t max, void *user_data) {
        (void)conn;
        (void)max;
        quic_connection_run_later(user_data);
        return 0;
}

int quic_streams_on_more_unidirectional(ngtcp2_conn *conn, uint64_t max, void *user_data) {
        return quic_streams_on_more_bidirectional(conn, max, user_data);
}

int quic_streams_on_datagram(ngtcp2_conn *conn, uint32_t flags, const uint8_t *data, size_t length, void *user_data) {
        struct quic_connection *connection = user_data;

        (void)conn;
        (void)flags;
        if (quic_datagrams_need(connection) < 0)
                connection->streams.n_datagrams_dropped++;
        else
                quic_datagrams_receive(connection->streams.datagrams, data, length);
        return 0;
}
