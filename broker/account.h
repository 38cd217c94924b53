/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tenant, and all tenants together, may hold.
 *
 * A thing is charged before it is made and released when it is gone, by the same function that ends it. A tenant's account has
 * the broker's as its parent, so that the sum of all stays below what the process can bear; and a tenant has at most half of that, whatever
 * its policy says, so that the others have the rest. At destruction every balance is zero, which is asserted: a difference is a bug of
 * ours.
 *
 * The broker's memory for a thing is charged with it, at a fixed price that is more than the thing takes (account.c); what has no fixed size
 * is charged by the byte. Most denials are told to the operator: that is broker/quota.h, which others use instead of this.
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
        ACCOUNT_HANDSHAKES,  /* accepted, and not yet through TLS or a PROXY header (broker/relayed.h) */
        ACCOUNT_STREAMS, /* descriptors of QUIC's streams that its relays may have under way to guests (broker/relay.h) */
        ACCOUNT_MEMORY, /* bytes of the broker's own, for all of these and what they need */
        N_ACCOUNT_KINDS,
};

/** No limit of its own. */
#define ACCOUNT_UNLIMITED UINT64_MAX

struct account {
        struct account *parent; /* borrowed, may be NULL */
        uint64_t used[N_ACCOUNT_KINDS];
        uint64_t limit[N_ACCOUNT_KINDS];
};

/** Of one tenant, with as much as any may have. */
void account_init_tenant(struct account *account, struct account *parent);

/** The limits of the whole broker, from the number of descriptors that the process may have. */
void account_init_broker(struct account *account, uint64_t max_fds);

/** Asserts that everything was given back. */
void account_deinit(struct account *account);

/**
 * Sets a tenant's limit, to half of the parent's where that is less. What is held beyond it stays, and no more is given.
 * @param limit  ACCOUNT_UNLIMITED: half of the parent's, or none where the parent has none
 */
void account_set_limit(struct account *account, enum account_kind kind, uint64_t limit);

/**
 * Takes one, and the memory that it costs. Nothing is taken on failure.
 * @return 0; -EMFILE at the account's own limit; -ENFILE at a parent's; -ENOBUFS where it is memory that is short
 */
int account_claim(struct account *account, enum account_kind kind);

/** Takes as many as there is room for, up to `most`; of a kind that costs no memory. @return how many */
uint64_t account_take(struct account *account, enum account_kind kind, uint64_t most);

/** @return how many there is room for. */
uint64_t account_room(const struct account *account, enum account_kind kind);

/** Takes one. @return as account_claim() == 0 */
bool account_charge(struct account *account, enum account_kind kind);

/** Takes `n` that there are already, whatever the limits say: a broker before has given them. No more is given while that is too many. */
void account_restore(struct account *account, enum account_kind kind, uint64_t n);

/** Gives `n` back, and their memory. */
void account_release(struct account *account, enum account_kind kind, uint64_t n);

/** Takes bytes of memory. @return 0 or -ENOBUFS */
int account_charge_bytes(struct account *account, uint64_t n);

/** Takes bytes that are used already, as account_restore(). */
void account_restore_bytes(struct account *account, uint64_t n);

void account_release_bytes(struct account *account, uint64_t n);

#endif
