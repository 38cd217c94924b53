/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front tells Prometheus of its shards (broker/front.h), one sample a shard. Other processes have no samples of it.
 */
#ifndef NB_BROKER_METRICS_SHARDS_H
#define NB_BROKER_METRICS_SHARDS_H

#include "broker/broker.h"
#include "broker/exposition.h"

/** Writes whether each serves. @param exposition  whose family has begun */
void metrics_shards_ready(const struct broker *broker, struct exposition *exposition);

/** Writes how often each was started. @param exposition  whose family has begun */
void metrics_shards_starts(const struct broker *broker, struct exposition *exposition);

#endif
