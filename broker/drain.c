/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/drain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/tenant.h"

void drain_deinit(struct drain *drain) {
        for (size_t i = 0; i < drain->n_tenants; ++i)
                free(drain->tenants[i]);
        free(drain->tenants);
        *drain = (struct drain){ .all = false };
}

/* ---- tenants by name ---- */

static size_t find(const struct drain *drain, const char *tenant) {
        size_t i = 0;

        while (i < drain->n_tenants && strcmp(drain->tenants[i], tenant) != 0)
                ++i;
        return i;
}

static int add(struct drain *drain, const char *tenant) {
        char **tenants, *name;

        if (find(drain, tenant) < drain->n_tenants)
                return 0;
        if (drain->n_tenants >= DRAIN_TENANTS_MAX)
                return -ENOSPC;
        tenants = reallocarray(drain->tenants, drain->n_tenants + 1, sizeof(*tenants));
        if (!tenants)
                return -ENOMEM;
        drain->tenants = tenants;
        name = strdup(tenant);
        if (!name)
                return -ENOMEM;
        drain->tenants[drain->n_tenants++] = name;
        return 0;
}

static void take_out(struct drain *drain, const char *tenant) {
        size_t i = find(drain, tenant);

        if (i == drain->n_tenants)
                return;
        free(drain->tenants[i]);
        drain->tenants[i] = drain->tenants[--drain->n_tenants];
}

/* ---- what the operator says ---- */

static int set(struct drain *drain, const char *tenant, bool on) {
        if (tenant && on)
                return add(drain, tenant);
        if (tenant)
                take_out(drain, tenant);
        else if (on)
                drain->all = true;
        else
                drain_deinit(drain);
        return 0;
}

int drain_set(struct broker *broker, const char *tenant, bool on) {
        int r = set(&broker->drain, tenant, on);

        if (r == 0)
                broker_keep(broker);
        return r;
}

bool drain_refuses(const struct drain *drain, const char *tenant) {
        return drain->all || find(drain, tenant) < drain->n_tenants;
}

/* ---- what is left ---- */

static void add_left(struct drain_left *left, const struct account *account) {
        left->sessions += account->used[ACCOUNT_SESSIONS];
        left->listeners += account->used[ACCOUNT_LISTENERS];
        left->connections += account->used[ACCOUNT_CONNECTIONS];
}

void drain_count(const struct broker *broker, const char *name, struct drain_left *ret) {
        *ret = (struct drain_left){ .sessions = 0 };
        if (!name) {
                add_left(ret, &broker->account);
                return;
        }
        nb_list_foreach_safe(link, &broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);

                if (strcmp(tenant->name, name) == 0)
                        add_left(ret, &tenant->account);
        }
}

bool drain_is_over(const struct drain_left *left) {
        return left->sessions == 0 && left->listeners == 0 && left->connections == 0;
}

/* ---- a restart ---- */

void drain_describe(const struct drain *drain, Nb__State__Broker *ret) {
        ret->draining = drain->all;
        ret->n_draining_tenants = drain->n_tenants;
        ret->draining_tenants = drain->tenants;
}

void drain_restore(struct drain *drain, const Nb__State__Broker *state) {
        drain->all = state->draining;
        for (size_t i = 0; i < state->n_draining_tenants; ++i)
                (void)add(drain, state->draining_tenants[i]);
}
