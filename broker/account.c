/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/account.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "broker/connection.h"
#include "broker/control.h"
#include "broker/session.h"

/*
 * What the broker keeps for one of each, in bytes, with its texts, timers and the allocator's share: more than it takes, so that a limit
 * on memory holds. The kernel's memory for a descriptor is not in it; the numbers of things bound that.
 */
static const uint64_t prices[N_ACCOUNT_KINDS] = {
        [ACCOUNT_SESSIONS] = 1024,     [ACCOUNT_PROTOCOLS] = 256, [ACCOUNT_CONTROLS] = 1024,
        [ACCOUNT_CONNECTS] = 4096, /* with its look-up's and dialer's addresses and timers */
        [ACCOUNT_IN_FLIGHT] = 0,       [ACCOUNT_LISTENERS] = 512, [ACCOUNT_CONNECTIONS] = 1792,
        [ACCOUNT_LOOKUPS] = 80 * 1024, /* most of it c-ares' own (broker/question.h) */
        [ACCOUNT_HANDSHAKES] = 4096,   [ACCOUNT_STREAMS] = 0,
};

_Static_assert(sizeof(struct session) <= 512, "the price of a session is too low");
_Static_assert(sizeof(struct control) <= 896, "the price of a control is too low");
_Static_assert(sizeof(struct connection) <= 896, "the price of a connection, with its record, is too low");

/* Of all tenants: some hundred megabytes. */
#define LOOKUPS_MAX 4096

void account_init_tenant(struct account *account, struct account *parent) {
        *account = (struct account){ .parent = parent };
        for (enum account_kind kind = 0; kind < N_ACCOUNT_KINDS; ++kind)
                account_set_limit(account, kind, ACCOUNT_UNLIMITED);
}

/*
 * A session or protocol is one descriptor here, a control two (its channel and its socket): together at most seven eighths of
 * what the process may have. Apart from that, the kernel charges descriptors in flight to the sender's user and refuses more
 * than RLIMIT_NOFILE of them, for all tenants at once (ETOOMANYREFS, unix(7)): each channel has one at most, beside what is
 * pushed within credit. Relays that the broker forks are of the same user: what they may have under way is a quarter.
 */
void account_init_broker(struct account *account, uint64_t max_fds) {
        uint64_t eighth = (max_fds > UINT32_MAX ? UINT32_MAX : max_fds) / 8;
        uint64_t lookups = eighth < LOOKUPS_MAX ? eighth : LOOKUPS_MAX;

        *account = (struct account){
                .limit = {
                        [ACCOUNT_SESSIONS] = eighth,
                        [ACCOUNT_PROTOCOLS] = 2 * eighth,
                        [ACCOUNT_CONTROLS] = 2 * eighth,
                        [ACCOUNT_CONNECTS] = eighth,
                        [ACCOUNT_IN_FLIGHT] = eighth,
                        [ACCOUNT_LISTENERS] = 2 * eighth,
                        [ACCOUNT_CONNECTIONS] = ACCOUNT_UNLIMITED,
                        [ACCOUNT_LOOKUPS] = lookups,
                        [ACCOUNT_HANDSHAKES] = eighth,
                        [ACCOUNT_STREAMS] = 2 * eighth,
                        [ACCOUNT_MEMORY] = ACCOUNT_UNLIMITED,
                },
        };
}

void account_deinit(struct account *account) {
        for (int kind = 0; kind < N_ACCOUNT_KINDS; ++kind)
                assert(account->used[kind] == 0);
}

void account_set_limit(struct account *account, enum account_kind kind, uint64_t limit) {
        uint64_t most = account->parent ? account->parent->limit[kind] : ACCOUNT_UNLIMITED;

        if (most != ACCOUNT_UNLIMITED)
                most /= 2;
        account->limit[kind] = limit < most ? limit : most;
}

static bool has_room(const struct account *account, enum account_kind kind, uint64_t n) {
        /* A limit may have been lowered below what is used. */
        return account->used[kind] <= account->limit[kind] && n <= account->limit[kind] - account->used[kind];
}

uint64_t account_room(const struct account *account, enum account_kind kind) {
        uint64_t room = ACCOUNT_UNLIMITED;

        for (const struct account *a = account; a; a = a->parent) {
                uint64_t left = a->used[kind] < a->limit[kind] ? a->limit[kind] - a->used[kind] : 0;

                if (left < room)
                        room = left;
        }
        return room;
}

static void add(struct account *account, enum account_kind kind, uint64_t n) {
        for (struct account *a = account; a; a = a->parent)
                a->used[kind] += n;
}

static void subtract(struct account *account, enum account_kind kind, uint64_t n) {
        for (struct account *a = account; a; a = a->parent) {
                assert(a->used[kind] >= n);
                a->used[kind] -= n;
        }
}

int account_claim(struct account *account, enum account_kind kind) {
        for (const struct account *a = account; a; a = a->parent) {
                if (!has_room(a, kind, 1))
                        return a == account ? -EMFILE : -ENFILE;
                if (!has_room(a, ACCOUNT_MEMORY, prices[kind]))
                        return -ENOBUFS;
        }
        add(account, kind, 1);
        add(account, ACCOUNT_MEMORY, prices[kind]);
        return 0;
}

bool account_charge(struct account *account, enum account_kind kind) {
        return account_claim(account, kind) == 0;
}

void account_restore(struct account *account, enum account_kind kind, uint64_t n) {
        add(account, kind, n);
        add(account, ACCOUNT_MEMORY, n * prices[kind]);
}

void account_release(struct account *account, enum account_kind kind, uint64_t n) {
        subtract(account, kind, n);
        subtract(account, ACCOUNT_MEMORY, n * prices[kind]);
}

uint64_t account_take(struct account *account, enum account_kind kind, uint64_t most) {
        uint64_t room = account_room(account, kind), n = room < most ? room : most;

        assert(prices[kind] == 0);
        add(account, kind, n);
        return n;
}

int account_charge_bytes(struct account *account, uint64_t n) {
        for (const struct account *a = account; a; a = a->parent) {
                if (!has_room(a, ACCOUNT_MEMORY, n))
                        return -ENOBUFS;
        }
        add(account, ACCOUNT_MEMORY, n);
        return 0;
}

void account_restore_bytes(struct account *account, uint64_t n) {
        add(account, ACCOUNT_MEMORY, n);
}

void account_release_bytes(struct account *account, uint64_t n) {
        subtract(account, ACCOUNT_MEMORY, n);
}
