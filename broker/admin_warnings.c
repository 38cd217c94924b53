/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_warnings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/wall_clock.h"
#include "broker/admin_call.h"
#include "broker/broker.h"
#include "broker/front_link.h"
#include "broker/helper_client.h"
#include "broker/identity.h"
#include "broker/keep.h"
#include "broker/relay.h"
#include "broker/relay_context.h"
#include "broker/seal.h"
#include "broker/tenant.h"

/* A list of what is wrong that nobody reads to its end helps nobody. */
#define WARNINGS_MAX 32

static void warn(json_t *warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(json_t *warnings, const char *format, ...) {
        char text[512];
        va_list arguments;

        if (json_array_size(warnings) >= WARNINGS_MAX)
                return;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        (void)json_array_append_new(warnings, admin_text(text));
}

/* How long before it expires a certificate is named: time to get another. */
#define DAY_S UINT64_C(86400)
#define EXPIRES_SOON_S (30 * DAY_S)

static bool speaks_tls(const struct policy_tenant *tenant) {
        for (size_t i = 0; tenant && i < tenant->n_protocols; ++i) {
                if (tenant->protocols[i].tls)
                        return true;
        }
        for (size_t i = 0; tenant && i < tenant->n_preopens; ++i) {
                if (tenant->preopens[i].protocol.tls)
                        return true;
        }
        return false;
}

static bool wants_helper(const struct policy *policy) {
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                if (policy->tenants[i].existing == POLICY_EXISTING_CLOSE)
                        return true;
        }
        return false;
}

static void warn_of_helper(json_t *warnings, const struct broker *broker) {
        if (!broker->helper && !broker->front && wants_helper(broker->policy))
                warn(warnings, "without a helper (--helper) neither Existing=close nor a revocation can shut down "
                               "connections that tenants hold");
        if (broker->helper && !helper_client_is_well(broker->helper))
                warn(warnings, "netbroker-helper does not answer: what is to be shut down waits for it");
}

static void warn_of_keeper(json_t *warnings, const struct broker *broker) {
        struct keep_facts facts;

        if (!broker->keep)
                return;
        keep_get_facts(broker->keep, &facts);
        if (!facts.is_connected)
                warn(warnings, "netbroker-keeper cannot be reached: a restart would end every session");
        if (facts.n_refused > 0)
                warn(warnings,
                     "netbroker-keeper has refused %" PRIu64 " entries, which a restart would end: raise its "
                     "--max-entries or --max-bytes, or LimitNOFILE= of its unit",
                     facts.n_refused);
}

static void warn_of_walls(json_t *warnings, const struct broker_walls *walls) {
        if (walls->missing)
                warn(warnings, "netbrokerd runs without %s, which this kernel lacks", walls->missing);
        else if (!walls->files)
                warn(warnings, "netbrokerd could not confine itself to its files (Landlock); the log says why");
        if (!walls->calls)
                warn(warnings, "netbrokerd could not confine itself to its system calls (seccomp); the log says why");
}

static void warn_of_drain(json_t *warnings, const struct drain *drain) {
        if (drain->all)
                warn(warnings, "new sessions are refused, for an operator drains this broker; netbrokerctl undrain "
                               "ends that");
        for (size_t i = 0; !drain->all && i < drain->n_tenants; ++i)
                warn(warnings, "the tenant %s: new sessions are refused, for an operator drains it", drain->tenants[i]);
}

static void warn_of_report_mode(json_t *warnings, const struct policy *policy) {
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                if (policy->tenants[i].mode == POLICY_MODE_REPORT)
                        warn(warnings, "the tenant %s is in report mode: what its rules refuse is recorded, and done",
                             policy->tenants[i].name);
        }
}

static void warn_of_seal(json_t *warnings, const struct broker *broker) {
        if (!seal_is_proven(broker->seal) && seal_is_wanted(broker->policy))
                warn(warnings, "the seal is not proven (%s): connections with DataPath=auto go through relays",
                     seal_why_not(broker->seal));
}

static void warn_of_units(json_t *warnings, const struct policy *policy) {
        const struct policy_tenant *tenant = identity_find_blind(policy);

        if (tenant)
                warn(warnings,
                     "the tenant %s: Unit= fits nobody, for /proc hides other users' processes: ProtectProc=default "
                     "in a drop-in of netbrokerd.service shows them",
                     tenant->name);
}

static void warn_of_shards(json_t *warnings, const struct front *front) {
        for (unsigned i = 0; i < front_n_shards(front); ++i) {
                if (front->links[i].state != FRONT_LINK_READY)
                        warn(warnings, "shard %u has ended, and is being started again: its tenants wait", i + 1);
        }
}

/* ---- relays ---- */

struct relays {
        json_t *warnings;
        const struct tenant *tenant;
};

static void warn_of_relay(void *data, const struct relay_facts *facts) {
        const struct relays *relays = data;
        const char *tenant = relays->tenant->name;

        if (!facts->is_started)
                return;
        if (!facts->locked_memory && speaks_tls(relays->tenant->policy))
                warn(relays->warnings,
                     "the tenant %s: keys in the memory of its relay %d can be swapped out; raise "
                     "LimitMEMLOCK= to infinity",
                     tenant, (int)facts->pid);
        if (facts->missing_walls[0] != '\0')
                warn(relays->warnings, "the tenant %s: its relay %d runs without %s, which this kernel lacks", tenant,
                     (int)facts->pid, facts->missing_walls);
}

static void warn_of_relays(json_t *warnings, const struct broker *broker) {
        nb_list_foreach_safe(link, &broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);
                struct relays relays = { .warnings = warnings, .tenant = tenant };

                relay_pool_each(tenant->relays, warn_of_relay, &relays);
                if (relay_pool_is_crashing(tenant->relays))
                        warn(warnings,
                             "the tenant %s: its relays keep ending, %" PRIu64 " so far, and are started with "
                             "pauses in between; the log says by what",
                             tenant->name, relay_pool_crashes(tenant->relays));
        }
}

/* ---- certificates ---- */

static void warn_of_certificate(json_t *warnings, const struct policy_tenant *tenant,
                                const struct policy_protocol *protocol, const struct relay_certificate *certificate,
                                uint64_t now_s) {
        uint64_t left_s = certificate->not_after > now_s ? certificate->not_after - now_s : 0;

        if (left_s == 0)
                warn(warnings, "the tenant %s: the certificate for %s of %s has expired: %s", tenant->name,
                     certificate->name, protocol->name, certificate->file);
        else if (left_s < EXPIRES_SOON_S)
                warn(warnings, "the tenant %s: the certificate for %s of %s expires in %" PRIu64 " days: %s",
                     tenant->name, certificate->name, protocol->name, left_s / DAY_S, certificate->file);
}

static void warn_of_protocol(json_t *warnings, const struct broker *broker, const struct policy_tenant *tenant,
                             const struct policy_protocol *protocol) {
        size_t n = 0;
        const struct relay_certificate *certificates = relay_context_certificates(broker, protocol, &n);
        uint64_t now_s = nb_wall_clock_ms() / 1000;

        for (size_t i = 0; i < n; ++i)
                warn_of_certificate(warnings, tenant, protocol, &certificates[i], now_s);
}

static void warn_of_certificates(json_t *warnings, const struct broker *broker) {
        const struct policy *policy = broker->policy;

        for (size_t t = 0; t < policy->n_tenants; ++t) {
                const struct policy_tenant *tenant = &policy->tenants[t];

                for (size_t i = 0; i < tenant->n_protocols; ++i)
                        warn_of_protocol(warnings, broker, tenant, &tenant->protocols[i]);
                for (size_t i = 0; i < tenant->n_preopens; ++i)
                        warn_of_protocol(warnings, broker, tenant, &tenant->preopens[i].protocol);
        }
}

json_t *admin_warnings(const struct broker *broker) {
        json_t *warnings = json_array();

        if (!warnings)
                return NULL;
        if (broker->policy_state.failed_ms > 0)
                warn(warnings, "the last reload failed; the policy before stays in force");
        if (geteuid() == 0)
                warn(warnings, "netbrokerd runs as root, as the owner of root's files; give it --user NAME");
        if (broker->policy->n_tenants == 0 && !broker->shard)
                warn(warnings, "the policy has no tenant: nobody can open a session");
        if (broker->audit.n_lost > 0)
                warn(warnings, "audit records were lost: what they are written to does not take them");
        warn_of_helper(warnings, broker);
        warn_of_keeper(warnings, broker);
        warn_of_walls(warnings, &broker->walls);
        warn_of_drain(warnings, &broker->drain);
        warn_of_seal(warnings, broker);
        warn_of_units(warnings, broker->policy);
        warn_of_report_mode(warnings, broker->policy);
        warn_of_shards(warnings, broker->front);
        warn_of_relays(warnings, broker);
        warn_of_certificates(warnings, broker);
        return warnings;
}
