/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admin_batch.h"

void admin_batch_init(struct admin_batch *batch, uint64_t above) {
        batch->above = above;
        batch->n = 0;
}

/* Lists are mostly in the order of ids, so most offers are compared once: with the last. */
void admin_batch_offer(struct admin_batch *batch, uint64_t id, const void *object) {
        size_t place;

        if (id <= batch->above || (batch->n == ADMIN_SLICE && id >= batch->members[batch->n - 1].id))
                return;
        if (batch->n < ADMIN_SLICE)
                batch->n++;
        for (place = batch->n - 1; place > 0 && batch->members[place - 1].id > id; --place)
                batch->members[place] = batch->members[place - 1];
        batch->members[place].id = id;
        batch->members[place].object = object;
}
