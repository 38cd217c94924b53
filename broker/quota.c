/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/quota.h"

#include <errno.h>
#include <inttypes.h>

#include "broker/broker.h"
#include "broker/tenant.h"
#include "policy/limit.h"

#define TELL_AGAIN_MS 60000

/* Which account each limit is for. Protocols have no key: their number is that of sessions, times what the policy grants. */
static const struct {
        enum policy_limit limit;
        enum account_kind kind;
} accounts[] = {
        { POLICY_LIMIT_SESSIONS, ACCOUNT_SESSIONS },     { POLICY_LIMIT_CONTROLS, ACCOUNT_CONTROLS },
        { POLICY_LIMIT_LISTENERS, ACCOUNT_LISTENERS },   { POLICY_LIMIT_CONNECTIONS, ACCOUNT_CONNECTIONS },
        { POLICY_LIMIT_CONNECTING, ACCOUNT_CONNECTS },   { POLICY_LIMIT_IN_FLIGHT, ACCOUNT_IN_FLIGHT },
        { POLICY_LIMIT_LOOKUPS, ACCOUNT_LOOKUPS },       { POLICY_LIMIT_MEMORY, ACCOUNT_MEMORY },
        { POLICY_LIMIT_HANDSHAKES, ACCOUNT_HANDSHAKES },
};

#define N_ACCOUNTS (sizeof(accounts) / sizeof(accounts[0]))

static uint64_t now_ms(const struct tenant *tenant) {
        return uv_now(&tenant->broker->loop);
}

enum account_kind quota_account_kind(enum policy_limit limit) {
        for (size_t i = 0; i < N_ACCOUNTS; ++i) {
                if (accounts[i].limit == limit)
                        return accounts[i].kind;
        }
        return N_ACCOUNT_KINDS;
}

/* A session has a channel for each protocol, so the limit of sessions is what is met. */
static enum policy_limit limit_of(enum account_kind kind) {
        for (size_t i = 0; i < N_ACCOUNTS; ++i) {
                if (accounts[i].kind == kind)
                        return accounts[i].limit;
        }
        return POLICY_LIMIT_SESSIONS;
}

void quota_init(struct tenant *tenant) {
        tenant->quota = (struct quota){ 0 };
        rate_init(&tenant->quota.connects, RATE_UNLIMITED, RATE_UNLIMITED, now_ms(tenant));
        quota_apply_policy(tenant);
}

/* A second's worth at once: who connects to many at its start is not late. */
static void apply_connect_rate(struct tenant *tenant) {
        uint64_t rate = tenant->policy->limits[POLICY_LIMIT_CONNECT_RATE];

        rate_change(&tenant->quota.connects, rate, rate, now_ms(tenant));
}

void quota_apply_policy(struct tenant *tenant) {
        if (!tenant->policy)
                return;
        for (size_t i = 0; i < N_ACCOUNTS; ++i)
                account_set_limit(&tenant->account, accounts[i].kind, tenant->policy->limits[accounts[i].limit]);
        apply_connect_rate(tenant);
}

/* Whose limit it is that was met, and what mends it. */
static void tell_first(const struct tenant *tenant, enum policy_limit limit, bool of_all, const char *value) {
        const struct nb_log *log = &tenant->broker->log;
        const char *key = policy_limit_kind(limit)->key;
        enum account_kind kind = quota_account_kind(limit);

        if (of_all)
                nb_log(log, NB_LOG_WARNING,
                       "tenant %s is denied what %s= counts: all tenants together have as much as netbrokerd can bear; "
                       "raise LimitNOFILE= of its unit",
                       tenant->name, key);
        else if (kind < N_ACCOUNT_KINDS && tenant->policy &&
                 tenant->account.limit[kind] < tenant->policy->limits[limit])
                nb_log(log, NB_LOG_WARNING,
                       "tenant %s is denied what %s= counts: it has half of what netbrokerd can bear for all tenants; "
                       "raise LimitNOFILE= of its unit",
                       tenant->name, key);
        else
                nb_log(log, NB_LOG_NOTICE, "tenant %s has reached %s=%s; what is beyond it is denied", tenant->name,
                       key, value);
}

static void tell(const struct tenant *tenant, enum policy_limit limit, bool of_all, uint64_t n) {
        char value[POLICY_LIMIT_TEXT_MAX];

        (void)policy_limit_format(limit, tenant->policy ? tenant->policy->limits[limit] : POLICY_UNLIMITED, value);
        tell_first(tenant, limit, of_all, value);
        if (n > 1)
                nb_log(&tenant->broker->log, NB_LOG_NOTICE,
                       "tenant %s: %" PRIu64 " denials of what %s= counts since that was last told", tenant->name, n,
                       policy_limit_kind(limit)->key);
}

static void deny(struct tenant *tenant, enum policy_limit limit, bool of_all) {
        struct quota_told *told = &tenant->quota.told[limit];

        tenant->metrics.quota_denied[limit]++;
        told->untold++;
        if (now_ms(tenant) < told->next_ms)
                return;
        tell(tenant, limit, of_all, told->untold);
        told->untold = 0;
        told->next_ms = now_ms(tenant) + TELL_AGAIN_MS;
}

void quota_deny(struct tenant *tenant, enum policy_limit limit) {
        deny(tenant, limit, false);
}

/* What there will be room for in a moment, whatever the tenant does. */
static bool passes(enum account_kind kind) {
        return kind == ACCOUNT_CONNECTS || kind == ACCOUNT_LOOKUPS;
}

int quota_claim(struct tenant *tenant, enum account_kind kind) {
        int r = account_claim(&tenant->account, kind);

        if (r == 0)
                return 0;
        deny(tenant, r == -ENOBUFS ? POLICY_LIMIT_MEMORY : limit_of(kind), r == -ENFILE);
        return r != -ENOBUFS && passes(kind) ? -EAGAIN : r;
}

int quota_claim_bytes(struct tenant *tenant, uint64_t n) {
        int r = account_charge_bytes(&tenant->account, n);

        if (r < 0)
                deny(tenant, POLICY_LIMIT_MEMORY, false);
        return r;
}

int quota_take_connect(struct tenant *tenant) {
        if (rate_take(&tenant->quota.connects, now_ms(tenant)))
                return 0;
        deny(tenant, POLICY_LIMIT_CONNECT_RATE, false);
        return -EAGAIN;
}
