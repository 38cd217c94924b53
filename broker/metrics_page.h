/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the broker exports: netbrokerd(8) lists it.
 *
 * A table of families for the broker, and one for tenants, of which each family has a fixed number of samples for each tenant that has been
 * here and is still of the policy or has something open. So the number of time series is bounded by that of tenants, and nothing that a
 * stranger writes becomes a label.
 */
#ifndef NB_BROKER_METRICS_PAGE_H
#define NB_BROKER_METRICS_PAGE_H

#include <stdbool.h>

#include "broker/exposition.h"

struct broker;

/**
 * How far a page is written. With very many tenants it is megabytes, so it is written in pieces, between which the broker serves: a tenant
 * that comes or goes meanwhile may be missing in some families. To begin with, all but `broker` is zero.
 */
struct metrics_page {
        const struct broker *broker; /* borrowed */
        size_t n_broker_families;    /* that are written */
        size_t n_policy_tenants;     /* whose certificates are */
        bool certificates_are_written;
        size_t n_tenant_families;
        size_t n_tenants; /* of the next family; 0: not even its head */
};

/** Writes on, until there are `enough` bytes more or nothing is left. @return whether there was something left */
bool metrics_page_write(struct metrics_page *page, struct exposition *exposition, size_t enough);

#endif
