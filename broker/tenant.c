/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tenant.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/hello_token.h"
#include "broker/seen.h"
#include "broker/connection.h"
#include "broker/connection_files.h"
#include "broker/relay.h"
#include "broker/resolver.h"

/* @param policy  NULL: the policy in force has none of that name */
static struct tenant *get(struct broker *broker, const char *name, const struct policy_tenant *policy) {
        struct tenant *tenant;

        nb_list_foreach_safe(link, &broker->tenants) {
                tenant = nb_container_of(link, struct tenant, link);
                if (strcmp(tenant->name, name) == 0)
                        return tenant;
        }

        tenant = calloc(1, sizeof(*tenant));
        if (!tenant)
                return NULL;
        tenant->broker = broker;
        tenant->policy = policy;
        nb_list_init(&tenant->grants);
        nb_list_init(&tenant->connections);
        nb_list_init(&tenant->holding.shelves);
        nb_list_init(&tenant->link);
        account_init_tenant(&tenant->account, &broker->account);
        quota_init(tenant);
        hello_token_rate_init(&tenant->token_rate, uv_now(&broker->loop));
        tenant->seen = seen_new();
        tenant->name = strdup(name);
        if (!tenant->name || connection_files_init(tenant) < 0 || throttle_start(&tenant->throttle, tenant) < 0)
                return tenant_free(tenant);
        audit_rate_init(&tenant->audit_rate, &broker->audit, tenant->name);
        nb_list_append(&broker->tenants, &tenant->link);
        return tenant;
}

struct tenant *tenant_get(struct broker *broker, const struct policy_tenant *policy) {
        return get(broker, policy->name, policy);
}

struct tenant *tenant_get_named(struct broker *broker, const char *name) {
        return get(broker, name, policy_find_tenant(broker->policy, name));
}

void tenant_release_if_unused(struct tenant *tenant) {
        if (!tenant->policy && tenant->n_sessions == 0 && nb_list_is_empty(&tenant->connections))
                (void)tenant_free(tenant);
}

static struct grant *grant_free(struct grant *grant) {
        nb_list_remove(&grant->link);
        free(grant->name);
        free(grant);
        return NULL;
}

struct tenant *tenant_free(struct tenant *tenant) {
        if (!tenant)
                return NULL;
        assert(tenant->n_sessions == 0);
        connection_forget_all(tenant);
        tenant->resolver = resolver_free(tenant->resolver);
        tenant->relays = relay_pool_free(tenant->relays);
        connection_files_deinit(tenant);
        nb_list_foreach_safe(link, &tenant->grants)(void) grant_free(nb_container_of(link, struct grant, link));
        throttle_stop(&tenant->throttle);
        audit_rate_deinit(&tenant->audit_rate);
        account_deinit(&tenant->account);
        tenant->seen = seen_free(tenant->seen);
        nb_list_remove(&tenant->link);
        free(tenant->name);
        free(tenant);
        return NULL;
}

static const struct policy_protocol *find_policy(const struct tenant *tenant, const struct grant *grant) {
        const struct policy_protocol *policy =
                tenant->policy ? policy_find_protocol(tenant->policy, grant->name) : NULL;

        return policy && policy->preopen == grant->preopen ? policy : NULL;
}

struct grant *tenant_get_grant_named(struct tenant *tenant, const char *name, bool preopen) {
        struct grant *grant;

        nb_list_foreach_safe(link, &tenant->grants) {
                grant = nb_container_of(link, struct grant, link);
                if (grant->preopen == preopen && strcmp(grant->name, name) == 0)
                        return grant;
        }

        grant = calloc(1, sizeof(*grant));
        if (!grant)
                return NULL;
        grant->tenant = tenant;
        grant->preopen = preopen;
        nb_list_init(&grant->link);
        grant->name = strdup(name);
        if (!grant->name)
                return grant_free(grant);
        grant->policy = find_policy(tenant, grant);
        nb_list_append(&tenant->grants, &grant->link);
        return grant;
}

struct grant *tenant_get_grant(struct tenant *tenant, const struct policy_protocol *policy) {
        return tenant_get_grant_named(tenant, policy->name, policy->preopen);
}

void tenant_apply_policy(struct tenant *tenant, const struct policy *policy) {
        tenant->policy = policy ? policy_find_tenant(policy, tenant->name) : NULL;
        quota_apply_policy(tenant);
        throttle_apply_policy(&tenant->throttle);
        nb_list_foreach_safe(link, &tenant->grants) {
                struct grant *grant = nb_container_of(link, struct grant, link);

                grant->policy = find_policy(tenant, grant);
        }
        if (tenant->resolver)
                resolver_policy_changed(tenant->resolver);
}

bool tenant_keeps_existing(const struct tenant *tenant) {
        return tenant->policy && tenant->policy->existing == POLICY_EXISTING_KEEP;
}
