/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/channel.h"
#include "base/escape.h"
#include "broker/broker.h"
#include "broker/relay_context.h"
#include "broker/tenant.h"
#include "loop/deadline.h"
#include "loop/nudge.h"

/* What a relay reports: read as a stranger's, and given to the object that it names. */

/* For the log, and for who asks later. */
static void note_walls(struct relay *relay, const Nb__Relay__Started *started) {
        char text[sizeof(relay->missing_walls)];
        size_t length = 0;

        for (size_t i = 0; i < started->n_missing_walls && length < sizeof(text); ++i) {
                (void)nb_escape(started->missing_walls[i], strlen(started->missing_walls[i]), text, sizeof(text));
                nb_log(&relay_broker(relay)->log, NB_LOG_WARNING, "tenant %s: its relay runs without %s",
                       relay->pool->tenant->name, text);
                length += (size_t)snprintf(relay->missing_walls + length, sizeof(relay->missing_walls) - length, "%s%s",
                                           i > 0 ? ", " : "", text);
        }
}

static int report_started(struct relay *relay, const Nb__Relay__Started *started) {
        if (relay->is_started || started->version != NB_RELAY_VERSION)
                return -EPROTO;
        relay->is_started = true;
        relay->locked_memory = started->locked_memory;
        relay->kernel_tls = started->kernel_tls;
        relay->deadline = deadline_free(relay->deadline);
        note_walls(relay, started);
        /* Before anything is Ready, and so before a guest can know of it. */
        relay_leave_with_keeper(relay);
        return 0;
}

static uint64_t number_of(const Nb__Relay__Report *report) {
        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_ANNOUNCED:
                return report->announced->link;
        case NB__RELAY__REPORT__BODY_READY:
                return report->ready->link;
        case NB__RELAY__REPORT__BODY_ENDED:
                return report->ended->link;
        case NB__RELAY__REPORT__BODY_NEW_PEER:
                return report->new_peer->server;
        case NB__RELAY__REPORT__BODY_PEER_GONE:
                return report->peer_gone->server;
        case NB__RELAY__REPORT__BODY_NEW_PATH:
                return report->new_path->link;
        default:
                return 0;
        }
}

static bool was_given(const struct relay *relay, uint64_t number) {
        return number != 0 && number <= relay_broker(relay)->last_relay_number;
}

/* Of an object that was detached, reports may still be on their way; a number that was never given is a lie. */
static int report_of_object(struct relay *relay, const Nb__Relay__Report *report) {
        uint64_t number = number_of(report);
        struct relay_object *object = relay_object_table_find(&relay->table, number);

        if (report->body_case == NB__RELAY__REPORT__BODY_ENDED)
                relayed_metrics_ended(&relay->pool->tenant->metrics.relayed, report->ended);
        if (object)
                return object->ops->report(object, report);
        return was_given(relay, number) ? 0 : -EPROTO;
}

static int tell_facts_of(const struct relay *relay, const Nb__Relay__QuicFacts *facts) {
        struct relay_object *object = relay_object_table_find(&relay->table, facts->link);

        if (!object)
                return was_given(relay, facts->link) ? 0 : -EPROTO;
        return object->ops->facts ? object->ops->facts(object, facts) : -EPROTO;
}

static int tell_facts_of_server(const struct relay *relay, const Nb__Relay__QuicServerFacts *facts) {
        struct relay_object *object = relay_object_table_find(&relay->table, facts->server);

        if (!object)
                return was_given(relay, facts->server) ? 0 : -EPROTO;
        return object->ops->server_facts ? object->ops->server_facts(object, facts) : -EPROTO;
}

/* Nothing that is told here ends an object. */
static int report_quic_state(const struct relay *relay, const Nb__Relay__QuicState *state) {
        int r = 0;

        if (state->n_connections > NB_RELAY_QUIC_FACTS_MAX || state->n_servers > NB_RELAY_QUIC_FACTS_MAX)
                return -EPROTO;
        for (size_t i = 0; r == 0 && i < state->n_connections; ++i)
                r = tell_facts_of(relay, state->connections[i]);
        for (size_t i = 0; r == 0 && i < state->n_servers; ++i)
                r = tell_facts_of_server(relay, state->servers[i]);
        return r;
}

static int report_of_context(const struct relay *relay, const Nb__Relay__Report *report) {
        bool is_loaded = report->body_case == NB__RELAY__REPORT__BODY_LOADED;
        uint32_t id = is_loaded ? report->loaded->context : report->unusable->context;

        /* One that was dropped meanwhile is of no interest. */
        if (relay_has_context(relay, id) && !is_loaded)
                relay_context_note_unusable(relay_broker(relay), report->unusable);
        return 0;
}

/* @return 0; -EPROTO. The relay may be gone afterwards, but not after -EPROTO. */
static int handle_report(struct relay *relay, const Nb__Relay__Report *report) {
        if (report->body_case == NB__RELAY__REPORT__BODY_STOCK)
                return relay_report_stock(relay, report->stock);
        if (relay->was_restored && !relay->stock.is_taken)
                return relay_pass_over(relay, report);
        if (report->body_case == NB__RELAY__REPORT__BODY_STARTED)
                return report_started(relay, report->started);
        if (!relay->is_started)
                return -EPROTO;
        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_LOADED:
        case NB__RELAY__REPORT__BODY_UNUSABLE:
                return report_of_context(relay, report);
        case NB__RELAY__REPORT__BODY_QUIC_STATE:
                return report_quic_state(relay, report->quic_state);
        default:
                return report_of_object(relay, report);
        }
}

void relay_receive(struct relay *relay) {
        struct broker *broker = relay_broker(relay);
        Nb__Relay__Report *report;
        int n;

        nudge_on(&broker->loop);
        n = nb_channel_receive_bytes(relay->fd, broker->frame);
        if (n == -EAGAIN || n == -EINTR)
                return;
        if (n == -EBADMSG || (n > 0 && nb_relay_report_decode(&broker->arena, broker->frame, (size_t)n, &report) < 0))
                relay_lose(relay, "its relay has sent what is no report", true);
        else if (n <= 0)
                relay_lose(relay, "its relay has ended", false);
        else if (handle_report(relay, report) == -EPROTO)
                relay_lose(relay, "its relay has sent a report that does not fit", true);
}
