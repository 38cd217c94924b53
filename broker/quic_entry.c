/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/quic_entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/datagram.h"
#include "broker/decision.h"
#include "broker/session.h"
#include "broker/socket.h"
#include "broker/tenant.h"
#include "policy/explain.h"
#include "policy/host_name.h"

#define MINUTE_MS 60000

struct quic_entry *quic_entry_new(void) {
        return calloc(1, sizeof(struct quic_entry));
}

struct quic_entry *quic_entry_free(struct quic_entry *entry) {
        free(entry);
        return NULL;
}

/* ---- facts ---- */

static uint64_t grown(uint64_t before, uint64_t now) {
        return now > before ? now - before : 0;
}

static void count(struct quic_metrics *metrics, const struct quic_facts *before, const Nb__Relay__QuicFacts *now) {
        metrics->packets_sent += grown(before->packets_sent, now->packets_sent);
        metrics->packets_received += grown(before->packets_received, now->packets_received);
        metrics->packets_lost += grown(before->packets_lost, now->packets_lost);
        metrics->bytes_sent += grown(before->bytes_sent, now->bytes_sent);
        metrics->bytes_received += grown(before->bytes_received, now->bytes_received);
        metrics->streams_created += grown(before->streams_created, now->streams_created);
        metrics->streams_accepted += grown(before->streams_accepted, now->streams_accepted);
        metrics->datagrams_dropped += grown(before->datagrams_dropped, now->datagrams_dropped);
}

int quic_entry_take_facts(struct connection *connection, const Nb__Relay__QuicFacts *facts) {
        struct quic_facts *kept = &connection->quic->facts;

        if (!connection->quic->was_restored || kept->known)
                count(&connection->tenant->metrics.quic, kept, facts);
        *kept = (struct quic_facts){
                .known = true,
                .rtt_us = facts->rtt_us,
                .rtt_min_us = facts->rtt_min_us,
                .congestion_window = facts->congestion_window,
                .bytes_in_flight = facts->bytes_in_flight,
                .packets_sent = facts->packets_sent,
                .packets_received = facts->packets_received,
                .packets_lost = facts->packets_lost,
                .bytes_sent = facts->bytes_sent,
                .bytes_received = facts->bytes_received,
                .streams = facts->streams,
                .streams_created = facts->streams_created,
                .streams_accepted = facts->streams_accepted,
                .bytes_buffered = facts->bytes_buffered,
                .datagrams_dropped = facts->datagrams_dropped,
                .paths = facts->paths,
        };
        return 0;
}

/* ---- paths: judging ---- */

/* A connection may outlive its session; for records it is asked for in that one's name. */
static struct session session_of(const struct connection *connection) {
        return (struct session){
                .broker = connection->tenant->broker,
                .tenant = connection->tenant,
                .id = connection->session_id,
                .label = connection->label,
                .token = connection->token,
        };
}

/* The name that was granted, with the port of this address: a rule for one port is none for another. */
static bool name_allows(const struct asker *asker, const char *text, const struct nb_address *address) {
        struct policy_host_name name;
        struct policy_verdict verdict;

        if (policy_host_name_parse(text, strlen(text), &name) < 0)
                return false;
        name.port = address->port;
        decide_name_again(asker, &name, &verdict);
        if (!verdict.allowed) {
                decide_name(asker, &name, NULL, &verdict); /* for the record */
                return false;
        }
        decide_resolved(asker, &name, address, &verdict);
        return verdict.allowed;
}

static bool is_allowed(const struct asker *asker, const struct connection *connection,
                       const struct nb_socket_address *address) {
        struct policy_verdict verdict;

        if (connection->name)
                return name_allows(asker, connection->name, &address->ip);
        decide(asker, connection->verb, address, NULL, &verdict);
        return verdict.allowed;
}

/* ---- paths: taking ---- */

static int make_socket(const struct connection *connection, const struct nb_socket_address *address, int *ret_fd) {
        NB_CLEANUP_FD int fd = socket_new(address->family, POLICY_SOCKET_DGRAM);
        int r = fd < 0 ? fd : socket_connect(fd, address, &connection->tenant->broker->own);

        if (r == 0)
                r = datagram_take_from(fd, &address->ip);
        if (r < 0)
                return r;
        *ret_fd = nb_steal_fd(&fd);
        return 0;
}

static int order_take(struct connection *connection, uint32_t path, bool allowed, int fd) {
        Nb__Relay__TakePath take = NB__RELAY__TAKE_PATH__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        take.link = connection->relayed.number;
        take.path = path;
        take.allowed = allowed;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PATH;
        order.take_path = &take;
        return relay_order(&connection->relayed, &order, &fd, fd >= 0 ? 1 : 0);
}

static void keep_earlier(struct quic_entry *entry, const struct nb_socket_address *address) {
        for (size_t i = 0; i < QUIC_ENTRY_EARLIER_MAX; ++i) {
                if (nb_socket_address_equal(&entry->earlier[i], address))
                        return;
        }
        entry->earlier[entry->n_earlier++ % QUIC_ENTRY_EARLIER_MAX] = *address;
}

/* @return 0 when it is taken; -errno */
static int take(struct connection *connection, const Nb__Relay__NewPath *path,
                const struct nb_socket_address *address) {
        NB_CLEANUP_CHANNEL_FD int fd = -1;
        int r = path->preferred ? make_socket(connection, address, &fd) : 0;

        if (r == 0)
                r = order_take(connection, path->path, true, fd);
        if (r < 0)
                return r;
        keep_earlier(connection->quic, &connection->peer);
        connection_moved(connection, address, fd);
        return 0;
}

static void refuse(struct connection *connection, uint32_t path) {
        connection->tenant->metrics.quic.paths_refused++;
        (void)order_take(connection, path, false, -1);
}

static void judge(struct connection *connection, const Nb__Relay__NewPath *path,
                  const struct nb_socket_address *address) {
        const struct session session = session_of(connection);
        const struct asker asker = {
                .session = &session,
                .grant = connection->grant,
                .narrowings = connection->narrowings,
                .type = connection->type,
        };
        int r;

        if (path->preferred && connection->bind.family != 0) {
                decision_record_failure(
                        &asker, "connect", address,
                        "a bound control has one socket, so the server's preferred address is not taken");
                refuse(connection, path->path);
                return;
        }
        /* A server names one, once: so there are never more than two sockets for one that is counted. */
        if ((path->preferred && connection->ends_by_report) || !is_allowed(&asker, connection, address)) {
                refuse(connection, path->path);
                return;
        }
        r = take(connection, path, address);
        if (r == 0) {
                connection->tenant->metrics.quic.paths_allowed++;
                return;
        }
        decision_record_failure(&asker, policy_verb_name(connection->verb), address, strerror(-r));
        refuse(connection, path->path);
}

/* ---- paths: reading ---- */

static bool is_too_many(struct quic_entry *entry, uint64_t now_ms) {
        if (now_ms - entry->paths_since_ms >= MINUTE_MS) {
                entry->paths_since_ms = now_ms;
                entry->n_paths = 0;
        }
        return ++entry->n_paths > NB_RELAY_PATHS_A_MINUTE;
}

/* A path stays in the family of the one before: the socket has no other, or was made for it. */
static int parse(const struct connection *connection, const Nb__Relay__NewPath *path, struct nb_socket_address *ret) {
        struct nb_socket_address address;

        if (nb_socket_address_parse(path->address, strlen(path->address), &address) < 0 || address.family == AF_UNIX)
                return -EPROTO;
        nb_socket_address_unmap(&address);
        if (address.ip.port == 0 || nb_ip_is_unspecified(&address.ip.ip))
                return -EPROTO;
        if (path->preferred && (connection->verb != POLICY_CONNECT || address.family != connection->peer.family))
                return -EPROTO;
        if (!path->preferred && connection->verb != POLICY_ACCEPT)
                return -EPROTO;
        *ret = address;
        return 0;
}

int quic_entry_judge_path(struct connection *connection, const Nb__Relay__NewPath *path) {
        struct quic_entry *entry = connection->quic;
        struct nb_socket_address address;
        int r = parse(connection, path, &address);

        if (r < 0 || path->path != entry->last_path + 1 ||
            is_too_many(entry, uv_now(&connection->tenant->broker->loop)))
                return -EPROTO;
        entry->last_path = path->path;
        judge(connection, path, &address);
        return 0;
}

bool quic_entry_is_granted(const struct connection *connection) {
        const struct quic_entry *entry = connection->quic;

        for (size_t i = 0; i < QUIC_ENTRY_EARLIER_MAX; ++i) {
                if (entry->earlier[i].family != 0 &&
                    !decision_still_grants(connection->grant, connection->verb, connection->name, &entry->earlier[i]))
                        return false;
        }
        return true;
}
