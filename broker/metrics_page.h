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

#include "broker/exposition.h"

struct broker;

/** Writes the whole page. */
void metrics_page_write(const struct broker *broker, struct exposition *exposition);

#endif
