/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/stream.h"

#include <errno.h>
#include <ngtcp2/ngtcp2.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "relay/pair.h"
#include "relay/quic/budget.h"
#include "relay/quic/connection.h"
#include "relay/quic/leftover.h"
#include "relay/quic/quic.h"
#include "relay/quic/streams.h"
#include "relay/relay.h"

/* Room is asked for where it lacks: it would wake us for whatever the guest reads. */
#define GUEST_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* What is held of one stream until it is acknowledged: it grows while that is what limits it. */
#define OUT_MAX_FIRST (256u * 1024)
#define OUT_MAX_LAST (4u * 1024 * 1024)

/* How much of it may wait to be sent when more is read. A read adds what a turn sends; what many streams have read long before their turns is in no cache any more when it is encrypted. */
#define UNSENT_MAX (32u * 1024)

/* The same where the relay's budget is spent: enough for everybody to go on. */
#define OUT_MAX_POOR (16u * 1024)

/* From here on a read is a part of a long transfer, and goes where it is to be kept. */
#define LONG_READ 8192

/* Acknowledgements that make less room than that are not worth a read of their own. */
#define ROOM_WORTH_A_READ 16384u

#define PARTS_MAX 16

/* ---- what it costs ---- */

static void count_memory(struct quic_stream *stream) {
        size_t held = stream->in.held + stream->out.held;

        stream->connection->streams.bytes_buffered += held - stream->charged;
        stream->connection->quic->bytes_buffered += held - stream->charged;
        stream->charged = held;
}

static void pay(struct quic_stream *stream, uint64_t most_owed) {
        if (stream->owed <= most_owed)
                return;
        ngtcp2_conn_extend_max_offset(stream->connection->conn, stream->owed - most_owed);
        stream->owed = most_owed;
}

/* ---- both ends of its life ---- */

struct quic_stream *quic_stream_new(struct quic_connection *connection, enum quic_stream_kind kind) {
        struct quic_stream *stream = calloc(1, sizeof(*stream));

        if (!stream)
                return NULL;
        nb_list_init(&stream->in_sending);
        nb_list_init(&stream->in_changed);
        nb_list_init(&stream->in_incoming);
        nb_list_append(&connection->streams.all, &stream->in_all);
        connection->streams.n++;
        stream->connection = connection;
        stream->id = -1;
        stream->out_max = OUT_MAX_FIRST;
        stream->in_state = kind == QUIC_STREAM_OURS ? QUIC_IN_OVER : QUIC_IN_OPEN;
        stream->out_state = kind == QUIC_STREAM_PEERS ? QUIC_OUT_OVER : QUIC_OUT_OPEN;
        return stream;
}

/* The watch is ended and not just forgotten: the guest may hold a duplicate. */
static void free_pair(struct quic_stream *stream) {
        if (!stream->pair)
                return;
        watch_end(&stream->watch);
        stream->pair = transport_free(stream->pair);
        stream->connection->quic->relay->n_descriptors--;
        stream->connection->streams.n_pairs--;
}

static void close_pair(struct quic_stream *stream) {
        free_pair(stream);
        quic_stream_changed(stream);
}

void quic_stream_free(struct quic_stream *stream) {
        free_pair(stream);
        quic_ring_clear(&stream->in);
        quic_ring_clear(&stream->out);
        count_memory(stream);
        nb_list_remove(&stream->in_sending);
        nb_list_remove(&stream->in_changed);
        nb_list_remove(&stream->in_incoming);
        nb_list_remove(&stream->in_all);
        stream->connection->streams.n--;
        free(stream);
}

static void pair_changed(struct watch *watch, uint32_t events) {
        struct quic_stream *stream = nb_container_of(watch, struct quic_stream, watch);

        if (events & EPOLLHUP)
                stream->hung_up = true;
        if (events & (EPOLLRDHUP | EPOLLHUP))
                stream->end_is_near = true;
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                stream->may_read = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                stream->may_write = true;
        /* It was full, and is not any more. */
        if (events & EPOLLOUT)
                (void)watch_change(watch, GUEST_EVENTS);
        quic_stream_changed(stream);
}

/* What a direction that there is not looks like: to the guest it has ended. Writing where only the peer does is for the shim to refuse. */
static void end_missing(struct quic_stream *stream) {
        if (stream->in_state == QUIC_IN_OVER)
                (void)stream->pair->ops->finish(stream->pair);
}

int quic_stream_make_pair(struct quic_stream *stream, int *ret_guest_fd) {
        struct relay *relay = stream->connection->quic->relay;
        int r = relay_has_room(relay, 1) ? pair_new(false, &stream->pair, ret_guest_fd) : -EMFILE;

        if (r < 0)
                return r;
        r = watch_start(&stream->watch, &relay->watches, transport_bottom_fd(stream->pair), GUEST_EVENTS, pair_changed);
        if (r < 0) {
                stream->pair = transport_free(stream->pair);
                *ret_guest_fd = nb_fd_close(*ret_guest_fd);
                return r;
        }
        relay->n_descriptors++;
        stream->connection->streams.n_pairs++;
        stream->may_write = true;
        end_missing(stream);
        quic_stream_changed(stream);
        return 0;
}

void quic_stream_unmake_pair(struct quic_stream *stream) {
        free_pair(stream);
}

void quic_stream_changed(struct quic_stream *stream) {
        if (nb_list_is_empty(&stream->in_changed))
                nb_list_append(&stream->connection->streams.changed, &stream->in_changed);
        quic_connection_run_later(stream->connection);
}

bool quic_stream_is_over(const struct quic_stream *stream) {
        return stream->is_closed && !stream->pair && nb_list_is_empty(&stream->in_incoming);
}

bool quic_stream_is_drained(const struct quic_stream *stream) {
        if (stream->is_closed || stream->out_state == QUIC_OUT_OVER)
                return true;
        return stream->out_state == QUIC_OUT_SENT && stream->out.length == 0 && stream->fin_is_acked;
}

/* ---- ends ---- */

static void drop_in(struct quic_stream *stream) {
        quic_ring_clear(&stream->in);
        pay(stream, 0);
        count_memory(stream);
}

/* Nobody takes what the peer sends. */
static void stop_in(struct quic_stream *stream) {
        if (stream->in_state == QUIC_IN_OPEN && !stream->is_closed)
                (void)ngtcp2_conn_shutdown_stream_read(stream->connection->conn, 0, stream->id, 0);
        stream->in_state = QUIC_IN_OVER;
        drop_in(stream);
        /* A guest that has only ended its reading is told nothing worse. */
        if (stream->pair && !stream->hung_up)
                (void)stream->pair->ops->finish(stream->pair);
}

/* The bytes stay until the library has closed the stream, or acknowledged them: it may still point to them. */
static void reset_out(struct quic_stream *stream) {
        nb_list_remove(&stream->in_sending);
        if (stream->out_state == QUIC_OUT_OVER)
                return;
        stream->out_state = QUIC_OUT_OVER;
        if (!stream->is_closed)
                (void)ngtcp2_conn_shutdown_stream_write(stream->connection->conn, 0, stream->id, 0);
}

void quic_stream_refuse(struct quic_stream *stream) {
        if (stream->in_state != QUIC_IN_OVER)
                stop_in(stream);
        reset_out(stream);
        nb_list_remove(&stream->in_incoming);
        close_pair(stream);
        quic_stream_changed(stream);
}

void quic_stream_was_reset(struct quic_stream *stream) {
        if (stream->in_state == QUIC_IN_OPEN)
                stream->in_state = QUIC_IN_RESET;
        quic_stream_changed(stream);
}

void quic_stream_was_stopped(struct quic_stream *stream) {
        nb_list_remove(&stream->in_sending);
        if (stream->out_state == QUIC_OUT_OVER)
                return;
        stream->out_state = QUIC_OUT_OVER;
        if (stream->pair)
                pair_refuse(stream->pair);
        /* What the guest had written is read, and dropped, up to its end. */
        stream->may_read = true;
        quic_stream_changed(stream);
}

void quic_stream_was_closed(struct quic_stream *stream) {
        stream->is_closed = true;
        if (stream->out_state == QUIC_OUT_OPEN || stream->out_state == QUIC_OUT_FINISHED)
                quic_stream_was_stopped(stream);
        nb_list_remove(&stream->in_sending);
        quic_ring_clear(&stream->out);
        count_memory(stream);
        quic_stream_changed(stream);
}

/* ---- from the peer to the guest ---- */

int quic_stream_receive(struct quic_stream *stream, const uint8_t *bytes, size_t length, bool fin) {
        struct quic_connection *connection = stream->connection;

        if (stream->in_state != QUIC_IN_OPEN) {
                ngtcp2_conn_extend_max_offset(connection->conn, length);
                return 0;
        }
        if (quic_ring_append(&stream->in, bytes, length) < 0)
                return -ENOMEM;
        stream->owed += length;
        count_memory(stream);
        if (!quic_budget_is_spent(connection->quic))
                pay(stream, 0);
        if (fin) {
                stream->in_state = QUIC_IN_FINISHED;
                stream->in_is_complete = true;
        }
        quic_stream_changed(stream);
        return 0;
}

/* The guest has it, as far as we can know. */
static void delivered(struct quic_stream *stream, size_t length) {
        quic_ring_release(&stream->in, length);
        pay(stream, stream->in.length);
        if (!stream->is_closed && stream->in_state == QUIC_IN_OPEN)
                (void)ngtcp2_conn_extend_max_stream_offset(stream->connection->conn, stream->id, length);
}

/* Bytes are missing from here on: the guest's end is reset, as by a peer that resets, and the peer is told that nobody takes what it sends. */
static void cut(struct quic_stream *stream) {
        stream->is_cut = true;
        stream->hung_up = true;
        stream->guest_is_done = true;
        reset_out(stream);
        stop_in(stream);
}

static void deliver(struct quic_stream *stream) {
        struct iovec parts[PARTS_MAX];

        while (stream->in.length > 0 && stream->may_write) {
                size_t n_parts = quic_ring_parts(&stream->in, parts, PARTS_MAX);
                ssize_t n = pair_write_parts(stream->pair, parts, n_parts);

                if (n == -EAGAIN) {
                        stream->may_write = false;
                        (void)watch_change(&stream->watch, GUEST_EVENTS | EPOLLOUT);
                } else if (n < 0 && stream->in_state == QUIC_IN_RESET) {
                        drop_in(stream);
                } else if (n == -ENOBUFS || n == -ENOMEM) {
                        cut(stream);
                } else if (n < 0) {
                        stop_in(stream);
                } else {
                        delivered(stream, (size_t)n);
                }
        }
        count_memory(stream);
}

/* ---- from the guest to the peer ---- */

/* How much may be read from the guest now. */
static size_t room_of(const struct quic_stream *stream) {
        size_t most = quic_budget_is_spent(stream->connection->quic) ? OUT_MAX_POOR : stream->out_max;

        if (stream->out.n_unsent >= UNSENT_MAX || stream->out.length >= most)
                return 0;
        return most - stream->out.length;
}

static ssize_t read_long(struct quic_stream *stream) {
        size_t size;
        uint8_t *room = quic_ring_reserve(&stream->out, &size);
        ssize_t n;

        if (!room)
                return -ENOMEM;
        n = stream->pair->ops->read(stream->pair, room, size);
        quic_ring_commit(&stream->out, n > 0 ? (size_t)n : 0);
        quic_ring_trim(&stream->out);
        return n;
}

static ssize_t read_short(struct quic_stream *stream) {
        uint8_t *scratch = stream->connection->quic->relay->scratch;
        ssize_t n = stream->pair->ops->read(stream->pair, scratch, RELAY_SCRATCH_SIZE);

        if (n > 0 && stream->out_state == QUIC_OUT_OPEN && quic_ring_append(&stream->out, scratch, (size_t)n) < 0)
                return -ENOMEM;
        return n;
}

static void guest_has_ended(struct quic_stream *stream, ssize_t how) {
        stream->may_read = false;
        stream->guest_is_done = true;
        if (how == 0) {
                if (stream->out_state == QUIC_OUT_OPEN)
                        stream->out_state = QUIC_OUT_FINISHED;
                return;
        }
        /* It closed its end, and had not read everything; or we have no memory for what it writes. */
        stream->is_cut = true;
        stream->hung_up = true;
        reset_out(stream);
        if (stream->in_state != QUIC_IN_OVER)
                stop_in(stream);
}

/* @return whether there may be more to read, and room for it */
static bool read_guest(struct quic_stream *stream) {
        bool is_kept = stream->out_state == QUIC_OUT_OPEN;
        ssize_t n;

        if (!stream->may_read || stream->guest_is_done)
                return false;
        if (is_kept && room_of(stream) == 0)
                return false;
        n = is_kept && stream->reads_are_long ? read_long(stream) : read_short(stream);
        stream->reads_are_long = n >= LONG_READ;
        count_memory(stream);
        if (n > 0)
                stream->may_read = stream->end_is_near || !stream->pair->is_drained;
        else if (n == -EAGAIN)
                stream->may_read = false;
        else
                guest_has_ended(stream, n);
        return stream->may_read && (!is_kept || room_of(stream) > 0);
}

bool quic_stream_has_unsent(const struct quic_stream *stream) {
        if (stream->out_state == QUIC_OUT_FINISHED)
                return true;
        return stream->out_state == QUIC_OUT_OPEN && stream->out.n_unsent > 0;
}

void quic_stream_took(struct quic_stream *stream, size_t length, bool fin) {
        bool was_waiting = room_of(stream) == 0;

        quic_ring_take(&stream->out, length);
        stream->n_taken += length;
        stream->share_left -= length < stream->share_left ? length : stream->share_left;
        if (stream->out.n_unsent == 0 && stream->may_read && stream->out.length + ROOM_WORTH_A_READ > stream->out_max)
                stream->is_limited = true;
        if (fin) {
                stream->out_state = QUIC_OUT_SENT;
                stream->fin_was_alone = length == 0;
        }
        if (was_waiting && stream->may_read && room_of(stream) > 0)
                quic_stream_changed(stream);
}

/* What was under way when the round began has been acknowledged. Where no more was under way for want of room, the next one has twice that. */
static void next_round(struct quic_stream *stream) {
        stream->round_end = stream->n_taken;
        if (stream->is_limited && stream->out_max < OUT_MAX_LAST && !quic_budget_is_spent(stream->connection->quic))
                stream->out_max *= 2;
        stream->is_limited = false;
}

void quic_stream_acknowledged(struct quic_stream *stream, size_t length) {
        stream->n_acked += length;
        quic_ring_release(&stream->out, length);
        count_memory(stream);
        if (stream->out_state == QUIC_OUT_SENT && stream->out.length == 0 && (length == 0 || !stream->fin_was_alone))
                stream->fin_is_acked = true;
        if (stream->n_acked >= stream->round_end)
                next_round(stream);
        if (stream->may_read && (room_of(stream) >= ROOM_WORTH_A_READ || stream->out.length == 0))
                quic_stream_changed(stream);
}

/* ---- a turn ---- */

/* What can be said now is said; and where nothing is left to move the pair is closed. */
static void settle_ends(struct quic_stream *stream) {
        bool is_empty = stream->in.length == 0;

        if (stream->in_state == QUIC_IN_FINISHED && is_empty) {
                (void)stream->pair->ops->finish(stream->pair);
                stream->in_state = QUIC_IN_OVER;
        }
        if (stream->in_state == QUIC_IN_RESET && is_empty) {
                stream->in_state = QUIC_IN_OVER;
                close_pair(stream);
                return;
        }
        if (!stream->guest_is_done)
                return;
        if (stream->hung_up && stream->in_state != QUIC_IN_OVER)
                stop_in(stream);
        if (stream->in_state != QUIC_IN_OVER)
                return;
        /* A guest that has shut down both directions, and may not have closed, reads the end that it asked for. */
        if (stream->hung_up && !stream->is_cut)
                pair_settle(stream->pair);
        close_pair(stream);
}

bool quic_stream_run(struct quic_stream *stream) {
        bool has_more = false;

        /* The guest cannot be told of one direction's reset only; so the other one ends, too. */
        if (stream->in_state == QUIC_IN_RESET)
                reset_out(stream);
        if (stream->in_state == QUIC_IN_RESET && !stream->pair)
                quic_stream_refuse(stream);
        if (!stream->pair)
                return false;
        deliver(stream);
        has_more = read_guest(stream);
        settle_ends(stream);
        return has_more;
}

/* ---- the end of the connection ---- */

/* Whether the peer has all that the guest wrote. */
static bool is_all_delivered(struct quic_stream *stream) {
        if (stream->out_state == QUIC_OUT_OPEN)
                (void)read_guest(stream);
        return stream->out.length == 0;
}

void quic_stream_outlive(struct quic_stream *stream) {
        bool is_clean;

        if (!stream->pair || !stream->in_is_complete)
                return;
        is_clean = is_all_delivered(stream);
        deliver(stream);
        if (stream->is_cut)
                return;
        if (stream->in.length == 0) {
                if (is_clean)
                        pair_settle(stream->pair);
                return;
        }
        watch_end(&stream->watch);
        if (quic_leftover_new(stream->connection->quic, stream->pair, &stream->in, is_clean) < 0)
                return;
        stream->pair = NULL;
        stream->connection->streams.n_pairs--;
}
