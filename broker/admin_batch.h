/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The next few of many objects in the order of their ids.
 *
 * A long answer is made in slices, and between two of them anything may come and go. So no pointer and no place in a list is kept, but the last
 * id that was told: each slice walks over all that there is and takes those with the smallest ids above it.
 */
#ifndef NB_BROKER_ADMIN_BATCH_H
#define NB_BROKER_ADMIN_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "broker/admin_call.h"

struct admin_batch {
        uint64_t above; /* ids up to this one have been told; ids count from 1 */
        struct {
                uint64_t id;
                const void *object; /* borrowed, until the loop turns */
        } members[ADMIN_SLICE];
        size_t n;
};

/** An empty batch of objects with ids above `above`. */
void admin_batch_init(struct admin_batch *batch, uint64_t above);

/** Offers an object, which is taken if its id is among the smallest. */
void admin_batch_offer(struct admin_batch *batch, uint64_t id, const void *object);

#endif
