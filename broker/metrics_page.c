/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/metrics_page.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/keep.h"
#include "broker/metrics_shards.h"
#include "broker/relay.h"
#include "broker/relay_context.h"
#include "broker/seal.h"
#include "broker/shard.h"
#include "broker/tenant.h"
#include "config.h"
#include "policy/explain.h"
#include "policy/limit.h"

/* ---- the broker's ---- */

struct broker_family {
        const char *name, *type, *help;
        void (*write)(const struct broker *broker, struct exposition *exposition);
};

static void write_build(const struct broker *broker, struct exposition *exposition) {
        const struct exposition_label labels[] = { { "version", PACKAGE_VERSION }, { NULL, NULL } };

        (void)broker;
        exposition_number(exposition, labels, 1);
}

static void write_started(const struct broker *broker, struct exposition *exposition) {
        exposition_seconds(exposition, NULL, (double)broker->started_ms / 1e3);
}

static void write_policy_loaded(const struct broker *broker, struct exposition *exposition) {
        exposition_seconds(exposition, NULL, (double)broker->policy_state.loaded_ms / 1e3);
}

static void write_reload_failures(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->policy_state.n_failed);
}

static void write_reload_failing(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->policy_state.failed_ms > broker->policy_state.loaded_ms);
}

static void write_tenants(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->policy->n_tenants);
}

static void write_draining(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->drain.all);
}

static void write_draining_tenants(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->drain.n_tenants);
}

/* Without a keeper there are no samples. */
static bool get_keeper(const struct broker *broker, struct keep_facts *ret) {
        if (broker->keep)
                keep_get_facts(broker->keep, ret);
        return broker->keep != NULL;
}

static void write_keeper_connected(const struct broker *broker, struct exposition *exposition) {
        struct keep_facts facts;

        if (get_keeper(broker, &facts))
                exposition_number(exposition, NULL, facts.is_connected);
}

static void write_keeper_entries(const struct broker *broker, struct exposition *exposition) {
        struct keep_facts facts;

        if (get_keeper(broker, &facts))
                exposition_number(exposition, NULL, facts.n_kept);
}

static void write_keeper_unsent(const struct broker *broker, struct exposition *exposition) {
        struct keep_facts facts;

        if (get_keeper(broker, &facts))
                exposition_number(exposition, NULL, facts.n_unsent);
}

static void write_keeper_refused(const struct broker *broker, struct exposition *exposition) {
        struct keep_facts facts;

        if (get_keeper(broker, &facts))
                exposition_number(exposition, NULL, facts.n_refused);
}

static void write_restored(const struct broker *broker, struct exposition *exposition) {
        const struct restore_facts *facts = &broker->restored;
        const struct {
                const char *what;
                uint64_t n;
        } rows[] = {
                { "sessions", facts->n_sessions }, { "protocols", facts->n_protocols },
                { "controls", facts->n_controls }, { "listeners", facts->n_listeners },
                { "relays", facts->n_relays },     { "connections", facts->n_connections },
                { "over", facts->n_over },         { "dropped", facts->n_dropped },
        };

        for (size_t i = 0; broker->keep && i < sizeof(rows) / sizeof(rows[0]); ++i) {
                const struct exposition_label labels[] = { { "what", rows[i].what }, { NULL, NULL } };

                exposition_number(exposition, labels, rows[i].n);
        }
}

static void write_half_open(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->n_half_open);
}

static void write_half_open_limit(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->half_open_max);
}

static void write_loop(const struct broker *broker, struct exposition *exposition) {
        exposition_histogram(exposition, NULL, &broker->loop_lag.turns);
}

static void write_cpu(const struct broker *broker, struct exposition *exposition) {
        struct timespec used = { 0 };

        (void)broker;
        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        exposition_seconds(exposition, NULL, (double)used.tv_sec + (double)used.tv_nsec / 1e9);
}

/* To read the folder would take longer than all the rest, with as many descriptors as a broker has. */
static void write_descriptors(const struct broker *broker, struct exposition *exposition) {
        struct stat st;

        (void)broker;
        if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
                exposition_number(exposition, NULL, (uint64_t)st.st_size);
}

static void write_descriptors_limit(const struct broker *broker, struct exposition *exposition) {
        struct rlimit limit;

        (void)broker;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                exposition_number(exposition, NULL, limit.rlim_cur);
}

/* The second number of /proc/self/statm, in pages (proc(5)). */
static void write_memory(const struct broker *broker, struct exposition *exposition) {
        FILE *file = fopen("/proc/self/statm", "re");
        unsigned long total, resident;

        (void)broker;
        if (!file)
                return;
        if (fscanf(file, "%lu %lu", &total, &resident) == 2)
                exposition_number(exposition, NULL, (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE));
        (void)fclose(file);
}

static void write_audit(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, broker->audit.n_suppressed + broker->audit.n_lost);
}

static void write_sealed(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, seal_is_proven(broker->seal));
}

static void write_seal_wanted(const struct broker *broker, struct exposition *exposition) {
        exposition_number(exposition, NULL, seal_is_wanted(broker->policy));
}

static void write_seal_refused_part(struct exposition *exposition, const char *attempt, uint64_t n) {
        const struct exposition_label labels[] = { { "attempt", attempt }, { NULL, NULL } };

        exposition_number(exposition, labels, n);
}

static void write_seal_refused(const struct broker *broker, struct exposition *exposition) {
        struct nb_seal_counters counters;

        if (seal_count(broker->seal, &counters) < 0)
                return;
        write_seal_refused_part(exposition, "connect", counters.connects);
        write_seal_refused_part(exposition, "send", counters.sends);
        write_seal_refused_part(exposition, "bind", counters.binds);
        write_seal_refused_part(exposition, "option", counters.options);
        write_seal_refused_part(exposition, "arrival", counters.arrivals);
}

static void write_seal_events_lost(const struct broker *broker, struct exposition *exposition) {
        struct nb_seal_counters counters;

        if (seal_count(broker->seal, &counters) == 0)
                exposition_number(exposition, NULL, counters.lost);
}

static const struct broker_family broker_families[] = {
        { "netbroker_build_info", "gauge", "1, with the version of netbrokerd.", write_build },
        { "netbroker_start_time_seconds", "gauge", "When netbrokerd started, since 1970.", write_started },
        { "netbroker_policy_loaded_time_seconds", "gauge", "When the policy in force was loaded, since 1970.",
          write_policy_loaded },
        { "netbroker_policy_reload_failures_total", "counter",
          "Reloads that failed; the policy before stayed in force.", write_reload_failures },
        { "netbroker_policy_reload_failing", "gauge", "1 when the last reload failed, 0 otherwise.",
          write_reload_failing },
        { "netbroker_policy_tenants", "gauge", "Tenants of the policy in force.", write_tenants },
        { "netbroker_half_open_sessions", "gauge", "Sessions that have not said whose they are.", write_half_open },
        { "netbroker_half_open_sessions_limit", "gauge",
          "How many sessions may be half-open; more push out the oldest.", write_half_open_limit },
        { "netbroker_draining", "gauge", "1 while new sessions are refused (netbrokerctl drain), 0 otherwise.",
          write_draining },
        { "netbroker_draining_tenants", "gauge", "Tenants that are drained by name.", write_draining_tenants },
        { "netbroker_keeper_connected", "gauge", "1 while netbroker-keeper is there; missing without --keeper.",
          write_keeper_connected },
        { "netbroker_keeper_entries", "gauge", "What is to outlive a restart.", write_keeper_entries },
        { "netbroker_keeper_entries_unsent", "gauge", "Of these, that netbroker-keeper does not have as they are now.",
          write_keeper_unsent },
        { "netbroker_keeper_refused_total", "counter", "Entries that were over a bound of netbroker-keeper.",
          write_keeper_refused },
        { "netbroker_restored", "gauge",
          "What was taken back from netbroker-keeper at the start; over: closed meanwhile, dropped: ended.",
          write_restored },
        { "netbroker_shard_ready", "gauge", "1 while a shard serves; missing without --shards.", metrics_shards_ready },
        { "netbroker_shard_starts_total", "counter", "How often a shard was started.", metrics_shards_starts },
        { "netbroker_loop_turn_seconds", "histogram",
          "How long the loop works before it looks again what is ready, which is the longest that anything waited.",
          write_loop },
        { "netbroker_cpu_seconds_total", "counter", "Processor time of netbrokerd.", write_cpu },
        { "netbroker_descriptors", "gauge", "Open descriptors of netbrokerd; missing before Linux 6.2.",
          write_descriptors },
        { "netbroker_descriptors_limit", "gauge", "How many descriptors netbrokerd may have.",
          write_descriptors_limit },
        { "netbroker_memory_bytes", "gauge", "Resident memory of netbrokerd.", write_memory },
        { "netbroker_audit_dropped_total", "counter", "Audit records left out because there were too many.",
          write_audit },
        { "netbroker_sealed", "gauge", "1 if the seal was proven at the start.", write_sealed },
        { "netbroker_seal_wanted", "gauge", "1 if the policy in force has connections with DataPath=auto.",
          write_seal_wanted },
        { "netbroker_seal_refused_total", "counter",
          "What the seal has refused to holders of sockets since it was loaded, by what was tried.",
          write_seal_refused },
        { "netbroker_seal_events_lost_total", "counter",
          "Closes that the seal had no room to tell of; all connections are looked at then.", write_seal_events_lost },
};

/* ---- tenants' ---- */

struct tenant_family {
        const char *name, *type, *help;
        void (*write)(const struct tenant *tenant, struct exposition *exposition);
};

static struct exposition_label label_of(const struct tenant *tenant) {
        return (struct exposition_label){ "tenant", tenant->name };
}

/* A sample of a family that is told apart by one more label. */
static void write_part(const struct tenant *tenant, struct exposition *exposition, const char *label, const char *value,
                       uint64_t n) {
        const struct exposition_label labels[] = { label_of(tenant), { label, value }, { NULL, NULL } };

        exposition_number(exposition, labels, n);
}

static void write_whole(const struct tenant *tenant, struct exposition *exposition, uint64_t n) {
        const struct exposition_label labels[] = { label_of(tenant), { NULL, NULL } };

        exposition_number(exposition, labels, n);
}

static void write_decisions(const struct tenant *tenant, struct exposition *exposition) {
        for (int verb = 0; verb <= POLICY_ACCEPT; ++verb) {
                for (int verdict = 0; verdict < METRICS_N_VERDICTS; ++verdict) {
                        const struct exposition_label labels[] = {
                                label_of(tenant),
                                { "verb", policy_verb_name((enum policy_verb)verb) },
                                { "verdict", metrics_verdict_name((enum metrics_verdict)verdict) },
                                { NULL, NULL },
                        };

                        exposition_number(exposition, labels, tenant->metrics.decisions[verb][verdict]);
                }
        }
}

/* Of tenants that take tokens. */
static void write_tokens(const struct tenant *tenant, struct exposition *exposition) {
        if (!tenant->policy || tenant->policy->tokens.n_keys == 0)
                return;
        for (int problem = 0; problem < TOKEN_N_PROBLEMS; ++problem)
                write_part(tenant, exposition, "result",
                           problem == TOKEN_FINE ? "verified" : token_problem_name((enum token_problem)problem),
                           tenant->metrics.tokens[problem]);
}

static void write_tokens_ended(const struct tenant *tenant, struct exposition *exposition) {
        if (tenant->policy && tenant->policy->tokens.n_keys > 0)
                write_whole(tenant, exposition, tenant->metrics.tokens_ended);
}

static void write_connects(const struct tenant *tenant, struct exposition *exposition) {
        write_part(tenant, exposition, "result", "done", tenant->metrics.connects_done);
        write_part(tenant, exposition, "result", "failed", tenant->metrics.connects_failed);
}

static void write_connect_times(const struct tenant *tenant, struct exposition *exposition) {
        const struct exposition_label labels[] = { label_of(tenant), { NULL, NULL } };

        exposition_histogram(exposition, labels, &tenant->metrics.connect);
}

static const char *const dns_results[METRICS_N_DNS] = {
        [METRICS_DNS_HIT] = "cached",    [METRICS_DNS_FOUND] = "found",       [METRICS_DNS_NONE] = "none",
        [METRICS_DNS_FAILED] = "failed", [METRICS_DNS_TIMED_OUT] = "timeout", [METRICS_DNS_REFUSED] = "refused",
};

static void write_dns(const struct tenant *tenant, struct exposition *exposition) {
        for (int result = 0; result < METRICS_N_DNS; ++result)
                write_part(tenant, exposition, "result", dns_results[result], tenant->metrics.dns[result]);
}

static void write_dns_times(const struct tenant *tenant, struct exposition *exposition) {
        const struct exposition_label labels[] = { label_of(tenant), { NULL, NULL } };

        exposition_histogram(exposition, labels, &tenant->metrics.dns_latency);
}

static const char *const kinds[N_ACCOUNT_KINDS] = {
        [ACCOUNT_SESSIONS] = "sessions",       [ACCOUNT_PROTOCOLS] = "protocols", [ACCOUNT_CONTROLS] = "controls",
        [ACCOUNT_CONNECTS] = "connecting",     [ACCOUNT_IN_FLIGHT] = "in_flight", [ACCOUNT_LISTENERS] = "listeners",
        [ACCOUNT_CONNECTIONS] = "connections", [ACCOUNT_LOOKUPS] = "lookups",     [ACCOUNT_HANDSHAKES] = "handshakes",
};

/* Memory is told in a family of its own, for its unit is another. */
static bool is_counted(int kind) {
        return kinds[kind] != NULL;
}

static void write_objects(const struct tenant *tenant, struct exposition *exposition) {
        for (int kind = 0; kind < N_ACCOUNT_KINDS; ++kind) {
                if (is_counted(kind))
                        write_part(tenant, exposition, "kind", kinds[kind], tenant->account.used[kind]);
        }
}

static void write_limit(const struct exposition_label *labels, struct exposition *exposition, uint64_t limit) {
        if (limit == ACCOUNT_UNLIMITED)
                exposition_infinity(exposition, labels);
        else
                exposition_number(exposition, labels, limit);
}

static void write_objects_limits(const struct tenant *tenant, struct exposition *exposition) {
        for (int kind = 0; kind < N_ACCOUNT_KINDS; ++kind) {
                const struct exposition_label labels[] = { label_of(tenant), { "kind", kinds[kind] }, { NULL, NULL } };

                if (is_counted(kind))
                        write_limit(labels, exposition, tenant->account.limit[kind]);
        }
}

static void write_tenant_memory(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, tenant->account.used[ACCOUNT_MEMORY]);
}

static void write_tenant_memory_limit(const struct tenant *tenant, struct exposition *exposition) {
        const struct exposition_label labels[] = { label_of(tenant), { NULL, NULL } };

        write_limit(labels, exposition, tenant->account.limit[ACCOUNT_MEMORY]);
}

static void write_quota_denials(const struct tenant *tenant, struct exposition *exposition) {
        for (int limit = 0; limit < POLICY_N_LIMITS; ++limit)
                write_part(tenant, exposition, "limit", policy_limit_kind((enum policy_limit)limit)->key,
                           tenant->metrics.quota_denied[limit]);
}

/* ---- relays ---- */

static const char *const roles[RELAYED_N_ROLES] = {
        [RELAYED_CLIENT] = "client",
        [RELAYED_SERVER] = "server",
};

/* By what came of them: arrays by role. */
static void write_results(const struct tenant *tenant, struct exposition *exposition, const uint64_t *done,
                          const uint64_t *failed) {
        for (int role = 0; role < RELAYED_N_ROLES; ++role) {
                const struct exposition_label done_labels[] = {
                        label_of(tenant), { "role", roles[role] }, { "result", "done" }, { NULL, NULL }
                };
                const struct exposition_label failed_labels[] = {
                        label_of(tenant), { "role", roles[role] }, { "result", "failed" }, { NULL, NULL }
                };

                exposition_number(exposition, done_labels, done[role]);
                exposition_number(exposition, failed_labels, failed[role]);
        }
}

static void write_handshakes(const struct tenant *tenant, struct exposition *exposition) {
        const struct relayed_metrics *relayed = &tenant->metrics.relayed;

        write_results(tenant, exposition, relayed->handshakes_done, relayed->handshakes_failed);
}

static void write_resumed(const struct tenant *tenant, struct exposition *exposition) {
        for (int role = 0; role < RELAYED_N_ROLES; ++role)
                write_part(tenant, exposition, "role", roles[role], tenant->metrics.relayed.handshakes_resumed[role]);
}

static void write_handshake_times(const struct tenant *tenant, struct exposition *exposition) {
        const struct exposition_label labels[] = { label_of(tenant), { NULL, NULL } };

        exposition_histogram(exposition, labels, &tenant->metrics.relayed.handshake);
}

/* Of three dozen causes a tenant meets a few: those that never were are left out. */
static void write_causes(const struct tenant *tenant, struct exposition *exposition, const char *label,
                         const uint64_t counts[static RELAYED_N_CAUSES]) {
        for (size_t i = 0; i < RELAYED_N_CAUSES; ++i) {
                if (counts[i] > 0)
                        write_part(tenant, exposition, label, relayed_causes[i].name, counts[i]);
        }
}

static void write_handshake_failures(const struct tenant *tenant, struct exposition *exposition) {
        write_causes(tenant, exposition, "reason", tenant->metrics.relayed.handshake_failures);
}

static void write_proxy_failures(const struct tenant *tenant, struct exposition *exposition) {
        write_causes(tenant, exposition, "reason", tenant->metrics.relayed.proxy_failures);
}

static void write_headers_refused(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, tenant->metrics.relayed.headers_refused);
}

static void write_links_ended(const struct tenant *tenant, struct exposition *exposition) {
        write_causes(tenant, exposition, "reason", tenant->metrics.relayed.links_ended);
}

static void write_relayed_bytes(const struct tenant *tenant, struct exposition *exposition) {
        write_part(tenant, exposition, "direction", "to_guest", tenant->metrics.relayed.bytes_to_guest);
        write_part(tenant, exposition, "direction", "to_peer", tenant->metrics.relayed.bytes_to_peer);
}

struct relay_counts {
        uint64_t relays;
        uint64_t links;
};

static void count_relay(void *data, const struct relay_facts *facts) {
        struct relay_counts *counts = data;

        counts->relays++;
        counts->links += facts->n_objects;
}

static struct relay_counts count_relays(const struct tenant *tenant) {
        struct relay_counts counts = { .relays = 0 };

        relay_pool_each(tenant->relays, count_relay, &counts);
        return counts;
}

static void write_relays(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, count_relays(tenant).relays);
}

static void write_links(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, count_relays(tenant).links);
}

static void write_crashes(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, relay_pool_crashes(tenant->relays));
}

/* ---- QUIC ---- */

static void write_quic_handshakes(const struct tenant *tenant, struct exposition *exposition) {
        const struct relayed_metrics *relayed = &tenant->metrics.relayed;

        write_results(tenant, exposition, relayed->quic_done, relayed->quic_failed);
}

static void write_quic_connections(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, tenant->metrics.quic.connections);
}

static void write_quic_streams(const struct tenant *tenant, struct exposition *exposition) {
        write_part(tenant, exposition, "opened_by", "guest", tenant->metrics.quic.streams_created);
        write_part(tenant, exposition, "opened_by", "peer", tenant->metrics.quic.streams_accepted);
}

static void write_quic_packets(const struct tenant *tenant, struct exposition *exposition) {
        const struct quic_metrics *quic = &tenant->metrics.quic;

        write_part(tenant, exposition, "what", "sent", quic->packets_sent);
        write_part(tenant, exposition, "what", "received", quic->packets_received);
        write_part(tenant, exposition, "what", "lost", quic->packets_lost);
        write_part(tenant, exposition, "what", "dropped", quic->packets_dropped);
}

static void write_quic_bytes(const struct tenant *tenant, struct exposition *exposition) {
        write_part(tenant, exposition, "direction", "sent", tenant->metrics.quic.bytes_sent);
        write_part(tenant, exposition, "direction", "received", tenant->metrics.quic.bytes_received);
}

static void write_quic_datagrams(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, tenant->metrics.quic.datagrams_dropped);
}

static void write_quic_answers(const struct tenant *tenant, struct exposition *exposition) {
        const struct quic_metrics *quic = &tenant->metrics.quic;

        write_part(tenant, exposition, "what", "retry", quic->retries);
        write_part(tenant, exposition, "what", "bad_token", quic->bad_tokens);
        write_part(tenant, exposition, "what", "version_negotiation", quic->version_negotiations);
        write_part(tenant, exposition, "what", "stateless_reset", quic->stateless_resets);
        write_part(tenant, exposition, "what", "refused", quic->clients_refused);
}

static void write_quic_paths(const struct tenant *tenant, struct exposition *exposition) {
        write_part(tenant, exposition, "verdict", "allowed", tenant->metrics.quic.paths_allowed);
        write_part(tenant, exposition, "verdict", "denied", tenant->metrics.quic.paths_refused);
}

/* ---- */

static void write_requests(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, tenant->metrics.requests);
}

static void write_throttled(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, tenant->metrics.throttled);
}

static void write_violations(const struct tenant *tenant, struct exposition *exposition) {
        write_whole(tenant, exposition, tenant->metrics.violations);
}

static const struct tenant_family tenant_families[] = {
        { "netbroker_tokens_total", "counter", "Tokens that were shown, by result: verified, or why they were refused.",
          write_tokens },
        { "netbroker_token_expiries_total", "counter", "Sessions that ended as the time of their tokens was over.",
          write_tokens_ended },
        { "netbroker_decisions_total", "counter", "Decisions by the policy, by verb and verdict.", write_decisions },
        { "netbroker_connects_total", "counter", "Connects that were granted, by what came of them.", write_connects },
        { "netbroker_connect_duration_seconds", "histogram",
          "From the request of a connect that was granted to its answer, look-up included.", write_connect_times },
        { "netbroker_dns_lookups_total", "counter", "Names looked up, by what came of it.", write_dns },
        { "netbroker_dns_duration_seconds", "histogram", "How long questions took that went to a name server.",
          write_dns_times },
        { "netbroker_objects", "gauge", "What the tenant holds, by kind.", write_objects },
        { "netbroker_objects_limit", "gauge", "How much of it the tenant may hold.", write_objects_limits },
        { "netbroker_tenant_memory_bytes", "gauge", "The broker's memory for what the tenant holds.",
          write_tenant_memory },
        { "netbroker_tenant_memory_limit_bytes", "gauge", "How much memory that may be.", write_tenant_memory_limit },
        { "netbroker_quota_denials_total", "counter", "What was refused for a limit, by the key of the policy.",
          write_quota_denials },
        { "netbroker_tls_handshakes_total", "counter", "Handshakes of TLS with peers, by what came of them.",
          write_handshakes },
        { "netbroker_tls_handshakes_resumed_total", "counter", "Handshakes that resumed a session.", write_resumed },
        { "netbroker_tls_handshake_failures_total", "counter",
          "Handshakes that failed, by the reason; those that never were are missing.", write_handshake_failures },
        { "netbroker_tls_handshake_duration_seconds", "histogram",
          "From the order to the relay until the guest may have the connection, proxies included.",
          write_handshake_times },
        { "netbroker_proxy_failures_total", "counter",
          "Connects that failed at a proxy, by the reason; those that never were are missing.", write_proxy_failures },
        { "netbroker_proxy_headers_refused_total", "counter", "Peers dropped for their PROXY header.",
          write_headers_refused },
        { "netbroker_relays", "gauge", "The tenant's relays.", write_relays },
        { "netbroker_relay_crashes_total", "counter", "Relays of the tenant that ended by themselves.", write_crashes },
        { "netbroker_relayed_links", "gauge", "What the tenant has at its relays: connections and datagram servers.",
          write_links },
        { "netbroker_relayed_links_ended_total", "counter",
          "Relayed connections that ended, by the reason; those that never were are missing.", write_links_ended },
        { "netbroker_relayed_bytes_total", "counter", "What relayed connections that have ended carried.",
          write_relayed_bytes },
        { "netbroker_quic_handshakes_total", "counter",
          "Handshakes of QUIC, by what came of them; those of TLS have them too.", write_quic_handshakes },
        { "netbroker_quic_connections", "gauge", "The tenant's connections of QUIC.", write_quic_connections },
        { "netbroker_quic_streams_total", "counter", "Streams, by who has opened them.", write_quic_streams },
        { "netbroker_quic_packets_total", "counter",
          "Packets of connections; those that were dropped belong to no connection.", write_quic_packets },
        { "netbroker_quic_bytes_total", "counter", "Bytes of connections, as they are on the wire.", write_quic_bytes },
        { "netbroker_quic_datagrams_dropped_total", "counter", "Datagrams that a guest had no room for.",
          write_quic_datagrams },
        { "netbroker_quic_strangers_total", "counter",
          "Packets that belong to no connection and were answered, or not let in, by what was done.",
          write_quic_answers },
        { "netbroker_quic_paths_total", "counter",
          "Further addresses of peers, and preferred ones of servers, by the policy's word.", write_quic_paths },
        { "netbroker_requests_total", "counter", "Requests of the tenant's sessions.", write_requests },
        { "netbroker_throttled_total", "counter", "Times that the tenant's requests had to wait for RequestRate=.",
          write_throttled },
        { "netbroker_violations_total", "counter", "Sessions dropped because they broke the rules of the protocol.",
          write_violations },
};

/* ---- the policy's ---- */

/* One file may be named for both roles: samples must differ. */
static bool is_told_already(const struct relay_certificate *certificates, size_t index) {
        for (size_t i = 0; i < index; ++i) {
                if (strcmp(certificates[i].file, certificates[index].file) == 0 &&
                    strcmp(certificates[i].name, certificates[index].name) == 0)
                        return true;
        }
        return false;
}

static void write_expiry(const struct broker *broker, struct exposition *exposition, const char *tenant,
                         const struct policy_protocol *protocol) {
        size_t n = 0;
        const struct relay_certificate *certificates = relay_context_certificates(broker, protocol, &n);

        for (size_t i = 0; i < n; ++i) {
                const struct exposition_label labels[] = { { "tenant", tenant },
                                                           { "protocol", protocol->name },
                                                           { "name", certificates[i].name },
                                                           { "file", certificates[i].file },
                                                           { NULL, NULL } };

                if (!is_told_already(certificates, i))
                        exposition_number(exposition, labels, certificates[i].not_after);
        }
}

static void write_expiries(const struct broker *broker, struct exposition *exposition,
                           const struct policy_tenant *tenant) {
        for (size_t i = 0; i < tenant->n_protocols; ++i)
                write_expiry(broker, exposition, tenant->name, &tenant->protocols[i]);
        for (size_t i = 0; i < tenant->n_preopens; ++i)
                write_expiry(broker, exposition, tenant->name, &tenant->preopens[i].protocol);
}

/* Also of tenants that have not been here yet. A reload in the middle changes what is told from there on. */
static void write_certificates(struct metrics_page *page, struct exposition *exposition, size_t end) {
        static const char name[] = "netbroker_certificate_expiry_timestamp_seconds";
        const struct policy *policy = page->broker->policy;

        exposition->family = name;
        if (page->n_policy_tenants == 0)
                exposition_family(exposition, name, "gauge",
                                  "When a certificate expires that relays show, since 1970.");
        /* One tenant at least: without any, the head would be written again. */
        while (page->n_policy_tenants < policy->n_tenants && (page->n_policy_tenants == 0 || exposition->length < end))
                write_expiries(page->broker, exposition, &policy->tenants[page->n_policy_tenants++]);
        page->certificates_are_written = page->n_policy_tenants >= policy->n_tenants;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of several processes each has these of its own, and one page is made of all of theirs; a tenant is one process's. */
static void write_broker_family(struct metrics_page *page, struct exposition *exposition) {
        const struct broker_family *family = &broker_families[page->n_broker_families++];
        unsigned shard = shard_number(page->broker->shard);
        char name[24] = "front";
        const struct exposition_label process = { "process", name };

        if (shard > 0)
                (void)snprintf(name, sizeof(name), "shard-%u", shard);
        exposition->common = page->broker->n_shards > 0 ? &process : NULL;
        exposition_family(exposition, family->name, family->type, family->help);
        family->write(page->broker, exposition);
        exposition->common = NULL;
}

/* The tenants behind those that are written; the end of the list: none. */
static const struct nb_list *next_tenant(const struct metrics_page *page) {
        const struct nb_list *list = &page->broker->tenants, *link = list->next;

        for (size_t i = 0; i < page->n_tenants && link != list; ++i)
                link = link->next;
        return link;
}

static void write_tenant_family(struct metrics_page *page, struct exposition *exposition, size_t end) {
        const struct tenant_family *family = &tenant_families[page->n_tenant_families];
        const struct nb_list *list = &page->broker->tenants, *link = next_tenant(page);

        exposition->family = family->name;
        if (page->n_tenants == 0)
                exposition_family(exposition, family->name, family->type, family->help);
        /* One tenant at least: without any, the head would be written again. */
        for (; link != list && (page->n_tenants == 0 || exposition->length < end); link = link->next, ++page->n_tenants)
                family->write(nb_container_of(link, struct tenant, link), exposition);
        if (link != list)
                return;
        page->n_tenants = 0;
        page->n_tenant_families++;
}

bool metrics_page_write(struct metrics_page *page, struct exposition *exposition, size_t enough) {
        size_t end = exposition->length + enough;

        while (exposition->length < end && !exposition->failed) {
                if (page->n_broker_families < COUNT(broker_families))
                        write_broker_family(page, exposition);
                else if (!page->certificates_are_written)
                        write_certificates(page, exposition, end);
                else if (page->n_tenant_families < COUNT(tenant_families))
                        write_tenant_family(page, exposition, end);
                else
                        return false;
        }
        return true;
}
