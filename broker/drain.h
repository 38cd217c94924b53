/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draining: no session begins, so that hosts go to other brokers, and those that there are go on until they end by themselves.
 *
 *      netbrokerctl drain                    nobody's
 *      netbrokerctl drain --tenant acme      acme's
 *
 * A host that comes is refused with ECONNREFUSED, as if no broker were there; connections of open sessions are untouched. It is an operator's word
 * about this machine and not part of the policy, so a reload does not end it, and a restart does not with a keeper.
 */
#ifndef NB_BROKER_DRAIN_H
#define NB_BROKER_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/state.pb-c.h"

/** The most tenants that can be drained by name; who wants more drains all. */
#define DRAIN_TENANTS_MAX 256

struct broker;

/** What is drained. All zero is: nothing. */
struct drain {
        bool all;
        char **tenants; /* owned, and so are the names */
        size_t n_tenants;
};

void drain_deinit(struct drain *drain);

/**
 * Begins or ends draining, and leaves that with the keeper. Harmless where it is so already.
 * @param tenant  NULL: all; to end that ends what was said of tenants, too
 * @return 0; -ENOSPC for more than DRAIN_TENANTS_MAX; -ENOMEM
 */
int drain_set(struct broker *broker, const char *tenant, bool on);

/** Whether sessions of a tenant are refused. */
bool drain_refuses(const struct drain *drain, const char *tenant);

/** What is still there of a tenant, or of all. */
struct drain_left {
        uint64_t sessions;
        uint64_t listeners;
        uint64_t connections;
};

/** @param name  of a tenant; NULL: all */
void drain_count(const struct broker *broker, const char *name, struct drain_left *ret);

/** Whether nothing is left. */
bool drain_is_over(const struct drain_left *left);

/** What is to be kept of it. @param ret  borrows the names */
void drain_describe(const struct drain *drain, Nb__State__Broker *ret);

/** Goes on with what a broker before was told. What there is no memory for is not drained. */
void drain_restore(struct drain *drain, const Nb__State__Broker *state);

#endif
