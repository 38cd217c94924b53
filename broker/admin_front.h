/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front of several processes (broker/front.h) answers an operator. It has the admin socket whose path was given, and each shard one with its number
 * behind that path.
 *
 *      reload                                        the front's alone: all shards do it together
 *      drain, log-level, metrics, status, watch      the front's own part; the rest is with the shards
 *      all others, and drain of an unknown tenant    with the shards
 *
 * The front forwards nothing: it would wait for one shard while all tenants wait for it. An answer of which it has a part, or none, ends with
 * EREMOTE and says how many shards there are, and which of them has the rest where that is one: by the number in an id, or by the tenant's name, as
 * the front deals sessions. Whoever asks, which is netbrokerctl, goes on there.
 */
#ifndef NB_BROKER_ADMIN_FRONT_H
#define NB_BROKER_ADMIN_FRONT_H

#include <jansson.h>

#include "broker/admin_call.h"

struct front;

/**
 * Says to whom a request belongs, before its verb begins. In other processes than the front it is always theirs.
 * @return 0: the verb is to begin here; -EREMOTE, put into words: shards have all of the answer
 */
int admin_front_begin(struct admin_call *call, const json_t *request);

/** What ends an answer that is complete as far as this process can. @return ADMIN_END; -EREMOTE, put into words: shards have the rest */
int admin_front_finish(struct admin_call *call);

/**
 * Adds to a line where the rest of its answer is, if there is one. A line that lacks it would be taken for the whole.
 * @param line  consumed; may be NULL
 * @return the same, or NULL without memory
 */
json_t *admin_front_tell(const struct admin_call *call, json_t *line);

/** How its shards are, one object each; null for NULL. */
json_t *admin_front_shards(const struct front *front);

#endif
