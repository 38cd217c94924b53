/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/inventory.h"

#include <errno.h>
#include <stddef.h>

#include "relay/context.h"
#include "relay/datagram/server.h"
#include "relay/link.h"
#include "relay/quic/quic.h"
#include "relay/relay.h"

/* One Stock, as it fills. */
struct inventory {
        struct relay *relay;
        uint64_t number; /* of the order */
        size_t n;
        Nb__Relay__Held held[NB_RELAY_STOCK_MAX];
        Nb__Relay__Held *pointers[NB_RELAY_STOCK_MAX];
};

static void send_stock(struct inventory *inventory, bool is_last) {
        Nb__Relay__Stock stock = NB__RELAY__STOCK__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        stock.number = inventory->number;
        stock.n_held = inventory->n;
        stock.held = inventory->pointers;
        stock.is_last = is_last;
        report.body_case = NB__RELAY__REPORT__BODY_STOCK;
        report.stock = &stock;
        relay_report(inventory->relay, &report);
        inventory->n = 0;
}

void inventory_add(struct inventory *inventory, uint64_t number, bool is_server, bool is_ready) {
        Nb__Relay__Held *held;

        if (inventory->n == NB_RELAY_STOCK_MAX)
                send_stock(inventory, false);
        held = &inventory->held[inventory->n];
        nb__relay__held__init(held);
        held->number = number;
        held->is_server = is_server;
        held->is_ready = is_ready;
        inventory->pointers[inventory->n++] = held;
}

static void add_links(struct inventory *inventory) {
        nb_list_foreach_safe(element, &inventory->relay->links) {
                const struct link *link = nb_container_of(element, struct link, in_relay);

                inventory_add(inventory, link->id, false, link->state == LINK_PUMPING);
        }
}

/* The broker's numbers for them are others now. What uses one keeps it. */
static void drop_contexts(struct relay *relay) {
        while (!nb_list_is_empty(&relay->contexts))
                context_drop(relay, nb_container_of(relay->contexts.next, struct context, in_relay)->id);
}

int inventory_carry_out(struct relay *relay, const Nb__Relay__Inventory *order) {
        struct inventory inventory = { .relay = relay, .number = order->number };

        if (order->version != NB_RELAY_VERSION)
                return -EPROTONOSUPPORT;
        drop_contexts(relay);
        add_links(&inventory);
        datagram_server_take_stock(relay, &inventory);
        quic_take_stock(relay, &inventory);
        send_stock(&inventory, true);
        quic_ask_again(relay);
        return 0;
}
