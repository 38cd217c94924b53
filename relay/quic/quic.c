/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/quic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "relay/quic/budget.h"
#include "relay/quic/connection.h"
#include "relay/quic/endpoint.h"
#include "relay/quic/guest_channel.h"
#include "relay/quic/incoming.h"
#include "relay/quic/leftover.h"
#include "relay/quic/outgoing.h"
#include "relay/quic/settings.h"
#include "relay/inventory.h"
#include "relay/relay.h"
#include "relay/reports.h"

/* ---- what all have in common ---- */

/* A peer that is not told waits for as long as its idle timeout is. */
static void end_connections(struct quic *quic) {
        nb_list_foreach_safe(element, &quic->connections) {
                struct quic_connection *connection = nb_container_of(element, struct quic_connection, in_quic);

                quic_connection_say_goodbye(connection);
                (void)quic_connection_free(connection);
        }
}

struct quic *quic_free(struct quic *quic) {
        if (!quic)
                return NULL;
        end_connections(quic);
        quic_leftover_free_all(quic);
        guest_channel_free_unread(quic);
        quic_endpoint_free_all(quic);
        quic_ids_deinit(&quic->links);
        quic_facts_deinit(quic);
        free(quic->in);
        free(quic->out);
        explicit_bzero(quic->secret, sizeof(quic->secret));
        explicit_bzero(quic->reset_secret, sizeof(quic->reset_secret));
        free(quic);
        return NULL;
}

static struct quic *quic_new(struct relay *relay) {
        struct quic *quic = calloc(1, sizeof(*quic));

        if (!quic)
                return NULL;
        quic->relay = relay;
        nb_list_init(&quic->servers);
        nb_list_init(&quic->connections);
        nb_list_init(&quic->leftovers);
        nb_list_init(&quic->unread);
        nb_list_init(&quic->batchless);
        quic_facts_init(quic);
        quic->in = quic_incoming_new();
        quic->out = quic_outgoing_new();
        if (!quic->in || !quic->out || quic_ids_init(&quic->links) < 0 ||
            getrandom(quic->secret, sizeof(quic->secret), 0) != (ssize_t)sizeof(quic->secret) ||
            getrandom(quic->reset_secret, sizeof(quic->reset_secret), 0) != (ssize_t)sizeof(quic->reset_secret))
                return quic_free(quic);
        if (relay->has_reset_secret)
                memcpy(quic->reset_secret, relay->reset_secret, sizeof(quic->reset_secret));
        return quic;
}

/* @return the relay's, made now where there is none; NULL without memory */
static struct quic *quic_of(struct relay *relay) {
        if (!relay->quic)
                relay->quic = quic_new(relay);
        return relay->quic;
}

static bool is_in_use(const struct relay *relay, uint64_t number) {
        return relay->quic && (quic_connection_find(relay->quic, number) || quic_endpoint_find(relay->quic, number));
}

/* ---- orders ---- */

static void refuse_context(struct relay *relay, uint64_t number) {
        report_ended(relay, number, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT, "its certificates or keys could not be loaded",
                     0, 0);
}

static void refuse_room(struct relay *relay, uint64_t number) {
        report_ended(relay, number, NB__RELAY__CAUSE__CAUSE_NO_MEMORY, "the relay has no room for it", 0, 0);
}

int quic_begin(struct relay *relay, const Nb__Relay__Begin *begin, int socket_fd_consumed, int channel_fd_consumed) {
        NB_CLEANUP_FD int socket_fd = socket_fd_consumed;
        NB_CLEANUP_FD int channel_fd = channel_fd_consumed;
        struct quic_settings settings;

        if (begin->link == 0 || is_in_use(relay, begin->link) || begin->role != NB__RELAY__ROLE__ROLE_CLIENT ||
            begin->n_hops > 0 || !begin->quic)
                return -EINVAL;
        if (!quic_of(relay) || quic_budget_is_spent(relay->quic))
                refuse_room(relay, begin->link);
        else if (quic_settings_init(relay, begin->quic, begin->tls_context, begin->timeout_ms, &settings) < 0)
                refuse_context(relay, begin->link);
        else
                quic_connection_dial(relay->quic, begin, &settings, nb_steal_fd(&socket_fd), nb_steal_fd(&channel_fd));
        return 0;
}

int quic_serve(struct relay *relay, const Nb__Relay__Serve *serve, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        struct quic_settings settings;

        if (serve->server == 0 || is_in_use(relay, serve->server) || !serve->quic)
                return -EINVAL;
        if (!relay_has_room(relay, 1) || !quic_of(relay))
                refuse_room(relay, serve->server);
        else if (quic_settings_init(relay, serve->quic, serve->tls_context, serve->handshake_timeout_ms, &settings) < 0)
                refuse_context(relay, serve->server);
        else
                quic_endpoint_start(relay->quic, serve, &settings, nb_steal_fd(&fd));
        return 0;
}

static struct quic_endpoint *find_server(const struct relay *relay, uint64_t number) {
        return relay->quic ? quic_endpoint_find(relay->quic, number) : NULL;
}

bool quic_has_server(const struct relay *relay, uint64_t number) {
        return find_server(relay, number) != NULL;
}

bool quic_credit(struct relay *relay, const Nb__Relay__Credit *credit) {
        struct quic_endpoint *endpoint = find_server(relay, credit->server);

        if (endpoint)
                quic_endpoint_credit(endpoint, credit->total);
        return endpoint != NULL;
}

/* The policy was replaced: what it says holds for this client, and for those behind it. @return 0, or -ENOENT as quic_settings_init() */
static int renew(struct relay *relay, struct quic_endpoint *endpoint, const Nb__Relay__TakePeer *take) {
        struct quic_settings settings;
        int r;

        if (!take->quic)
                return 0;
        r = quic_settings_init(relay, take->quic, take->tls_context, take->handshake_timeout_ms, &settings);
        if (r == 0)
                quic_endpoint_renew(endpoint, &settings);
        return r;
}

int quic_take_peer(struct relay *relay, const Nb__Relay__TakePeer *take, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        struct quic_endpoint *endpoint = find_server(relay, take->server);

        if (!endpoint || take->peer == 0 || take->allowed != (fd >= 0) || (take->allowed && take->link == 0) ||
            is_in_use(relay, take->link))
                return -EPROTO;
        if (take->allowed && renew(relay, endpoint, take) < 0) {
                refuse_context(relay, take->link);
                quic_endpoint_refuse_peer(endpoint, take->peer);
        } else if (take->allowed) {
                quic_endpoint_accept_peer(endpoint, take->peer, take->link, nb_steal_fd(&fd));
        } else {
                quic_endpoint_refuse_peer(endpoint, take->peer);
        }
        return 0;
}

int quic_take_path(struct relay *relay, const Nb__Relay__TakePath *take, int fd_consumed) {
        NB_CLEANUP_FD int fd = fd_consumed;
        struct quic_connection *connection = relay->quic ? quic_connection_find(relay->quic, take->link) : NULL;

        if (!take->allowed && fd >= 0)
                return -EPROTO;
        return connection ? quic_connection_take_path(connection, take, nb_steal_fd(&fd)) : 0;
}

bool quic_end(struct relay *relay, uint64_t number) {
        struct quic_endpoint *endpoint = find_server(relay, number);
        struct quic_connection *connection = relay->quic ? quic_connection_find(relay->quic, number) : NULL;

        if (endpoint)
                quic_endpoint_end(endpoint);
        else if (connection)
                quic_connection_end(connection);
        return endpoint || connection;
}

/* ---- for another broker ---- */

void quic_take_stock(struct relay *relay, struct inventory *inventory) {
        if (!relay->quic)
                return;
        quic_endpoint_take_stock(relay->quic, inventory);
        nb_list_foreach_safe(element, &relay->quic->connections) {
                const struct quic_connection *connection = nb_container_of(element, struct quic_connection, in_quic);

                if (connection->state != QUIC_CLOSING)
                        inventory_add(inventory, connection->link, false, connection->state == QUIC_OPEN);
        }
}

void quic_ask_again(struct relay *relay) {
        if (!relay->quic)
                return;
        nb_list_foreach_safe(element, &relay->quic->connections) {
                struct quic_connection *connection = nb_container_of(element, struct quic_connection, in_quic);

                if (connection->state == QUIC_OPEN)
                        quic_connection_ask_again(connection);
        }
        quic_facts_server_changed(relay->quic);
}
