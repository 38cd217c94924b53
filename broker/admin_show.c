/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verbs that look: status, tenants, sessions, connections, quota, metrics.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wall_clock.h"
#include "broker/admin.h"
#include "broker/admin_batch.h"
#include "broker/admin_find.h"
#include "broker/admin_front.h"
#include "broker/admin_list.h"
#include "broker/admin_verbs.h"
#include "broker/admin_warnings.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/exposition.h"
#include "broker/helper_client.h"
#include "broker/keep.h"
#include "broker/metrics_page.h"
#include "broker/quic_entry.h"
#include "broker/quota.h"
#include "broker/restriction.h"
#include "broker/relayed_facts.h"
#include "broker/seal.h"
#include "broker/security.h"
#include "broker/session.h"
#include "broker/session_token.h"
#include "broker/shard.h"
#include "broker/tenant.h"
#include "config.h"
#include "policy/explain.h"
#include "policy/limit.h"
#include "policy/words.h"

/* JSON's are signed here, and a relay may say anything of itself: what is too large is the largest. */
static json_t *number(uint64_t value) {
        return json_integer((json_int_t)(value < INT64_MAX ? value : INT64_MAX));
}

/* ---- status ---- */

static json_t *counts(const struct broker *broker) {
        const struct account *account = &broker->account;

        return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "half_open", number(broker->n_half_open),
                         "sessions", number(account->used[ACCOUNT_SESSIONS]), "protocols",
                         number(account->used[ACCOUNT_PROTOCOLS]), "controls", number(account->used[ACCOUNT_CONTROLS]),
                         "listeners", number(account->used[ACCOUNT_LISTENERS]), "connecting",
                         number(account->used[ACCOUNT_CONNECTS]), "connections",
                         number(account->used[ACCOUNT_CONNECTIONS]), "lookups", number(account->used[ACCOUNT_LOOKUPS]));
}

static json_t *last_error(const struct policy_state *state) {
        if (state->failed_ms == 0)
                return json_null();
        return json_pack("{s:o, s:o}", "time", admin_time(state->failed_ms), "message", admin_text(state->error.text));
}

static json_t *policy_status(const struct broker *broker) {
        return json_pack("{s:o, s:o, s:o, s:o}", "path", admin_text(broker->source.path), "tenants",
                         number(broker->policy->n_tenants), "loaded", admin_time(broker->policy_state.loaded_ms),
                         "last_error", last_error(&broker->policy_state));
}

static json_t *helper_status(const struct broker *broker) {
        if (!broker->helper)
                return json_null();
        return json_string(helper_client_is_well(broker->helper) ? "ready" : "does not answer");
}

static json_t *keeper_status(const struct broker *broker) {
        struct keep_facts facts;

        if (!broker->keep)
                return json_null();
        keep_get_facts(broker->keep, &facts);
        return json_pack("{s:s, s:o, s:o, s:o}", "state", facts.is_connected ? "ready" : "does not answer", "kept",
                         number(facts.n_kept), "unsent", number(facts.n_unsent), "refused", number(facts.n_refused));
}

static json_t *restored_status(const struct broker *broker) {
        const struct restore_facts *facts = &broker->restored;

        if (!broker->keep)
                return json_null();
        return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sessions", number(facts->n_sessions), "protocols",
                         number(facts->n_protocols), "controls", number(facts->n_controls), "listeners",
                         number(facts->n_listeners), "relays", number(facts->n_relays), "connections",
                         number(facts->n_connections), "over", number(facts->n_over), "dropped",
                         number(facts->n_dropped));
}

static json_t *walls_status(const struct broker_walls *walls) {
        return json_pack("{s:b, s:b, s:b, s:b, s:o}", "system_calls", (int)walls->calls, "files", (int)walls->files,
                         "hidden", (int)walls->hidden, "starts_programs", (int)walls->starts_programs, "missing",
                         admin_text(walls->missing));
}

static json_t *audit_status(const struct audit *audit) {
        return json_pack("{s:o, s:o, s:o}", "written", number(audit->n_written), "suppressed",
                         number(audit->n_suppressed), "lost", number(audit->n_lost));
}

static uint64_t count_resolvers(const struct broker *broker) {
        uint64_t n = 0;

        nb_list_foreach_safe(link, &broker->tenants) n += nb_container_of(link, struct tenant, link)->resolver != NULL;
        return n;
}

struct relay_sums {
        uint64_t n;
        uint64_t links;
        uint64_t crashes;
};

static void add_relay(void *data, const struct relay_facts *facts) {
        struct relay_sums *sums = data;

        sums->n++;
        sums->links += facts->n_objects;
}

static json_t *relays_status(const struct broker *broker) {
        struct relay_sums sums = { .n = 0 };

        nb_list_foreach_safe(link, &broker->tenants) {
                const struct relay_pool *pool = nb_container_of(link, struct tenant, link)->relays;

                relay_pool_each(pool, add_relay, &sums);
                sums.crashes += relay_pool_crashes(pool);
        }
        return json_pack("{s:o, s:o, s:o}", "running", number(sums.n), "links", number(sums.links), "crashes",
                         number(sums.crashes));
}

/* What the seal has refused is null where nothing is pinned. */
static json_t *seal_status(const struct broker *broker) {
        const struct seal *seal = broker->seal;
        bool is_proven = seal_is_proven(seal);
        struct nb_seal_counters counters;
        json_t *refused = json_null();

        if (seal_count(seal, &counters) == 0)
                refused = json_pack("{s:o, s:o, s:o, s:o, s:o}", "connect", number(counters.connects), "send",
                                    number(counters.sends), "bind", number(counters.binds), "option",
                                    number(counters.options), "arrival", number(counters.arrivals));
        return json_pack("{s:b, s:o, s:b, s:o}", "proven", is_proven, "why_not",
                         is_proven ? json_null() : admin_text(seal_why_not(seal)), "wanted",
                         seal_is_wanted(broker->policy), "refused", refused);
}

int admin_status(struct admin_call *call, const json_t *request) {
        const struct broker *broker = call->broker;
        const char *verb;
        json_t *status;
        int r = admin_take(call, request, "{s:s}", "verb", &verb);

        if (r < 0)
                return r;
        status = json_pack("{s:s, s:i, s:o, s:I, s:o}", "version", PACKAGE_VERSION, "pid", (int)getpid(), "started",
                           admin_time(broker->started_ms), "uptime_s",
                           (json_int_t)((nb_wall_clock_ms() - broker->started_ms) / 1000), "policy",
                           policy_status(broker));
        if (!status)
                return -ENOMEM;
        (void)json_object_set_new(status, "shard", broker->shard ? number(shard_number(broker->shard)) : json_null());
        (void)json_object_set_new(status, "shards", admin_front_shards(broker->front));
        (void)json_object_set_new(status, "log_level", json_string(admin_level_name(broker->log.level)));
        (void)json_object_set_new(status, "helper", helper_status(broker));
        (void)json_object_set_new(status, "walls", walls_status(&broker->walls));
        (void)json_object_set_new(status, "keeper", keeper_status(broker));
        (void)json_object_set_new(status, "restored", restored_status(broker));
        (void)json_object_set_new(status, "drain", admin_drain_status(broker, NULL));
        (void)json_object_set_new(status, "seal", seal_status(broker));
        (void)json_object_set_new(status, "audit", audit_status(&broker->audit));
        (void)json_object_set_new(status, "resolvers", number(count_resolvers(broker)));
        (void)json_object_set_new(status, "relays", relays_status(broker));
        (void)json_object_set_new(status, "counts", counts(broker));
        (void)json_object_set_new(status, "admin_clients", number(broker->admin->n_clients));
        (void)json_object_set_new(status, "warnings", admin_warnings(broker));
        return admin_say(call, status);
}

/* ---- tenants ---- */

static void set_number(json_t *object, const char *key, uint64_t value) {
        (void)json_object_set_new(object, key, number(value));
}

static void set_verdicts(json_t *object, const struct metrics *metrics) {
        for (int verdict = 0; verdict < METRICS_N_VERDICTS; ++verdict) {
                uint64_t n = 0;

                for (int verb = 0; metrics && verb <= POLICY_ACCEPT; ++verb)
                        n += metrics->decisions[verb][verdict];
                set_number(object, metrics_verdict_name((enum metrics_verdict)verdict), n);
        }
}

/* @param policy  NULL: the policy no longer has it. @param tenant  NULL: it has not been here yet. */
static json_t *tenant_to_json(const struct policy_tenant *policy, const struct tenant *tenant) {
        json_t *object =
                json_pack("{s:o, s:o, s:o, s:o}", "tenant", admin_text(policy ? policy->name : tenant->name), "mode",
                          policy ? json_string(policy_word(policy_words_mode, (int)policy->mode)) : json_null(), "file",
                          admin_text(policy ? policy->file : NULL), "protocols",
                          policy ? number(policy->n_protocols + policy->n_preopens) : json_null());

        if (!object)
                return NULL;
        set_number(object, "sessions", tenant ? tenant->n_sessions : 0);
        set_number(object, "controls", tenant ? tenant->account.used[ACCOUNT_CONTROLS] : 0);
        set_number(object, "listeners", tenant ? tenant->account.used[ACCOUNT_LISTENERS] : 0);
        set_number(object, "connections", tenant ? tenant->account.used[ACCOUNT_CONNECTIONS] : 0);
        set_verdicts(object, tenant ? &tenant->metrics : NULL);
        return object;
}

/* Those that a reload took from the policy while they had something. */
static int say_tenants_without_policy(struct admin_call *call) {
        nb_list_foreach_safe(link, &call->broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);

                if (!tenant->policy && admin_say(call, tenant_to_json(NULL, tenant)) < 0)
                        return -ENOMEM;
        }
        return ADMIN_END;
}

/* A reload in the middle changes what is told from there on. */
static int next_tenants(struct admin_call *call) {
        const struct policy *policy = call->broker->policy;
        struct admin_cursor *cursor = call->state;

        for (size_t n = 0; n < ADMIN_SLICE && cursor->index < policy->n_tenants; ++n, ++cursor->index) {
                const struct policy_tenant *tenant = &policy->tenants[cursor->index];

                if (admin_say(call, tenant_to_json(tenant, admin_find_tenant(call->broker, tenant->name))) < 0)
                        return -ENOMEM;
        }
        return cursor->index < policy->n_tenants ? ADMIN_MORE : say_tenants_without_policy(call);
}

int admin_tenants(struct admin_call *call, const json_t *request) {
        const char *verb;
        int r = admin_take(call, request, "{s:s}", "verb", &verb);

        return r < 0 ? r : admin_list_begin(call, NULL, 0, next_tenants);
}

/* ---- sessions ---- */

static uint64_t count_endpoints(const struct session *session, const char *kind) {
        uint64_t n = 0;

        nb_list_foreach_safe(link, &session->endpoints) {
                const struct endpoint *endpoint = nb_container_of(link, struct endpoint, link);

                n += strcmp(endpoint->ops->kind, kind) == 0;
        }
        return n;
}

/* Protocols that hosts have made narrower, or have handed over. */
static uint64_t count_restricted(const struct session *session) {
        uint64_t n = 0;

        nb_list_foreach_safe(link, &session->endpoints) {
                const struct endpoint *endpoint = nb_container_of(link, struct endpoint, link);

                n += endpoint->delegation > 0 && strcmp(endpoint->ops->kind, "protocol") == 0;
        }
        return n;
}

static json_t *session_to_json(const struct session *session) {
        const struct identity *identity = &session->identity;
        char token[SESSION_TOKEN_TEXT_MAX];
        json_t *object = json_pack("{s:o, s:o, s:o, s:b, s:o, s:o}", "session", number(session->id), "tenant",
                                   admin_text(session->tenant->name), "label", admin_text(session->label), "inherited",
                                   (int)identity->inherited, "uid", number(identity->uid), "pid",
                                   number((uint64_t)identity->pid));

        if (!object)
                return NULL;
        (void)json_object_set_new(object, "unit", admin_text(identity->unit));
        (void)json_object_set_new(object, "socket", admin_text(identity->socket));
        (void)json_object_set_new(object, "token",
                                  admin_text(session->token ? session_token_text(session->token, token) : NULL));
        (void)json_object_set_new(object, "token_label",
                                  admin_text(session->token ? session_token_label(session->token) : NULL));
        set_number(object, "protocols", count_endpoints(session, "protocol"));
        set_number(object, "controls", count_endpoints(session, "control"));
        if (count_restricted(session) > 0)
                set_number(object, "restricted", count_restricted(session));
        return object;
}

static int next_sessions(struct admin_call *call) {
        struct admin_cursor *cursor = call->state;
        struct admin_batch batch;

        admin_batch_init(&batch, cursor->above);
        nb_list_foreach_safe(link, &call->broker->sessions) {
                const struct session *session = nb_container_of(link, struct session, link);

                if (session->tenant && admin_list_is_about(cursor, session->tenant))
                        admin_batch_offer(&batch, session->id, session);
        }
        for (size_t i = 0; i < batch.n; ++i) {
                if (admin_say(call, session_to_json(batch.members[i].object)) < 0)
                        return -ENOMEM;
                cursor->above = batch.members[i].id;
        }
        return batch.n == ADMIN_SLICE ? ADMIN_MORE : ADMIN_END;
}

int admin_sessions(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL;
        int r = admin_take(call, request, "{s:s, s?s}", "verb", &verb, "tenant", &tenant);

        return r < 0 ? r : admin_list_begin(call, tenant, 0, next_sessions);
}

/* ---- connections ---- */

/* What TLS has agreed on; null without. */
static json_t *security_to_json(const struct connection *connection) {
        Nb__Relay__Security *security = relayed_facts_security(connection->facts);
        json_t *names = json_array(), *object;

        if (!security) {
                json_decref(names);
                return json_null();
        }
        for (size_t i = 0; i < security->n_peer_names; ++i)
                (void)json_array_append_new(names, admin_text(security->peer_names[i]));
        object = json_pack("{s:o, s:o, s:o, s:b, s:o, s:o}", "version", admin_text(security->version), "cipher",
                           admin_text(security->cipher), "alpn", admin_text(security->alpn), "resumed",
                           (int)security->resumed, "server_name", admin_text(security->server_name), "peer_names",
                           names);
        (void)security_free(security);
        return object;
}

/* What its relay has told last; null where it is none of QUIC, and zeros before anything was told. */
static json_t *quic_to_json(const struct connection *connection) {
        const struct quic_facts *facts = connection->quic ? &connection->quic->facts : NULL;
        json_t *object;

        if (!facts)
                return json_null();
        object = json_pack("{s:b, s:o, s:o, s:o, s:o}", "known", (int)facts->known, "rtt_us", number(facts->rtt_us),
                           "rtt_min_us", number(facts->rtt_min_us), "congestion_window",
                           number(facts->congestion_window), "bytes_in_flight", number(facts->bytes_in_flight));
        if (!object)
                return NULL;
        set_number(object, "packets_sent", facts->packets_sent);
        set_number(object, "packets_received", facts->packets_received);
        set_number(object, "packets_lost", facts->packets_lost);
        set_number(object, "bytes_sent", facts->bytes_sent);
        set_number(object, "bytes_received", facts->bytes_received);
        set_number(object, "streams", facts->streams);
        set_number(object, "streams_created", facts->streams_created);
        set_number(object, "streams_accepted", facts->streams_accepted);
        set_number(object, "bytes_buffered", facts->bytes_buffered);
        set_number(object, "datagrams_dropped", facts->datagrams_dropped);
        set_number(object, "paths", facts->paths);
        return object;
}

/* Which way the bytes go. */
static void set_path(json_t *object, const struct connection *connection) {
        bool is_relayed = connection->relayed.relay != NULL;
        char via[NB_SOCKET_ADDRESS_TEXT_MAX];
        struct relay_facts relay = { .pid = 0 };

        if (is_relayed)
                relay_facts_of(&connection->relayed, &relay);
        (void)json_object_set_new(object, "path", json_string(is_relayed ? "relay" : "direct"));
        (void)json_object_set_new(object, "relay", relay.pid > 0 ? number((uint64_t)relay.pid) : json_null());
        (void)json_object_set_new(object, "proxy", admin_text(relayed_facts_proxies(connection->facts)));
        (void)json_object_set_new(object, "via",
                                  connection->via.family != 0
                                          ? admin_text(nb_socket_address_format(&connection->via, via))
                                          : json_null());
        (void)json_object_set_new(object, "tls", security_to_json(connection));
        (void)json_object_set_new(object, "quic", quic_to_json(connection));
}

static json_t *connection_to_json(const struct connection *connection) {
        char local[NB_SOCKET_ADDRESS_TEXT_MAX], peer[NB_SOCKET_ADDRESS_TEXT_MAX];
        json_t *object =
                json_pack("{s:o, s:o, s:o, s:o, s:o}", "connection", number(connection->id), "tenant",
                          admin_text(connection->tenant->name), "session", number(connection->session_id), "label",
                          admin_text(connection->label), "protocol", admin_text(connection->grant->name));

        if (!object)
                return NULL;
        (void)json_object_set_new(object, "operation", json_string(policy_verb_name(connection->verb)));
        (void)json_object_set_new(object, "type",
                                  json_string(policy_word(policy_words_socket_type, (int)connection->type)));
        (void)json_object_set_new(object, "name", admin_text(connection->name));
        (void)json_object_set_new(object, "local", admin_text(nb_socket_address_format(&connection->local, local)));
        /* Where a proxy resolves, nobody here knows the address. */
        (void)json_object_set_new(object, "peer",
                                  admin_text(connection->peer.family != 0
                                                     ? nb_socket_address_format(&connection->peer, peer)
                                                     : NULL));
        (void)json_object_set_new(object, "since", admin_time(connection->since_ms));
        if (restriction_count(connection->narrowings) > 0)
                set_number(object, "restricted", restriction_count(connection->narrowings));
        set_path(object, connection);
        return object;
}

static void offer_connections(struct admin_batch *batch, const struct admin_cursor *cursor,
                              const struct tenant *tenant) {
        nb_list_foreach_safe(link, &tenant->connections) {
                const struct connection *connection = nb_container_of(link, struct connection, link);

                if (cursor->session == 0 || cursor->session == connection->session_id)
                        admin_batch_offer(batch, connection->id, connection);
        }
}

static int next_connections(struct admin_call *call) {
        struct admin_cursor *cursor = call->state;
        struct admin_batch batch;

        admin_batch_init(&batch, cursor->above);
        nb_list_foreach_safe(link, &call->broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);

                if (admin_list_is_about(cursor, tenant))
                        offer_connections(&batch, cursor, tenant);
        }
        for (size_t i = 0; i < batch.n; ++i) {
                if (admin_say(call, connection_to_json(batch.members[i].object)) < 0)
                        return -ENOMEM;
                cursor->above = batch.members[i].id;
        }
        return batch.n == ADMIN_SLICE ? ADMIN_MORE : ADMIN_END;
}

int admin_connections(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL;
        json_int_t session = 0;
        int r = admin_take(call, request, "{s:s, s?s, s?I}", "verb", &verb, "tenant", &tenant, "session", &session);

        if (r < 0)
                return r;
        if (session < 0)
                return admin_fail(call, -EINVAL, "a session's number counts from 1");
        return admin_list_begin(call, tenant, (uint64_t)session, next_connections);
}

/* ---- quota ---- */

static json_t *limit_to_json(uint64_t limit) {
        return limit == POLICY_UNLIMITED ? json_null() : number(limit);
}

/* What is used of rates changes with every moment: null. Buffers are measured where there is a limit. */
static json_t *used_to_json(const struct tenant *tenant, enum policy_limit limit) {
        enum account_kind kind = quota_account_kind(limit);

        if (kind != N_ACCOUNT_KINDS)
                return number(tenant ? tenant->account.used[kind] : 0);
        if (limit == POLICY_LIMIT_BYTES_IN_FLIGHT && tenant && tenant->policy &&
            tenant->policy->limits[limit] != POLICY_UNLIMITED)
                return number(tenant->holding.bytes);
        return json_null();
}

static json_t *quota_to_json(const struct policy_tenant *policy, const struct tenant *tenant, enum policy_limit limit) {
        enum account_kind kind = quota_account_kind(limit);
        bool counted = kind != N_ACCOUNT_KINDS;
        uint64_t in_force = counted && tenant ? tenant->account.limit[kind] : policy->limits[limit];

        return json_pack("{s:o, s:s, s:o, s:o, s:o}", "tenant", admin_text(policy->name), "quota",
                         policy_limit_kind(limit)->key, "used", used_to_json(tenant, limit), "limit",
                         limit_to_json(in_force), "denied", number(tenant ? tenant->metrics.quota_denied[limit] : 0));
}

static int say_quotas(struct admin_call *call, const struct policy_tenant *policy) {
        const struct tenant *tenant = admin_find_tenant(call->broker, policy->name);

        for (int limit = 0; limit < POLICY_N_LIMITS; ++limit) {
                if (admin_say(call, quota_to_json(policy, tenant, (enum policy_limit)limit)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int next_quotas(struct admin_call *call) {
        const struct policy *policy = call->broker->policy;
        struct admin_cursor *cursor = call->state;

        for (size_t n = 0; n < ADMIN_SLICE && cursor->index < policy->n_tenants; n += POLICY_N_LIMITS) {
                const struct policy_tenant *tenant = &policy->tenants[cursor->index++];

                if (cursor->tenant && strcmp(cursor->tenant, tenant->name) != 0)
                        continue;
                if (say_quotas(call, tenant) < 0)
                        return -ENOMEM;
        }
        return cursor->index < policy->n_tenants ? ADMIN_MORE : ADMIN_END;
}

int admin_quota(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL;
        int r = admin_take(call, request, "{s:s, s?s}", "verb", &verb, "tenant", &tenant);

        return r < 0 ? r : admin_list_begin(call, tenant, 0, next_quotas);
}

/* ---- metrics ---- */

/* What is written of the page at a time, about. */
#define PAGE_PIECE 8192

struct page {
        struct metrics_page page;
        struct exposition exposition; /* what is written of it */
        size_t offset;                /* of what has not been told yet */
};

static void page_free(void *data) {
        struct page *page = data;

        exposition_deinit(&page->exposition);
        free(page);
}

/* @return whether there is more to tell */
static bool write_on(struct page *page) {
        if (page->offset < page->exposition.length)
                return true;
        page->offset = 0;
        page->exposition.length = 0;
        (void)metrics_page_write(&page->page, &page->exposition, PAGE_PIECE);
        return page->exposition.length > 0;
}

static int next_metrics(struct admin_call *call) {
        struct page *page = call->state;
        const char *text;
        size_t length;

        if (!write_on(page))
                return page->exposition.failed ? -ENOMEM : ADMIN_END;
        text = page->exposition.text + page->offset;
        length = admin_piece_length(text);
        page->offset += length;
        return admin_say(call, json_pack("{s:s%}", "text", text, length)) < 0 ? -ENOMEM : ADMIN_MORE;
}

int admin_metrics(struct admin_call *call, const json_t *request) {
        struct page *page;
        const char *verb;
        int r = admin_take(call, request, "{s:s}", "verb", &verb);

        if (r < 0)
                return r;
        page = calloc(1, sizeof(*page));
        if (!page)
                return -ENOMEM;
        call->state = page;
        call->free_state = page_free;
        call->next = next_metrics;
        page->page.broker = call->broker;
        return ADMIN_MORE;
}
