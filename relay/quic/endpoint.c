/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/address.h"
#include "loop/expiry.h"
#include "relay/inventory.h"
#include "relay/quic/answers.h"
#include "relay/quic/budget.h"
#include "relay/quic/connection.h"
#include "relay/quic/facts.h"
#include "relay/quic/ids.h"
#include "relay/quic/initial.h"
#include "relay/quic/quic.h"
#include "relay/quic/settings.h"
#include "relay/quic/socket.h"
#include "relay/quic/strangers.h"
#include "relay/relay.h"
#include "relay/reports.h"

/* The most clients that may wait for credit and the broker's word, whatever it says. */
#define WAITING_MAX 1024

/* How long one waits at most: whoever is not answered until then has given up. */
#define WAITING_MS 5000

/* How long who was refused is not asked about again. */
#define REFUSED_MS 1000

/* Retry is asked of everybody when more than one in so many places is taken by who has proved nothing. */
#define PRESSED_ONE_IN 4

struct quic_endpoint {
        struct nb_list in_quic;
        struct quic *quic; /* borrowed */
        uint64_t number;
        bool is_ended;                 /* nobody new; freed with its last connection */
        struct quic_socket *socket;    /* owned */
        int socket_error;              /* a positive errno, which ends it with the next look; 0: none */
        struct quic_settings settings; /* owned */
        struct quic_ids ids;
        struct quic_strangers strangers;
        struct quic_answers answers;
        uint32_t waiting_max;
        uint32_t connections_max;
        uint32_t n_connections;
        uint32_t n_under_way; /* handshakes */
        uint64_t n_announced;
        uint64_t credit; /* the total up to which they may be */
        uint64_t n_bad_tokens, n_dropped, n_refused;
        Nb__Relay__QuicServerFacts told; /* of what was asked for last; it owns nothing */
        struct expiry expiry;            /* of those who wait */
};

static void arm_expiry(struct quic_endpoint *endpoint);

static uint64_t now_of(const struct quic_endpoint *endpoint) {
        return uv_now(&endpoint->quic->relay->loop);
}

struct quic_socket *quic_endpoint_socket(const struct quic_endpoint *endpoint) {
        return endpoint->socket;
}

const struct quic_settings *quic_endpoint_settings(const struct quic_endpoint *endpoint) {
        return &endpoint->settings;
}

size_t quic_endpoint_load(const struct quic_endpoint *endpoint) {
        return endpoint->ids.n;
}

/* ---- who waits ---- */

static size_t n_strangers(const struct quic_endpoint *endpoint) {
        return endpoint->strangers.n_in[QUIC_STRANGER_WAITING] + endpoint->strangers.n_in[QUIC_STRANGER_ASKED];
}

static void announce(struct quic_endpoint *endpoint, const struct quic_stranger *stranger) {
        const struct quic_path *path = &quic_stranger_first_packet(stranger)->path;
        Nb__Relay__NewPeer new_peer = NB__RELAY__NEW_PEER__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;
        char address[QUIC_ADDRESS_TEXT_MAX], local[NB_ADDRESS_TEXT_MAX] = "";
        struct nb_address parsed;

        new_peer.server = endpoint->number;
        new_peer.peer = stranger->number;
        new_peer.address = (char *)quic_address_format(&path->remote, address);
        if (!quic_address_equal(&path->local, quic_socket_local(endpoint->socket)) &&
            nb_address_from_sockaddr(&path->local.any, quic_address_size(&path->local), &parsed) == 0) {
                nb_ip_unmap(&parsed.ip);
                new_peer.local = (char *)nb_ip_format(&parsed.ip, local);
        }
        report.body_case = NB__RELAY__REPORT__BODY_NEW_PEER;
        report.new_peer = &new_peer;
        relay_report(endpoint->quic->relay, &report);
}

static void tell_gone(struct quic_endpoint *endpoint, uint64_t number) {
        Nb__Relay__PeerGone gone = NB__RELAY__PEER_GONE__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        gone.server = endpoint->number;
        gone.peer = number;
        report.body_case = NB__RELAY__REPORT__BODY_PEER_GONE;
        report.peer_gone = &gone;
        relay_report(endpoint->quic->relay, &report);
}

static bool may_announce(const struct quic_endpoint *endpoint) {
        return !endpoint->is_ended && !quic_budget_is_spent(endpoint->quic) &&
               endpoint->n_announced < endpoint->credit &&
               endpoint->n_connections + endpoint->strangers.n_in[QUIC_STRANGER_ASKED] < endpoint->connections_max;
}

static void announce_waiting(struct quic_endpoint *endpoint) {
        struct quic_stranger *stranger;

        while (may_announce(endpoint) &&
               (stranger = quic_strangers_first(&endpoint->strangers, QUIC_STRANGER_WAITING))) {
                quic_strangers_ask(&endpoint->strangers, stranger, ++endpoint->n_announced);
                announce(endpoint, stranger);
        }
}

/* Whether too many places are taken by who may have lent its address from others: those that hold one of the broker's credit, or wait here. */
static bool is_pressed(const struct quic_endpoint *endpoint) {
        uint64_t taken = endpoint->strangers.n_in[QUIC_STRANGER_ASKED] + endpoint->n_under_way;
        uint64_t left = endpoint->credit > endpoint->n_announced ? endpoint->credit - endpoint->n_announced : 0;

        return PRESSED_ONE_IN * taken >= taken + left ||
               PRESSED_ONE_IN * n_strangers(endpoint) >= endpoint->waiting_max;
}

/* ---- first packets ---- */

static void wait_for_word(struct quic_endpoint *endpoint, const struct quic_packet *packet, const ngtcp2_pkt_hd *first,
                          const ngtcp2_cid *original_dcid) {
        if (n_strangers(endpoint) >= endpoint->waiting_max ||
            quic_strangers_add(&endpoint->strangers, packet, &first->dcid, original_dcid, now_of(endpoint)) < 0) {
                endpoint->n_refused++;
                return;
        }
        announce_waiting(endpoint);
        arm_expiry(endpoint);
}

/* A client's Initial. Whether it is whole is looked at last, for that is what costs most. */
static void first_came(struct quic_endpoint *endpoint, const struct quic_packet *packet, const ngtcp2_pkt_hd *first) {
        ngtcp2_cid original_dcid;
        enum quic_token_verdict verdict =
                quic_token_judge(&endpoint->answers.key, first->token, first->tokenlen, first->version,
                                 &packet->path.remote, &first->dcid, uv_hrtime(), &original_dcid);

        if (verdict == QUIC_TOKEN_BAD) {
                endpoint->n_bad_tokens++;
                quic_answer_close(&endpoint->answers, packet, first, NGTCP2_INVALID_TOKEN);
        } else if (quic_strangers_is_refused(&endpoint->strangers, &packet->path.remote)) {
                endpoint->n_refused++;
                quic_answer_close(&endpoint->answers, packet, first, NGTCP2_CONNECTION_REFUSED);
        } else if (verdict == QUIC_TOKEN_NONE && (endpoint->settings.always_retry || is_pressed(endpoint))) {
                quic_answer_retry(&endpoint->answers, packet, first);
        } else if (!quic_initial_is_whole(packet)) {
                endpoint->n_dropped++;
        } else {
                wait_for_word(endpoint, packet, first, verdict == QUIC_TOKEN_GOOD ? &original_dcid : NULL);
        }
}

/* With the bit that a peer clears only where it was told that it may (RFC 9287). */
static bool has_short_header(const struct quic_packet *packet) {
        return (packet->bytes[0] & 0xc0) == 0x40;
}

static void nobodys_came(struct quic_endpoint *endpoint, const struct quic_packet *packet,
                         const ngtcp2_version_cid *header) {
        uint64_t n_resets = endpoint->answers.n[QUIC_ANSWER_RESET];
        ngtcp2_pkt_hd first;
        ngtcp2_cid id;

        if (header->version != 0 && !endpoint->is_ended && packet->length >= NGTCP2_MAX_UDP_PAYLOAD_SIZE &&
            ngtcp2_accept(&first, packet->bytes, packet->length) == 0) {
                first_came(endpoint, packet, &first);
                return;
        }
        if (has_short_header(packet)) {
                ngtcp2_cid_init(&id, header->dcid, header->dcidlen);
                quic_answer_reset(&endpoint->answers, packet, &id);
        }
        endpoint->n_dropped += endpoint->answers.n[QUIC_ANSWER_RESET] == n_resets;
}

/* @param header  of a version that is not spoken here; NULL: it has none that makes sense */
static void unreadable_came(struct quic_endpoint *endpoint, const struct quic_packet *packet,
                            const ngtcp2_version_cid *header) {
        uint64_t n_before = endpoint->answers.n[QUIC_ANSWER_VERSION];

        if (header && !endpoint->is_ended)
                quic_answer_version(&endpoint->answers, packet, header);
        endpoint->n_dropped += endpoint->answers.n[QUIC_ANSWER_VERSION] == n_before;
        quic_facts_server_changed(endpoint->quic);
}

static void packet_came(struct quic_socket *socket, const struct quic_packet *packet) {
        struct quic_endpoint *endpoint = quic_socket_owner(socket);
        struct quic_id_owner owner;
        ngtcp2_version_cid header;
        int r = ngtcp2_pkt_decode_version_cid(&header, packet->bytes, packet->length, QUIC_ID_LENGTH);

        if (r < 0 || header.dcidlen > NGTCP2_MAX_CIDLEN) {
                unreadable_came(endpoint, packet, r == NGTCP2_ERR_VERSION_NEGOTIATION ? &header : NULL);
                return;
        }
        owner = quic_ids_find(&endpoint->ids, header.dcid, header.dcidlen);
        if (owner.connection) {
                quic_connection_receive(owner.connection, packet);
        } else if (owner.stranger) {
                endpoint->n_dropped += quic_stranger_keep(owner.stranger, packet) < 0;
                /* Nobody tells when the budget has room again, but who waits repeats itself. */
                announce_waiting(endpoint);
        } else {
                nobodys_came(endpoint, packet, &header);
        }
        if (!owner.connection)
                quic_facts_server_changed(endpoint->quic);
}

/* ---- the end ---- */

static struct quic_endpoint *quic_endpoint_free(struct quic_endpoint *endpoint) {
        if (!endpoint)
                return NULL;
        nb_list_remove(&endpoint->in_quic);
        expiry_unset(&endpoint->expiry);
        endpoint->socket = quic_socket_free(endpoint->socket);
        quic_strangers_deinit(&endpoint->strangers);
        quic_ids_deinit(&endpoint->ids);
        quic_settings_deinit(&endpoint->settings);
        free(endpoint);
        return NULL;
}

static void cleanup_endpoint(struct quic_endpoint **endpoint) {
        *endpoint = quic_endpoint_free(*endpoint);
}

static bool free_if_over(struct quic_endpoint *endpoint) {
        if (!endpoint->is_ended || endpoint->n_connections > 0)
                return false;
        (void)quic_endpoint_free(endpoint);
        return true;
}

static void drop_strangers(struct quic_endpoint *endpoint, enum quic_stranger_state state) {
        struct quic_stranger *stranger;

        while ((stranger = quic_strangers_first(&endpoint->strangers, state)))
                quic_strangers_remove(&endpoint->strangers, stranger);
}

void quic_endpoint_end(struct quic_endpoint *endpoint) {
        endpoint->is_ended = true;
        for (int state = 0; state < QUIC_STRANGER_N_STATES; ++state)
                drop_strangers(endpoint, (enum quic_stranger_state)state);
        (void)free_if_over(endpoint);
}

/* Its connections note it, and end when they are run. */
static void lose_socket(struct quic_endpoint *endpoint) {
        int error = endpoint->socket_error;
        char reason[128];

        endpoint->socket_error = 0;
        nb_list_foreach_safe(element, &endpoint->quic->connections) {
                struct quic_connection *connection = nb_container_of(element, struct quic_connection, in_quic);

                if (connection->endpoint == endpoint)
                        quic_connection_socket_failed(connection, error);
        }
        if (!endpoint->is_ended) {
                (void)snprintf(reason, sizeof(reason), "the server's socket is no use any more: %s", strerror(error));
                report_ended(endpoint->quic->relay, endpoint->number, NB__RELAY__CAUSE__CAUSE_INTERNAL, reason, 0, 0);
        }
        quic_endpoint_end(endpoint);
}

/* What a router says of one of many peers is not told of a socket without one; but the kernel can be told to end a socket (sock_diag(7)). */
static void socket_failed(struct quic_socket *socket, int error) {
        struct quic_endpoint *endpoint = quic_socket_owner(socket);

        if (error != ECONNABORTED)
                return;
        endpoint->socket_error = error;
        arm_expiry(endpoint);
}

/* ---- those that wait for too long, and those that were refused a moment ago ---- */

/* How long the first of a state has left; UINT64_MAX: nobody is in it. */
static uint64_t time_left(const struct quic_endpoint *endpoint, enum quic_stranger_state state, uint64_t lifetime_ms) {
        const struct quic_stranger *first = quic_strangers_first(&endpoint->strangers, state);
        uint64_t age_ms = first ? now_of(endpoint) - first->since_ms : 0;

        if (!first)
                return UINT64_MAX;
        return age_ms < lifetime_ms ? lifetime_ms - age_ms : 0;
}

static void drop_late(struct quic_endpoint *endpoint) {
        struct quic_strangers *strangers = &endpoint->strangers;

        while (time_left(endpoint, QUIC_STRANGER_WAITING, WAITING_MS) == 0)
                quic_strangers_remove(strangers, quic_strangers_first(strangers, QUIC_STRANGER_WAITING));
        while (time_left(endpoint, QUIC_STRANGER_REFUSED, REFUSED_MS) == 0)
                quic_strangers_remove(strangers, quic_strangers_first(strangers, QUIC_STRANGER_REFUSED));
        while (time_left(endpoint, QUIC_STRANGER_ASKED, WAITING_MS) == 0) {
                struct quic_stranger *stranger = quic_strangers_first(strangers, QUIC_STRANGER_ASKED);

                tell_gone(endpoint, stranger->number);
                quic_strangers_remove(strangers, stranger);
        }
}

static void expire(void *data) {
        struct quic_endpoint *endpoint = data;

        expiry_unset(&endpoint->expiry);
        if (endpoint->socket_error != 0) {
                lose_socket(endpoint);
                return;
        }
        drop_late(endpoint);
        announce_waiting(endpoint);
        arm_expiry(endpoint);
}

static uint64_t first_expiry(const struct quic_endpoint *endpoint) {
        const uint64_t left[] = {
                endpoint->socket_error != 0 ? 0 : UINT64_MAX,
                time_left(endpoint, QUIC_STRANGER_WAITING, WAITING_MS),
                time_left(endpoint, QUIC_STRANGER_ASKED, WAITING_MS),
                time_left(endpoint, QUIC_STRANGER_REFUSED, REFUSED_MS),
        };

        return expiry_first(left, sizeof(left) / sizeof(left[0]));
}

static void arm_expiry(struct quic_endpoint *endpoint) {
        expiry_set(&endpoint->expiry, &endpoint->quic->relay->loop, first_expiry(endpoint), expire, endpoint);
}

/* ---- connections ---- */

int quic_endpoint_add_id(struct quic_endpoint *endpoint, const ngtcp2_cid *id, struct quic_connection *connection) {
        return quic_ids_add(&endpoint->ids, id->data, id->datalen, (struct quic_id_owner){ .connection = connection },
                            &connection->ids);
}

void quic_endpoint_remove_id(struct quic_endpoint *endpoint, const ngtcp2_cid *id) {
        quic_ids_remove(&endpoint->ids, id->data, id->datalen);
}

void quic_endpoint_confirmed(struct quic_endpoint *endpoint, struct quic_connection *connection) {
        endpoint->n_under_way -= connection->is_under_way;
        connection->is_under_way = false;
}

void quic_endpoint_release(struct quic_endpoint *endpoint, struct quic_connection *connection) {
        quic_endpoint_confirmed(endpoint, connection);
        quic_ids_remove_all(&endpoint->ids, &connection->ids);
        if (!connection->is_counted)
                return;
        connection->is_counted = false;
        endpoint->n_connections--;
        if (!free_if_over(endpoint))
                announce_waiting(endpoint);
}

static int accept_stranger(struct quic_endpoint *endpoint, struct quic_stranger *stranger, uint64_t link,
                           int channel_fd, struct quic_connection **ret) {
        const struct quic_packet *packet = quic_stranger_first_packet(stranger);
        struct quic_first first = { .after_retry = stranger->after_retry, .path = packet->path };
        struct quic_connection *connection;
        ngtcp2_pkt_hd header;
        int r;

        /* It was parsed as it came. */
        (void)ngtcp2_accept(&header, packet->bytes, packet->length);
        first.version = header.version;
        first.dcid = &header.dcid;
        first.scid = &header.scid;
        first.original_dcid = &stranger->original_dcid;
        first.token = header.token;
        first.token_length = header.tokenlen;
        r = quic_connection_accept(endpoint->quic, endpoint, &first, link, channel_fd, &connection);
        if (r < 0)
                return r;
        endpoint->n_connections++;
        endpoint->n_under_way++;
        connection->is_counted = true;
        connection->is_under_way = true;
        quic_strangers_release_id(&endpoint->strangers, stranger);
        /* Without memory for it the client is not heard, and its connection ends as one that is silent. */
        (void)quic_endpoint_add_id(endpoint, &header.dcid, connection);
        *ret = connection;
        return 0;
}

static void deliver_first_flight(struct quic_connection *connection, const struct quic_stranger *stranger) {
        for (struct nb_list *element = stranger->packets.next; element != &stranger->packets; element = element->next)
                quic_connection_receive(connection,
                                        &nb_container_of(element, struct quic_kept_packet, in_stranger)->packet);
}

static void report_not_made(struct relay *relay, uint64_t link, int error) {
        if (error == -ENOENT)
                report_ended(relay, link, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT,
                             "its certificates or keys could not be loaded, or TLSALPN= names no protocol", 0, 0);
        else
                report_ended(relay, link, NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
                             "the relay has no room for another connection", 0, 0);
}

static void take_stranger(struct quic_endpoint *endpoint, struct quic_stranger *stranger, uint64_t link,
                          int channel_fd) {
        struct quic_connection *connection;
        int r = accept_stranger(endpoint, stranger, link, channel_fd, &connection);

        if (r < 0)
                report_not_made(endpoint->quic->relay, link, r);
        else
                deliver_first_flight(connection, stranger);
        quic_strangers_remove(&endpoint->strangers, stranger);
}

/* It is told, as who finds nobody at an address, so that it does not try until its patience ends. */
static void refuse_stranger(struct quic_endpoint *endpoint, struct quic_stranger *stranger) {
        const struct quic_packet *packet = quic_stranger_first_packet(stranger);
        ngtcp2_pkt_hd header;

        if (ngtcp2_accept(&header, packet->bytes, packet->length) == 0)
                quic_answer_close(&endpoint->answers, packet, &header, NGTCP2_CONNECTION_REFUSED);
        quic_socket_flush(endpoint->socket);
        quic_strangers_refuse(&endpoint->strangers, stranger, now_of(endpoint));
        if (endpoint->strangers.n_in[QUIC_STRANGER_REFUSED] > endpoint->waiting_max)
                quic_strangers_remove(&endpoint->strangers,
                                      quic_strangers_first(&endpoint->strangers, QUIC_STRANGER_REFUSED));
        arm_expiry(endpoint);
}

void quic_endpoint_accept_peer(struct quic_endpoint *endpoint, uint64_t peer, uint64_t link, int fd) {
        struct quic_stranger *stranger = quic_strangers_find(&endpoint->strangers, peer);

        if (stranger) {
                take_stranger(endpoint, stranger, link, fd);
                return;
        }
        (void)nb_fd_close(fd);
        report_ended(endpoint->quic->relay, link, NB__RELAY__CAUSE__CAUSE_ENDED, "the client did not wait any more", 0,
                     0);
}

void quic_endpoint_refuse_peer(struct quic_endpoint *endpoint, uint64_t peer) {
        struct quic_stranger *stranger = quic_strangers_find(&endpoint->strangers, peer);

        if (stranger)
                refuse_stranger(endpoint, stranger);
}

void quic_endpoint_renew(struct quic_endpoint *endpoint, const struct quic_settings *settings) {
        quic_settings_deinit(&endpoint->settings);
        endpoint->settings = *settings;
}

void quic_endpoint_credit(struct quic_endpoint *endpoint, uint64_t total) {
        if (total <= endpoint->credit)
                return;
        endpoint->credit = total;
        announce_waiting(endpoint);
}

/* ---- its beginning ---- */

static void batch_is_over(struct quic_socket *socket) {
        quic_socket_flush(socket);
}

static void socket_writable(struct quic_socket *socket) {
        struct nb_list *waiter;

        while ((waiter = quic_socket_next_waiter(socket)))
                quic_connection_writable(nb_container_of(waiter, struct quic_connection, in_waiters));
}

static const struct quic_socket_ops ops = {
        .packet = packet_came,
        .batch_end = batch_is_over,
        .writable = socket_writable,
        .failed = socket_failed,
};

static int new_endpoint(struct quic *quic, const Nb__Relay__Serve *serve, const struct quic_settings *settings,
                        int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        NB_CLEANUP(cleanup_endpoint) struct quic_endpoint *endpoint = calloc(1, sizeof(*endpoint));
        struct quic_settings owned = *settings;
        int r;

        if (!endpoint) {
                quic_settings_deinit(&owned);
                return -ENOMEM;
        }
        nb_list_init(&endpoint->in_quic);
        endpoint->quic = quic;
        endpoint->number = serve->server;
        endpoint->settings = owned;
        endpoint->connections_max = serve->peers_max;
        endpoint->waiting_max = serve->waiting_max < WAITING_MAX ? serve->waiting_max : WAITING_MAX;
        if (endpoint->waiting_max == 0)
                endpoint->waiting_max = 1;
        nb__relay__quic_server_facts__init(&endpoint->told);
        r = quic_ids_init(&endpoint->ids);
        if (r == 0)
                r = quic_strangers_init(&endpoint->strangers, &endpoint->ids);
        if (r == 0)
                r = quic_socket_new(quic->relay, fd, &ops, endpoint, &endpoint->socket);
        if (r < 0)
                return r;
        (void)nb_steal_fd(&fd);
        quic_answers_init(&endpoint->answers, quic, endpoint->socket, endpoint->number);
        nb_list_append(&quic->servers, &endpoint->in_quic);
        (void)nb_steal_ptr(endpoint);
        return 0;
}

void quic_endpoint_start(struct quic *quic, const Nb__Relay__Serve *serve, const struct quic_settings *settings,
                         int fd) {
        if (new_endpoint(quic, serve, settings, fd) < 0)
                report_ended(quic->relay, serve->server, NB__RELAY__CAUSE__CAUSE_NO_MEMORY,
                             "the relay has no room for the server", 0, 0);
}

void quic_endpoint_free_all(struct quic *quic) {
        nb_list_foreach_safe(element, &quic->servers)(void)
                quic_endpoint_free(nb_container_of(element, struct quic_endpoint, in_quic));
}

struct quic_endpoint *quic_endpoint_find(const struct quic *quic, uint64_t number) {
        for (const struct nb_list *element = quic->servers.next; element != &quic->servers; element = element->next) {
                struct quic_endpoint *endpoint = nb_container_of(element, struct quic_endpoint, in_quic);

                if (endpoint->number == number && !endpoint->is_ended)
                        return endpoint;
        }
        return NULL;
}

/* ---- for another broker ---- */

static void forget_announced(struct quic_endpoint *endpoint) {
        endpoint->n_announced = 0;
        endpoint->credit = 0;
        quic_strangers_unask(&endpoint->strangers);
        nb__relay__quic_server_facts__init(&endpoint->told);
}

void quic_endpoint_take_stock(struct quic *quic, struct inventory *inventory) {
        nb_list_foreach_safe(element, &quic->servers) {
                struct quic_endpoint *endpoint = nb_container_of(element, struct quic_endpoint, in_quic);

                if (!endpoint->is_ended)
                        inventory_add(inventory, endpoint->number, true, false);
                forget_announced(endpoint);
        }
}

/* ---- what operators are told ---- */

bool quic_endpoint_news(struct nb_list *in_quic, Nb__Relay__QuicServerFacts *ret) {
        struct quic_endpoint *endpoint = nb_container_of(in_quic, struct quic_endpoint, in_quic);
        Nb__Relay__QuicServerFacts now = NB__RELAY__QUIC_SERVER_FACTS__INIT;

        now.server = endpoint->number;
        now.retries = endpoint->answers.n[QUIC_ANSWER_RETRY];
        now.bad_tokens = endpoint->n_bad_tokens;
        now.version_negotiations = endpoint->answers.n[QUIC_ANSWER_VERSION];
        now.stateless_resets = endpoint->answers.n[QUIC_ANSWER_RESET];
        now.packets_dropped = endpoint->n_dropped;
        now.refused = endpoint->n_refused;
        if (now.retries == endpoint->told.retries && now.bad_tokens == endpoint->told.bad_tokens &&
            now.version_negotiations == endpoint->told.version_negotiations &&
            now.stateless_resets == endpoint->told.stateless_resets &&
            now.packets_dropped == endpoint->told.packets_dropped && now.refused == endpoint->told.refused)
                return false;
        endpoint->told = now;
        *ret = now;
        return true;
}
