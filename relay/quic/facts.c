/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/facts.h"

#include <ngtcp2/ngtcp2.h>
#include <stdint.h>
#include <uv.h>

#include "loop/deadline.h"
#include "proto/relay_frame.h"
#include "relay/quic/connection.h"
#include "relay/quic/endpoint.h"
#include "relay/quic/library.h"
#include "relay/quic/quic.h"
#include "relay/quic/stream.h"
#include "relay/relay.h"

#define NS_PER_US 1000u

static void send_state(struct relay *relay, Nb__Relay__QuicFacts **connections, size_t n_connections,
                       Nb__Relay__QuicServerFacts **servers, size_t n_servers) {
        Nb__Relay__QuicState state = NB__RELAY__QUIC_STATE__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        state.n_connections = n_connections;
        state.connections = connections;
        state.n_servers = n_servers;
        state.servers = servers;
        report.body_case = NB__RELAY__REPORT__BODY_QUIC_STATE;
        report.quic_state = &state;
        relay_report(relay, &report);
}

/* The library counts by streams, and forgets those that it has closed: these are counted already. */
static uint64_t lost_of_open(const struct quic_connection *connection) {
        uint64_t n = 0;

        nb_list_foreach_safe(element, &connection->streams.all) {
                const struct quic_stream *stream = nb_container_of(element, struct quic_stream, in_all);

                if (stream->id >= 0)
                        n += ngtcp2_conn_get_stream_loss_count(connection->conn, stream->id);
        }
        return n;
}

static void fill(const struct quic_connection *connection, Nb__Relay__QuicFacts *ret) {
        const struct quic_counts *counts = &connection->counts;
        ngtcp2_conn_info info;

        nb__relay__quic_facts__init(ret);
        ngtcp2_conn_get_conn_info(connection->conn, &info);
        ret->link = connection->link;
        /* Before the first sample the library has its guess there. */
        if (info.min_rtt != UINT64_MAX) {
                ret->rtt_us = info.smoothed_rtt / NS_PER_US;
                ret->rtt_min_us = info.min_rtt / NS_PER_US;
        }
        ret->congestion_window = info.cwnd;
        ret->bytes_in_flight = info.bytes_in_flight;
        ret->packets_sent = counts->packets_sent;
        ret->packets_received = counts->packets_received;
        ret->packets_lost = counts->lost + lost_of_open(connection);
        ret->bytes_sent = counts->bytes_sent;
        ret->bytes_received = counts->bytes_received;
        ret->streams = (uint32_t)connection->streams.n;
        ret->streams_created = connection->streams.n_created;
        ret->streams_accepted = connection->streams.n_accepted;
        ret->bytes_buffered = connection->streams.bytes_buffered;
        ret->datagrams_dropped = connection->streams.n_datagrams_dropped;
        ret->paths = connection->paths.n_taken;
}

/* Those that fit one frame. @return whether there are more */
static bool tell_connections(struct quic *quic) {
        Nb__Relay__QuicFacts facts[NB_RELAY_QUIC_FACTS_MAX];
        Nb__Relay__QuicFacts *pointers[NB_RELAY_QUIC_FACTS_MAX];
        size_t n = 0;

        while (n < NB_RELAY_QUIC_FACTS_MAX && !nb_list_is_empty(&quic->facts.news)) {
                struct quic_connection *connection =
                        nb_container_of(quic->facts.news.next, struct quic_connection, in_news);

                nb_list_remove(&connection->in_news);
                fill(connection, &facts[n]);
                pointers[n] = &facts[n];
                ++n;
        }
        if (n > 0)
                send_state(quic->relay, pointers, n, NULL, 0);
        return !nb_list_is_empty(&quic->facts.news);
}

static void tell_servers(struct quic *quic) {
        nb_list_foreach_safe(in_quic, &quic->servers) {
                Nb__Relay__QuicServerFacts facts = NB__RELAY__QUIC_SERVER_FACTS__INIT;
                Nb__Relay__QuicServerFacts *pointer = &facts;

                if (quic_endpoint_news(in_quic, &facts))
                        send_state(quic->relay, NULL, 0, &pointer, 1);
        }
}

static void tell(void *data) {
        struct quic *quic = data;

        quic->facts.is_waiting = false;
        /* A broker that does not read, or that is being started again, is told more important things first. */
        if (!channel_is_clear(quic->relay)) {
                quic_facts_server_changed(quic);
                return;
        }
        while (tell_connections(quic)) {
        }
        tell_servers(quic);
}

void quic_facts_init(struct quic *quic) {
        nb_list_init(&quic->facts.news);
        quic->facts.timer = deadline_new_unset(&quic->relay->loop, tell, quic);
        quic->facts.is_waiting = false;
}

void quic_facts_deinit(struct quic *quic) {
        quic->facts.timer = deadline_free(quic->facts.timer);
}

void quic_facts_server_changed(struct quic *quic) {
        if (quic->facts.is_waiting || !quic->facts.timer)
                return;
        quic->facts.is_waiting = true;
        deadline_move(quic->facts.timer, quic_library_now() + QUIC_FACTS_MS * NGTCP2_MILLISECONDS);
}

void quic_facts_changed(struct quic_connection *connection) {
        struct quic *quic = connection->quic;

        /* Before it is ready nobody looks at it. */
        if (connection->state != QUIC_OPEN || !nb_list_is_empty(&connection->in_news))
                return;
        nb_list_append(&quic->facts.news, &connection->in_news);
        quic_facts_server_changed(quic);
}

void quic_facts_tell_last(struct quic_connection *connection) {
        Nb__Relay__QuicFacts facts;
        Nb__Relay__QuicFacts *pointer = &facts;

        nb_list_remove(&connection->in_news);
        if (connection->state != QUIC_OPEN)
                return;
        fill(connection, &facts);
        send_state(connection->quic->relay, &pointer, 1, NULL, 0);
}
