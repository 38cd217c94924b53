/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's verb drain: what is refused from now on, what is left, and waiting until nothing is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/admin_client.h"
#include "broker/admin_find.h"
#include "broker/admin_verbs.h"
#include "broker/broker.h"
#include "broker/drain.h"
#include "loop/deadline.h"

/* What is waited for takes minutes and more. */
#define LOOK_MS 200

/* A call that waits. */
struct waiting {
        struct admin_call *call;
        struct deadline *deadline;
        char *tenant; /* NULL: all */
};

static void waiting_free(void *state) {
        struct waiting *waiting = state;

        waiting->deadline = deadline_free(waiting->deadline);
        free(waiting->tenant);
        free(waiting);
}

static json_t *names_of(const struct drain *drain) {
        json_t *names = json_array();

        for (size_t i = 0; names && i < drain->n_tenants; ++i)
                (void)json_array_append_new(names, admin_text(drain->tenants[i]));
        return names;
}

json_t *admin_drain_status(const struct broker *broker, const char *tenant) {
        struct drain_left left;

        drain_count(broker, tenant, &left);
        return json_pack("{s:b, s:o, s:I, s:I, s:I}", "all", (int)broker->drain.all, "tenants",
                         names_of(&broker->drain), "sessions", (json_int_t)left.sessions, "listeners",
                         (json_int_t)left.listeners, "connections", (json_int_t)left.connections);
}

static bool is_over(const struct broker *broker, const char *tenant) {
        struct drain_left left;

        drain_count(broker, tenant, &left);
        return drain_is_over(&left);
}

/* Nobody waits for the end of what goes on coming. */
static bool is_drained(const struct broker *broker, const char *tenant) {
        return tenant ? drain_refuses(&broker->drain, tenant) : broker->drain.all;
}

static int fail_ended(struct admin_call *call) {
        return admin_fail(call, -ECANCELED, "draining was ended meanwhile");
}

static void look(void *data) {
        struct waiting *waiting = data;
        struct admin_call *call = waiting->call;
        int r;

        waiting->deadline = deadline_free(waiting->deadline);
        if (!is_drained(call->broker, waiting->tenant)) {
                admin_client_resume(call, fail_ended(call));
                return;
        }
        if (is_over(call->broker, waiting->tenant)) {
                r = admin_say(call, admin_drain_status(call->broker, waiting->tenant));
                admin_client_resume(call, r < 0 ? r : ADMIN_END);
                return;
        }
        waiting->deadline = deadline_new(&call->broker->loop, LOOK_MS, look, waiting);
        if (!waiting->deadline)
                admin_client_resume(call, -ENOMEM);
}

static int wait_for_end(struct admin_call *call, const char *tenant) {
        struct waiting *waiting = calloc(1, sizeof(*waiting));

        if (!waiting)
                return -ENOMEM;
        call->state = waiting;
        call->free_state = waiting_free;
        waiting->call = call;
        waiting->tenant = tenant ? strdup(tenant) : NULL;
        if (tenant && !waiting->tenant)
                return -ENOMEM;
        waiting->deadline = deadline_new(&call->broker->loop, LOOK_MS, look, waiting);
        return waiting->deadline ? ADMIN_WAIT : -ENOMEM;
}

static int change(struct admin_call *call, const char *tenant, bool on) {
        struct broker *broker = call->broker;
        int r;

        if (tenant && on && !admin_find_policy(broker, tenant) && !admin_find_tenant(broker, tenant))
                return admin_fail_no_tenant(call, tenant);
        r = drain_set(broker, tenant, on);
        if (r == -ENOSPC)
                return admin_fail(call, r, "%d tenants are drained by name, which is the most; drain all instead",
                                  DRAIN_TENANTS_MAX);
        if (r < 0)
                return r;
        nb_log(&broker->log, NB_LOG_NOTICE, "%s%s: user %u %s", tenant ? "tenant " : "sessions",
               tenant ? tenant : " of all tenants", (unsigned)call->uid,
               on ? "drains: new sessions are refused" : "ends draining: new sessions are admitted");
        return 0;
}

int admin_drain(struct admin_call *call, const json_t *request) {
        const char *verb, *tenant = NULL;
        bool waits;
        int on = -1, wait = 0; /* neither on nor off: nothing is changed, so that who waits does not drain anew */
        int r = admin_take(call, request, "{s:s, s?s, s?b, s?b}", "verb", &verb, "tenant", &tenant, "on", &on, "wait",
                           &wait);

        if (r == 0 && on >= 0)
                r = change(call, tenant, on);
        if (r < 0)
                return r;
        waits = on && wait;
        if (waits && !is_drained(call->broker, tenant))
                return fail_ended(call);
        if (waits && !is_over(call->broker, tenant))
                return wait_for_end(call, tenant);
        return admin_say(call, admin_drain_status(call->broker, tenant));
}
