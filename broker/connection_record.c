/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/connection_files.h"
#include "broker/connection_watch.h"
#include "broker/ledger.h"
#include "broker/quic_entry.h"
#include "broker/relayed_facts.h"
#include "broker/restriction.h"
#include "broker/security.h"
#include "broker/session_token.h"
#include "broker/tenant.h"
#include "broker/token_watch.h"
#include "policy/narrowing.h"

static struct ledger *ledger_of(const struct connection *connection) {
        return connection->tenant->broker->ledger;
}

/* ---- writing ---- */

static struct ledger_numbers numbers_of(const struct connection *connection) {
        uint64_t relay = relay_kept_number(&connection->relayed);

        return (struct ledger_numbers){
                .id = connection->id,
                .cookie = connection->cookie,
                .session_id = connection->session_id,
                .since_ms = connection->since_ms,
                .shelf = connection->shelf ? connection->shelf->number : 0,
                .relay = relay,
                .link = relay != 0 ? connection->relayed.number : 0,
                .verb = connection->verb,
                .type = connection->type,
                .version = connection->record_version,
                .preopen = connection->grant->preopen,
                .was_relayed = connection->was_relayed,
                .has_tls = connection->has_tls,
                .has_proxy = connection->has_proxy,
                .is_pair = connection->is_pair,
                .is_quic = connection->quic != NULL,
                .ends_by_report = connection->ends_by_report,
                .in_table = connection->in_table,
                .is_sealed = connection->is_sealed,
        };
}

static struct ledger_entry entry_of(const struct connection *connection) {
        struct ledger_entry entry = {
                .numbers = numbers_of(connection),
                .flags = (connection->revoked ? LEDGER_REVOKED : 0) | (connection->was_ended ? LEDGER_ENDING : 0),
                .tenant = connection->tenant->name,
                .protocol = connection->grant->name,
                .name = connection->name,
                .label = connection->label,
                .proxies = relayed_facts_proxies(connection->facts),
                .local = connection->local,
                .peer = connection->peer,
                .via = connection->via,
                .bind = connection->bind,
        };

        entry.security = relayed_facts_packed(connection->facts, &entry.security_length);
        if (connection->quic)
                memcpy(entry.earlier, connection->quic->earlier, sizeof(entry.earlier));
        return entry;
}

/* Most connections have none. @param ret  owned by the caller; NULL where there are none */
static int pack_narrowings(const struct connection *connection, uint8_t **ret, size_t *ret_length) {
        struct restriction_state state;
        const Nb__State__Narrowings *message =
                session_token_describe(connection->token, connection->narrowings, &state);

        *ret = NULL;
        *ret_length = 0;
        if (!message)
                return 0;
        *ret = malloc(nb__state__narrowings__get_packed_size(message));
        if (!*ret)
                return -ENOMEM;
        *ret_length = nb__state__narrowings__pack(message, *ret);
        return 0;
}

static void give_back(struct connection *connection) {
        account_release_bytes(&connection->tenant->account, connection->record_extra);
        connection->record_extra = 0;
}

/* What a record takes beyond one slot has no fixed size, so it is charged by the byte. */
static int charge(struct connection *connection) {
        size_t extra = ledger_extra(ledger_of(connection), connection->record);
        int r = account_charge_bytes(&connection->tenant->account, extra);

        if (r < 0) {
                connection_record_remove(connection);
                return r;
        }
        connection->record_extra = extra;
        return 0;
}

static int write_record(struct connection *connection) {
        NB_CLEANUP_FREE uint8_t *narrowings = NULL;
        struct ledger_entry entry = entry_of(connection);
        int r = pack_narrowings(connection, &narrowings, &entry.narrowings_length);

        if (r < 0)
                return r;
        entry.narrowings = narrowings;
        return connection->record != 0 ? ledger_replace(ledger_of(connection), &entry, &connection->record)
                                       : ledger_add(ledger_of(connection), &entry, &connection->record);
}

int connection_record_add(struct connection *connection) {
        int r = ledger_of(connection) ? write_record(connection) : 0;

        return r < 0 || connection->record == 0 ? r : charge(connection);
}

void connection_record_change(struct connection *connection) {
        if (connection->record == 0 || !ledger_of(connection))
                return;
        connection->record_version++;
        if (write_record(connection) < 0)
                return;
        give_back(connection);
        connection->record_extra = ledger_extra(ledger_of(connection), connection->record);
        account_restore_bytes(&connection->tenant->account, connection->record_extra);
}

void connection_record_set_flags(const struct connection *connection, uint32_t flags) {
        if (connection->record != 0 && ledger_of(connection))
                ledger_set_flags(ledger_of(connection), connection->record, flags);
}

void connection_record_remove(struct connection *connection) {
        give_back(connection);
        if (connection->record != 0 && ledger_of(connection))
                ledger_remove(ledger_of(connection), connection->record);
        connection->record = 0;
}

/* ---- the ledger itself ---- */

/* What is given out from now on is behind that. */
static void take_counter(const struct ledger *ledger, enum ledger_counter counter, uint64_t *last) {
        uint64_t kept = ledger_last(ledger, counter);

        if (kept > *last)
                *last = kept;
}

static void take_counters(struct broker *broker) {
        take_counter(broker->ledger, LEDGER_LAST_CONNECTION, &broker->last_connection_id);
        take_counter(broker->ledger, LEDGER_LAST_RELAY, &broker->last_relay);
        take_counter(broker->ledger, LEDGER_LAST_RELAY_OBJECT, &broker->last_relay_number);
        take_counter(broker->ledger, LEDGER_LAST_SESSION, &broker->last_session_id);
}

int ledger_restore(struct broker *broker, struct kept_item *item) {
        uint32_t n_bad = 0;
        int r;

        if (broker->ledger || item->n_fds != 1 || item->item->ledger->layout != LEDGER_LAYOUT)
                return -EPROTO;
        r = ledger_open(broker->keep, item->id, item->fds[0], &n_bad, &broker->ledger);
        if (r < 0)
                return r;
        item->fds[0] = -1;
        take_counters(broker);
        if (n_bad > 0)
                nb_log(&broker->log, NB_LOG_WARNING,
                       "%" PRIu32 " records of connections make no sense, and were dropped: their connections go on, "
                       "and are in no account",
                       n_bad);
        return 0;
}

/* Connections are not counted on one that could not be made: then they are not known after a restart. */
static void make_ledger(struct broker *broker) {
        int r = ledger_new(broker->keep, &broker->ledger);

        if (r < 0)
                nb_log(&broker->log, NB_LOG_ERROR,
                       "the memory for records of connections cannot be had (%s): a restart would lose the account of "
                       "those that go on",
                       strerror(-r));
}

/* ---- coming back ---- */

struct restoring {
        struct broker *broker;
        const struct connection *last; /* that came back; NULL: none */
        uint32_t n;
        uint32_t n_over; /* while there was no broker */
        uint32_t n_dropped;
};

static int copy_texts(struct connection *connection, const struct ledger_entry *entry) {
        connection->name = entry->name ? strdup(entry->name) : NULL;
        connection->label = entry->label ? strdup(entry->label) : NULL;
        return (entry->name && !connection->name) || (entry->label && !connection->label) ? -ENOMEM : 0;
}

static int restore_facts(struct connection *connection, const struct ledger_entry *entry) {
        int r = relayed_facts_restore(entry->security, entry->security_length, entry->proxies, &connection->facts);

        if (r == 0)
                account_restore_bytes(&connection->tenant->account, relayed_facts_size(connection->facts));
        return r;
}

static int restore_quic(struct connection *connection, const struct ledger_entry *entry) {
        if (!entry->numbers.is_quic)
                return 0;
        connection->quic = quic_entry_new();
        if (!connection->quic)
                return -ENOMEM;
        account_restore_bytes(&connection->tenant->account, sizeof(*connection->quic));
        connection->tenant->metrics.quic.connections++;
        connection->quic->was_restored = true;
        memcpy(connection->quic->earlier, entry->earlier, sizeof(entry->earlier));
        for (size_t i = 0; i < QUIC_ENTRY_EARLIER_MAX; ++i)
                connection->quic->n_earlier += entry->earlier[i].family != 0;
        return 0;
}

static void take_numbers(struct connection *connection, const struct ledger_numbers *numbers) {
        connection->cookie = numbers->cookie;
        connection->session_id = numbers->session_id;
        connection->since_ms = numbers->since_ms;
        connection->verb = (enum policy_verb)numbers->verb;
        connection->type = (enum policy_socket_type)numbers->type;
        connection->record_version = numbers->version;
        connection->was_relayed = numbers->was_relayed;
        connection->has_tls = numbers->has_tls;
        connection->has_proxy = numbers->has_proxy;
        connection->is_pair = numbers->is_pair;
        connection->ends_by_report = numbers->ends_by_report;
        connection->is_sealed = numbers->is_sealed;
}

static void cleanup_state(Nb__State__Narrowings **state) {
        nb__state__narrowings__free_unpacked(*state, NULL);
}

/* The one before, by its number, is often of the same session: then both share what narrows them, and their quotas. */
static bool share_narrowings(const struct connection *last, struct connection *connection,
                             const Nb__State__Narrowings *state) {
        if (!last || last->session_id != connection->session_id || last->tenant != connection->tenant ||
            !restriction_is_same(last->narrowings, state) || !last->token != (state->token_issuer.len == 0))
                return false;
        connection->narrowings = narrowings_ref(last->narrowings);
        connection->token = session_token_ref(last->token);
        return true;
}

void connection_share_token(struct connection *connection, struct session_token *token) {
        if (!connection->token || connection->token == token)
                return;
        session_token_restore(token, ACCOUNT_CONNECTIONS);
        session_token_release(connection->token, ACCOUNT_CONNECTIONS);
        (void)session_token_unref(connection->token);
        connection->token = session_token_ref(token);
        if (!narrowings_are_same(connection->narrowings, token->narrowings))
                return;
        (void)narrowings_unref(connection->narrowings);
        connection->narrowings = narrowings_ref(token->narrowings);
}

static int restore_narrowings(const struct connection *last, struct connection *connection,
                              const struct ledger_entry *entry) {
        NB_CLEANUP(cleanup_state) Nb__State__Narrowings *state = NULL;
        struct tenant *tenant = connection->tenant;
        int r = 0;

        if (entry->narrowings_length == 0)
                return 0;
        state = nb__state__narrowings__unpack(NULL, entry->narrowings_length, entry->narrowings);
        if (!state)
                return -EBADMSG;
        if (!share_narrowings(last, connection, state))
                r = restriction_restore(tenant, state, NULL, &connection->narrowings);
        if (r == 0 && !connection->token)
                r = session_token_restored(tenant, state, connection->narrowings, &connection->token);
        session_token_restore(connection->token, ACCOUNT_CONNECTIONS);
        token_watch_note(tenant->broker->token_watch, connection->token);
        return r;
}

/* @return one that is charged, and in nothing yet; NULL without memory, or where it makes no sense */
static struct connection *make(struct broker *broker, const struct connection *last, const struct ledger_entry *entry) {
        struct tenant *tenant = tenant_get_named(broker, entry->tenant);
        struct grant *grant =
                tenant ? tenant_get_grant_named(tenant, entry->protocol, entry->numbers.preopen != 0) : NULL;
        struct connection *connection = grant ? calloc(1, sizeof(*connection)) : NULL;

        if (!connection)
                return NULL;
        nb_list_init(&connection->link);
        nb_list_init(&connection->on_shelf);
        nb_list_init(&connection->in_closing);
        nb_list_init(&connection->in_revocation);
        connection->tenant = tenant;
        connection->grant = grant;
        account_restore(&tenant->account, ACCOUNT_CONNECTIONS, 1);
        take_numbers(connection, &entry->numbers);
        connection->local = entry->local;
        connection->peer = entry->peer;
        connection->via = entry->via;
        connection->bind = entry->bind;
        if (restore_narrowings(last, connection, entry) < 0 || copy_texts(connection, entry) < 0 ||
            restore_facts(connection, entry) < 0 || restore_quic(connection, entry) < 0)
                return connection_free(connection);
        return connection;
}

/* By its cookie, and on the shelf where its file is. */
static int put_back(struct connection *connection, const struct ledger_entry *entry) {
        struct connection_table *table = &connection->tenant->broker->connections;
        int r;

        if (entry->numbers.in_table) {
                if (connection_table_find(table, connection->cookie))
                        return -EEXIST;
                r = connection_table_add(table, connection);
                if (r < 0)
                        return r;
                connection->in_table = true;
        }
        if (entry->numbers.shelf == 0)
                return 0;
        connection->shelf = connection_files_put_back(connection->tenant, entry->numbers.shelf);
        if (!connection->shelf)
                return -ENOENT;
        nb_list_append(&connection->shelf->connections, &connection->on_shelf);
        return 0;
}

/* @return whether it goes on: one of which nobody else tells has ended with its relay */
static bool find_at_relay(struct connection *connection, const struct ledger_numbers *numbers) {
        int r = numbers->relay == 0 ? -ENOENT
                                    : relay_reattach(&connection->relayed, &connection_relayed_ops, connection->tenant,
                                                     numbers->relay, numbers->link);

        return r == 0 || !connection->ends_by_report;
}

/* What was ordered or asked for may have been lost with the broker. */
static void revoke_again(struct connection *connection, uint32_t flags) {
        if (flags & LEDGER_REVOKED)
                connection_watch_revoked(connection->tenant->broker->connection_watch, connection);
        if (!(flags & LEDGER_ENDING))
                return;
        connection->was_ended = relay_order_end(&connection->relayed) == 0;
}

static void publish(struct connection *connection, uint32_t slot, const struct ledger_entry *entry) {
        struct tenant *tenant = connection->tenant;

        nb_list_append(&tenant->connections, &connection->link);
        connection->id = entry->numbers.id;
        connection->record = slot;
        connection->record_extra = ledger_extra(tenant->broker->ledger, slot);
        account_restore_bytes(&tenant->account, connection->record_extra);
        connection_watch_add(tenant->broker->connection_watch, connection);
        revoke_again(connection, entry->flags);
}

static void restore_one(void *data, uint32_t slot, const struct ledger_entry *entry) {
        struct restoring *restoring = data;
        struct connection *connection = make(restoring->broker, restoring->last, entry);

        if (connection && put_back(connection, entry) == 0) {
                if (find_at_relay(connection, &entry->numbers)) {
                        publish(connection, slot, entry);
                        restoring->last = connection;
                        restoring->n++;
                        return;
                }
                restoring->n_over++;
        } else {
                restoring->n_dropped++;
        }
        (void)connection_free(connection);
        ledger_remove(restoring->broker->ledger, slot);
}

static void log_restored(const struct restoring *restoring) {
        const struct nb_log *log = &restoring->broker->log;

        if (restoring->n_dropped > 0)
                nb_log(log, NB_LOG_WARNING,
                       "%" PRIu32
                       " connections cannot be taken back, and were dropped: they go on, and are in no account",
                       restoring->n_dropped);
        if (restoring->n_over > 0)
                nb_log(log, NB_LOG_NOTICE, "%" PRIu32 " connections have ended with their relays", restoring->n_over);
}

uint32_t connection_restore_all(struct broker *broker) {
        struct restoring restoring = { .broker = broker };

        if (!broker->ledger) {
                make_ledger(broker);
                return 0;
        }
        if (ledger_each(broker->ledger, restore_one, &restoring) < 0)
                nb_log(&broker->log, NB_LOG_ERROR, "there is no memory for the connections of the broker before");
        log_restored(&restoring);
        nb_list_foreach_safe(link, &broker->tenants) connection_files_tidy(nb_container_of(link, struct tenant, link));
        connection_watch_restored(broker->connection_watch);
        return restoring.n;
}
