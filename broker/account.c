/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/account.h"

#include <assert.h>
#include <stddef.h>

/* One tenant's, chosen so that a host process with 1,000 guests of ten controls each fits several times. */
static const uint32_t tenant_limits[N_ACCOUNT_KINDS] = {
        [ACCOUNT_SESSIONS] = 4096,     [ACCOUNT_PROTOCOLS] = 16384, [ACCOUNT_CONTROLS] = 65536,
        [ACCOUNT_CONNECTS] = 4096,     [ACCOUNT_IN_FLIGHT] = 4096,  [ACCOUNT_LISTENERS] = 65536,
        [ACCOUNT_CONNECTIONS] = 65536, [ACCOUNT_LOOKUPS] = 256,
};

/* Where the process may have few descriptors, half of what all may have is left to the other tenants. */
void account_init_tenant(struct account *account, struct account *parent) {
        *account = (struct account){ .parent = parent };
        for (int kind = 0; kind < N_ACCOUNT_KINDS; ++kind) {
                uint32_t half = parent->limit[kind] / 2;

                account->limit[kind] = tenant_limits[kind] < half ? tenant_limits[kind] : half;
        }
}

/*
 * A session or protocol is one descriptor here, a control two (its channel and its socket): together at most seven eighths of
 * what the process may have. Apart from that, the kernel charges descriptors in flight to the sender's user and refuses more
 * than RLIMIT_NOFILE of them, for all tenants at once (ETOOMANYREFS, unix(7)): each channel has one at most, beside what is
 * pushed within credit.
 */
void account_init_broker(struct account *account, uint64_t max_fds) {
        uint32_t eighth = (uint32_t)((max_fds > UINT32_MAX ? UINT32_MAX : max_fds) / 8);

        *account = (struct account){
                .limit = {
                        [ACCOUNT_SESSIONS] = eighth,
                        [ACCOUNT_PROTOCOLS] = 2 * eighth,
                        [ACCOUNT_CONTROLS] = 2 * eighth,
                        [ACCOUNT_CONNECTS] = eighth,
                        [ACCOUNT_IN_FLIGHT] = eighth,
                        [ACCOUNT_LISTENERS] = 2 * eighth,
                        [ACCOUNT_CONNECTIONS] = UINT32_MAX,
                        [ACCOUNT_LOOKUPS] = 2 * eighth,
                },
        };
}

void account_deinit(struct account *account) {
        for (int kind = 0; kind < N_ACCOUNT_KINDS; ++kind)
                assert(account->used[kind] == 0);
}

bool account_charge(struct account *account, enum account_kind kind) {
        for (struct account *a = account; a; a = a->parent) {
                if (a->used[kind] >= a->limit[kind])
                        return false;
        }
        for (struct account *a = account; a; a = a->parent)
                a->used[kind]++;
        return true;
}

void account_release(struct account *account, enum account_kind kind, uint32_t n) {
        for (struct account *a = account; a; a = a->parent) {
                assert(a->used[kind] >= n);
                a->used[kind] -= n;
        }
}
