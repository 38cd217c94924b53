/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that are lists: where one stands, and what it is about.
 */
#ifndef NB_BROKER_ADMIN_LIST_H
#define NB_BROKER_ADMIN_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/admin_call.h"

struct tenant;

/** `call->state` of a list. */
struct admin_cursor {
        uint64_t above;   /* ids up to this one have been told */
        size_t index;     /* tenants of the policy before this one have been told */
        char *tenant;     /* only its; NULL: all tenants' */
        uint64_t session; /* only of it; 0: of all */
};

/**
 * Begins a list.
 * @param tenant  borrowed; may be NULL: all. Otherwise there must be such a tenant
 * @param next    goes on with it
 * @return ADMIN_MORE; -ENOENT, put into words; -ENOMEM
 */
int admin_list_begin(struct admin_call *call, const char *tenant, uint64_t session, admin_step next);

/** Whether a tenant is asked for. */
bool admin_list_is_about(const struct admin_cursor *cursor, const struct tenant *tenant);

#endif
