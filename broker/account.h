/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant, and all tenants together, may hold.
 *
 * A thing is charged before it is made and released when it is gone, by the same function that ends it. A tenant's account has
 * the broker's as its parent, so that the sum of all stays below what the process can bear. At destruction every balance is
 * zero, which is asserted: a difference is a bug of ours.
 */
#ifndef NB_BROKER_ACCOUNT_H
#define NB_BROKER_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

enum account_kind {
        ACCOUNT_SESSIONS,
        ACCOUNT_PROTOCOLS, /* channels of protocols */
        ACCOUNT_CONTROLS,
        ACCOUNT_CONNECTS,    /* connections being made */
        ACCOUNT_IN_FLIGHT,   /* accepted connections that the session has not yet given credit for again */
        ACCOUNT_LISTENERS,   /* controls that listen */
        ACCOUNT_CONNECTIONS, /* in the tenant's hands (broker/connection.h) */
        ACCOUNT_LOOKUPS,     /* names being resolved (broker/resolver.h) */
        N_ACCOUNT_KINDS,
};

struct account {
        struct account *parent; /* borrowed, may be NULL */
        uint32_t used[N_ACCOUNT_KINDS];
        uint32_t limit[N_ACCOUNT_KINDS];
};

/** The limits of one tenant; netbrokerd(8) lists them. */
void account_init_tenant(struct account *account, struct account *parent);

/** The limits of the whole broker, from the number of descriptors that the process may have. */
void account_init_broker(struct account *account, uint64_t max_fds);

/** Asserts that everything was given back. */
void account_deinit(struct account *account);

/** Takes one. @return whether there was room here and in every parent; nothing is taken if not. */
bool account_charge(struct account *account, enum account_kind kind);

/** Gives `n` back. */
void account_release(struct account *account, enum account_kind kind, uint32_t n);

#endif
