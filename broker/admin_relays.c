/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verbs about relays: which there are, and until when the certificates are good that they show.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/admin_find.h"
#include "broker/admin_list.h"
#include "broker/admin_verbs.h"
#include "broker/broker.h"
#include "broker/relay.h"
#include "broker/relay_context.h"
#include "broker/tenant.h"

/* ---- relays ---- */

/* The second number of /proc/PID/statm, in pages (proc(5)); null where it cannot be read. */
static json_t *memory_of(pid_t pid) {
        unsigned long total, resident;
        char path[64];
        FILE *file;
        int n;

        if (pid <= 0)
                return json_null();
        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
        file = fopen(path, "re");
        if (!file)
                return json_null();
        n = fscanf(file, "%lu %lu", &total, &resident);
        (void)fclose(file);
        return n == 2 ? json_integer((json_int_t)resident * sysconf(_SC_PAGESIZE)) : json_null();
}

struct saying {
        struct admin_call *call;
        const struct tenant *tenant;
        int r;
};

static void say_relay(void *data, const struct relay_facts *facts) {
        struct saying *saying = data;
        json_t *object;

        if (saying->r < 0)
                return;
        object = json_pack("{s:o, s:o, s:o, s:o, s:o, s:s}", "tenant", admin_text(saying->tenant->name), "pid",
                           facts->pid > 0 ? json_integer(facts->pid) : json_null(), "since",
                           admin_time(facts->since_ms), "links", json_integer((json_int_t)facts->n_objects), "memory",
                           memory_of(facts->pid), "state", facts->is_started ? "ready" : "starting");
        if (object && facts->is_started) {
                (void)json_object_set_new(object, "locked_memory", json_boolean(facts->locked_memory));
                (void)json_object_set_new(object, "kernel_tls", json_boolean(facts->kernel_tls));
                (void)json_object_set_new(object, "missing_walls", admin_text(facts->missing_walls));
        }
        if (object)
                (void)json_object_set_new(object, "crashes",
                                          json_integer((json_int_t)relay_pool_crashes(saying->tenant->relays)));
        saying->r = admin_say(saying->call, object);
}

static int say_relays(struct admin_call *call, const struct tenant *tenant) {
        struct saying saying = { .call = call, .tenant = tenant };

        if (tenant)
                relay_pool_each(tenant->relays, say_relay, &saying);
        return saying.r < 0 ? -ENOMEM : 0;
}

/* Those of tenants that a reload took from the policy while they had something. */
static int say_relays_without_policy(struct admin_call *call) {
        const struct admin_cursor *cursor = call->state;

        nb_list_foreach_safe(link, &call->broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);

                if (!tenant->policy && admin_list_is_about(cursor, tenant) && say_relays(call, tenant) < 0)
                        return -ENOMEM;
        }
        return ADMIN_END;
}

/* A tenant has 16 at most. */
static int next_relays(struct admin_call *call) {
        const struct policy *policy = call->broker->policy;
        struct admin_cursor *cursor = call->state;

        for (size_t n = 0; n < ADMIN_SLICE && cursor->index < policy->n_tenants; ++n, ++cursor->index) {
                const char *name = policy->tenants[cursor->index].name;

                if (cursor->tenant && strcmp(cursor->tenant, name) != 0)
                        continue;
                if (say_relays(call, admin_find_tenant(call->broker, name)) < 0)
                        return -ENOMEM;
        }
        return cursor->index < policy->n_tenants ? ADMIN_MORE : say_relays_without_policy(call);
}

int admin_relays(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL;
        int r = admin_take(call, request, "{s:s, s?s}", "verb", &verb, "tenant", &tenant);

        return r < 0 ? r : admin_list_begin(call, tenant, 0, next_relays);
}

/* ---- certificates ---- */

static int say_certificates(struct admin_call *call, const struct policy_tenant *tenant,
                            const struct policy_protocol *protocol) {
        size_t n = 0;
        const struct relay_certificate *certificates = relay_context_certificates(call->broker, protocol, &n);

        for (size_t i = 0; i < n; ++i) {
                json_t *object = json_pack("{s:o, s:o, s:o, s:o, s:o}", "tenant", admin_text(tenant->name), "protocol",
                                           admin_text(protocol->name), "name", admin_text(certificates[i].name),
                                           "expires", admin_time_of_seconds(certificates[i].not_after), "file",
                                           admin_text(certificates[i].file));

                if (admin_say(call, object) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int say_certificates_of(struct admin_call *call, const struct policy_tenant *tenant) {
        int r = 0;

        for (size_t i = 0; i < tenant->n_protocols && r == 0; ++i)
                r = say_certificates(call, tenant, &tenant->protocols[i]);
        for (size_t i = 0; i < tenant->n_preopens && r == 0; ++i)
                r = say_certificates(call, tenant, &tenant->preopens[i].protocol);
        return r;
}

static int next_certificates(struct admin_call *call) {
        const struct policy *policy = call->broker->policy;
        struct admin_cursor *cursor = call->state;

        for (size_t n = 0; n < ADMIN_SLICE && cursor->index < policy->n_tenants; ++n, ++cursor->index) {
                const struct policy_tenant *tenant = &policy->tenants[cursor->index];

                if (cursor->tenant && strcmp(cursor->tenant, tenant->name) != 0)
                        continue;
                if (say_certificates_of(call, tenant) < 0)
                        return -ENOMEM;
        }
        return cursor->index < policy->n_tenants ? ADMIN_MORE : ADMIN_END;
}

int admin_certificates(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL;
        int r = admin_take(call, request, "{s:s, s?s}", "verb", &verb, "tenant", &tenant);

        return r < 0 ? r : admin_list_begin(call, tenant, 0, next_certificates);
}
