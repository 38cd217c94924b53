/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/metrics_shards.h"

#include <stdio.h>

#include "broker/front_link.h"

static void write_each(const struct broker *broker, struct exposition *exposition,
                       uint64_t (*value)(const struct front_link *link)) {
        for (unsigned i = 0; i < front_n_shards(broker->front); ++i) {
                const struct front_link *link = &broker->front->links[i];
                char number[16];
                const struct exposition_label labels[] = { { "shard", number }, { NULL, NULL } };

                (void)snprintf(number, sizeof(number), "%u", link->number);
                exposition_number(exposition, labels, value(link));
        }
}

static uint64_t is_ready(const struct front_link *link) {
        return link->state == FRONT_LINK_READY;
}

static uint64_t n_starts(const struct front_link *link) {
        return link->n_starts;
}

void metrics_shards_ready(const struct broker *broker, struct exposition *exposition) {
        write_each(broker, exposition, is_ready);
}

void metrics_shards_starts(const struct broker *broker, struct exposition *exposition) {
        write_each(broker, exposition, n_starts);
}
