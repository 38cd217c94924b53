/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_stock.h"

#include <errno.h>

#include "broker/relay.h"

/* What came after the restart the relay cannot have had before it, and nothing is told twice. */
static bool fits(const struct relay_object *object, const Nb__Relay__Held *held) {
        return object->is_awaited && (object->ops->server_facts != NULL) == held->is_server;
}

int relay_stock_take(struct relay_stock *stock, const struct relay_object_table *table, const Nb__Relay__Stock *report,
                     uint64_t last, relay_stock_end_function function, void *data) {
        if (stock->is_taken || report->n_held > NB_RELAY_STOCK_MAX)
                return -EPROTO;
        if (report->number != stock->number)
                return stock->has_begun ? -EPROTO : 0;
        stock->has_begun = true;
        stock->is_taken = report->is_last;
        for (size_t i = 0; i < report->n_held; ++i) {
                const Nb__Relay__Held *held = report->held[i];
                struct relay_object *object = relay_object_table_find(table, held->number);

                if (held->number == 0 || held->number > last || (object && !fits(object, held)))
                        return -EPROTO;
                if (object && (held->is_server || held->is_ready)) {
                        object->is_awaited = false;
                        stock->n_found++;
                } else {
                        if (++stock->n_ended > NB_RELAY_STOCK_ENDS_MAX)
                                return -EPROTO;
                        function(data, held->number);
                }
        }
        return 0;
}
