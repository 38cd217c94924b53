/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* FNV-1a, of 64 bits. */
#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static uint64_t hash_on(uint64_t hash, const char *text) {
        for (; *text; ++text)
                hash = (hash ^ (unsigned char)*text) * HASH_PRIME;
        return hash;
}

/* The lowest bits of the hash of short texts say little more than their last letter. */
unsigned policy_shard_of_name(const char *name, unsigned n) {
        uint64_t hash = hash_on(HASH_BEGIN, name);

        return (unsigned)((hash ^ hash >> 32) % n) + 1;
}

unsigned policy_shard_of(const struct policy_tenant *tenant, unsigned n) {
        return tenant->shard > 0 ? (tenant->shard - 1) % n + 1 : policy_shard_of_name(tenant->name, n);
}

/* Keeps the name of a tenant whose place is given up. */
static void give_up(struct policy *policy, struct policy_tenant *tenant) {
        policy->elsewhere[policy->n_elsewhere++] = nb_steal_ptr(tenant->name);
        policy_tenant_deinit(tenant);
}

/* The tables name places, which are others now. */
static int find_anew(struct policy *policy) {
        policy_table_deinit(&policy->names);
        policy_table_deinit(&policy->sockets);
        policy->names = policy->sockets = (struct policy_table){ .slots = NULL };
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                const struct policy_tenant *tenant = &policy->tenants[i];

                if (policy_table_add(&policy->names, tenant->name, i) < 0)
                        return -ENOMEM;
                if (tenant->socket.path && policy_table_add(&policy->sockets, tenant->socket.path, i) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int policy_keep_shard(struct policy *policy, unsigned shard, unsigned n) {
        size_t kept = 0;

        policy->elsewhere = calloc(policy->n_tenants + 1, sizeof(policy->elsewhere[0]));
        if (!policy->elsewhere)
                return -ENOMEM;
        for (size_t i = 0; i < policy->n_tenants; ++i) {
                struct policy_tenant *tenant = &policy->tenants[i];

                if (policy_shard_of(tenant, n) == shard)
                        policy->tenants[kept++] = *tenant;
                else
                        give_up(policy, tenant);
        }
        policy->n_tenants = kept;
        return find_anew(policy);
}

bool policy_is_elsewhere(const struct policy *policy, const char *name) {
        for (size_t i = 0; i < policy->n_elsewhere; ++i) {
                if (strcmp(policy->elsewhere[i], name) == 0)
                        return true;
        }
        return false;
}

int policy_digest(const struct policy *policy, uint64_t *ret) {
        uint64_t hash = HASH_BEGIN + policy->require_seal;

        for (size_t i = 0; i < policy->n_tenants; ++i) {
                NB_CLEANUP_FREE char *text = policy_format_tenant(&policy->tenants[i]);

                if (!text)
                        return -ENOMEM;
                hash = hash_on(hash, text);
        }
        *ret = hash;
        return 0;
}
