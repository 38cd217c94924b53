/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/datagrams.h"

#include <errno.h>
#include <ngtcp2/ngtcp2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "loop/watch.h"
#include "relay/pair.h"
#include "relay/quic/connection.h"
#include "relay/quic/quic.h"
#include "relay/quic/streams.h"
#include "relay/relay.h"
#include "relay/socket_io.h"

#define GUEST_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

/* Messages that wait for the congestion window; a power of two. */
#define QUEUE_MAX 16

/* What a packet has besides the message: its first byte, the packet number, the tag of its AEAD (RFC 9001, 5.3); and the frame's type and length. */
#define PACKET_OVERHEAD (1 + 4 + 16)
#define FRAME_OVERHEAD (1 + 2)

struct message {
        uint8_t *bytes; /* owned; NULL without any */
        size_t length;
};

struct quic_datagrams {
        struct quic_connection *connection; /* borrowed */
        struct transport *pair;             /* owned; NULL: the guest has closed its end */
        int guest_fd;                       /* owned; -1: it has it */
        struct watch watch;
        bool may_read;
        struct message queue[QUEUE_MAX];
        unsigned first;
        unsigned n;
};

bool quic_datagrams_are_spoken(const struct quic_connection *connection) {
        return connection->settings.datagrams;
}

static void pair_changed(struct watch *watch, uint32_t events) {
        struct quic_datagrams *datagrams = nb_container_of(watch, struct quic_datagrams, watch);

        (void)events;
        datagrams->may_read = true;
        quic_connection_run_later(datagrams->connection);
}

/* @param datagrams  with both ends */
static int watch_pair(struct quic_datagrams *datagrams) {
        struct relay *relay = datagrams->connection->quic->relay;
        int r = watch_start(&datagrams->watch, &relay->watches, transport_bottom_fd(datagrams->pair), GUEST_EVENTS,
                            pair_changed);

        if (r < 0)
                return r;
        relay->n_descriptors += 2;
        return 0;
}

int quic_datagrams_need(struct quic_connection *connection) {
        struct quic_datagrams *datagrams;
        int r;

        if (connection->streams.datagrams)
                return 0;
        if (!relay_has_room(connection->quic->relay, 2))
                return -EMFILE;
        datagrams = calloc(1, sizeof(*datagrams));
        if (!datagrams)
                return -ENOMEM;
        datagrams->connection = connection;
        r = pair_new(true, &datagrams->pair, &datagrams->guest_fd);
        if (r < 0) {
                free(datagrams);
                return r;
        }
        r = watch_pair(datagrams);
        if (r < 0) {
                datagrams->pair = transport_free(datagrams->pair);
                (void)nb_fd_close(datagrams->guest_fd);
                free(datagrams);
                return r;
        }
        connection->streams.datagrams = datagrams;
        return 0;
}

static void release_guests_end(struct quic_datagrams *datagrams) {
        if (datagrams->guest_fd < 0)
                datagrams->connection->streams.n_pairs--;
        else
                datagrams->connection->quic->relay->n_descriptors--;
        datagrams->guest_fd = nb_fd_close(datagrams->guest_fd);
}

/* The watch is ended and not just forgotten: the guest may hold a duplicate. */
static void close_pair(struct quic_datagrams *datagrams) {
        if (!datagrams->pair)
                return;
        watch_end(&datagrams->watch);
        datagrams->pair = transport_free(datagrams->pair);
        datagrams->connection->quic->relay->n_descriptors--;
        release_guests_end(datagrams);
}

static void drop_first(struct quic_datagrams *datagrams) {
        struct message *message = &datagrams->queue[datagrams->first];

        free(message->bytes);
        *message = (struct message){ 0 };
        datagrams->first = (datagrams->first + 1) % QUEUE_MAX;
        datagrams->n--;
}

struct quic_datagrams *quic_datagrams_free(struct quic_datagrams *datagrams) {
        if (!datagrams)
                return NULL;
        close_pair(datagrams);
        while (datagrams->n > 0)
                drop_first(datagrams);
        free(datagrams);
        return NULL;
}

int quic_datagrams_take_end(struct quic_datagrams *datagrams) {
        if (datagrams->guest_fd < 0)
                return -1;
        datagrams->connection->streams.n_pairs++;
        datagrams->connection->quic->relay->n_descriptors--;
        return nb_steal_fd(&datagrams->guest_fd);
}

uint32_t quic_datagrams_message_max(const struct quic_connection *connection) {
        const ngtcp2_transport_params *theirs = ngtcp2_conn_get_remote_transport_params(connection->conn);
        size_t of_packet = PACKET_OVERHEAD + ngtcp2_conn_get_dcid(connection->conn)->datalen;
        size_t path = ngtcp2_conn_get_path_max_tx_udp_payload_size(connection->conn);
        uint64_t most = path > of_packet ? path - of_packet : 0;

        if (!theirs)
                return 0;
        if (theirs->max_datagram_frame_size < most)
                most = theirs->max_datagram_frame_size;
        return most > FRAME_OVERHEAD ? (uint32_t)(most - FRAME_OVERHEAD) : 0;
}

/* ---- to the guest ---- */

void quic_datagrams_receive(struct quic_datagrams *datagrams, const uint8_t *bytes, size_t length) {
        if (!datagrams->pair || send(datagrams->pair->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                datagrams->connection->streams.n_datagrams_dropped++;
}

/* ---- from the guest ---- */

static void keep(struct quic_datagrams *datagrams, const uint8_t *bytes, size_t length) {
        struct message *message = &datagrams->queue[(datagrams->first + datagrams->n) % QUEUE_MAX];
        uint8_t *copy = length > 0 ? malloc(length) : NULL;

        if (length > quic_datagrams_message_max(datagrams->connection) || (length > 0 && !copy)) {
                datagrams->connection->streams.n_datagrams_dropped++;
                free(copy);
                return;
        }
        if (copy)
                memcpy(copy, bytes, length);
        *message = (struct message){ .bytes = copy, .length = length };
        datagrams->n++;
}

/*
 * The library refuses by the peer's limit only. What does not fit the path, since that is another one now, would wait for one that it fits, and all behind it. They are dropped from
 * the front, as they come to stand there.
 */
static void drop_too_long(struct quic_datagrams *datagrams) {
        size_t most = quic_datagrams_message_max(datagrams->connection);

        while (datagrams->n > 0 && datagrams->queue[datagrams->first].length > most)
                quic_datagrams_refused(datagrams);
}

void quic_datagrams_run(struct quic_datagrams *datagrams) {
        uint8_t *scratch = datagrams->connection->quic->relay->scratch;

        drop_too_long(datagrams);
        while (datagrams->pair && datagrams->may_read && datagrams->n < QUEUE_MAX) {
                ssize_t n = datagrams->pair->ops->read(datagrams->pair, scratch, RELAY_SCRATCH_SIZE);

                if (n > 0 || n == TRANSPORT_EMPTY)
                        keep(datagrams, scratch, n > 0 ? (size_t)n : 0);
                else if (n == TRANSPORT_TOO_LONG)
                        datagrams->connection->streams.n_datagrams_dropped++;
                else if (n == -EAGAIN)
                        datagrams->may_read = false;
                else
                        close_pair(datagrams);
        }
}

bool quic_datagrams_offer(struct quic_datagrams *datagrams, struct quic_offer *ret) {
        const struct message *message = &datagrams->queue[datagrams->first];

        if (datagrams->n == 0)
                return false;
        *ret = (struct quic_offer){ .id = -1, .length = message->length, .n_parts = message->length > 0 };
        ret->parts[0] = (ngtcp2_vec){ .base = message->bytes, .len = message->length };
        return true;
}

void quic_datagrams_took(struct quic_datagrams *datagrams) {
        bool was_full = datagrams->n == QUEUE_MAX;

        drop_first(datagrams);
        if (was_full && datagrams->may_read)
                quic_connection_run_later(datagrams->connection);
}

void quic_datagrams_refused(struct quic_datagrams *datagrams) {
        datagrams->connection->streams.n_datagrams_dropped++;
        quic_datagrams_took(datagrams);
}

bool quic_datagrams_are_drained(const struct quic_datagrams *datagrams) {
        return datagrams->n == 0;
}
