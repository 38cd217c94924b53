/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/relay_process.h"
#include "broker/tenant.h"
#include "loop/deadline.h"

/* A relay that outlives its broker: left with the keeper, taken over by the next broker, asked for its stock. */

/* And one that was taken over until it has said what it has. */
#define STOCK_MS 5000

static void describe(const struct kept *kept, struct kept_sink *sink) {
        const struct relay *relay = nb_container_of(kept, struct relay, kept);
        Nb__State__Relay message = NB__STATE__RELAY__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        message.tenant = relay->pool->tenant->name;
        message.number = relay->number;
        message.since_ms = relay->since_ms;
        message.locked_memory = relay->locked_memory;
        message.kernel_tls = relay->kernel_tls;
        message.missing_walls = (char *)relay->missing_walls;
        message.streams_in_flight = relay->streams_in_flight;
        item.body_case = NB__STATE__ITEM__BODY_RELAY;
        item.relay = &message;
        kept_sink_give(sink, &item, &relay->fd, 1);
}

static const struct kept_ops kept_ops = { .describe = describe };

void relay_leave_with_keeper(struct relay *relay) {
        if (!relay->process)
                keep_put(relay_broker(relay)->keep, &relay->kept, &kept_ops);
}

bool relay_is_left(const struct relay *relay) {
        return relay->kept.keep && keep_is_detached(relay->kept.keep);
}

static void describe_pool(const struct kept *kept, struct kept_sink *sink) {
        const struct relay_pool *pool = nb_container_of(kept, struct relay_pool, kept);
        Nb__State__Tenant message = NB__STATE__TENANT__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        message.name = pool->tenant->name;
        message.reset_secret.data = (uint8_t *)pool->reset_secret;
        message.reset_secret.len = sizeof(pool->reset_secret);
        item.body_case = NB__STATE__ITEM__BODY_TENANT;
        item.tenant = &message;
        kept_sink_give(sink, &item, NULL, 0);
}

const struct kept_ops relay_kept_pool_ops = { .describe = describe_pool };

/* ---- what it has ---- */

static void take_awaited(struct relay *relay, struct nb_list *ret) {
        nb_list_init(ret);
        nb_list_foreach_safe(link, &relay->objects) {
                if (!nb_container_of(link, struct relay_object, in_relay)->is_awaited)
                        continue;
                nb_list_remove(link);
                nb_list_append(ret, link);
                relay->stock.n_lost++;
        }
}

/* Their owners may have others end, and the tenant with the last, and the relay with that. */
static void lose_awaited(struct nb_list *awaited) {
        while (!nb_list_is_empty(awaited)) {
                struct relay_object *object = nb_container_of(awaited->next, struct relay_object, in_relay);

                relay_take_out(object);
                object->ops->lost(object, "its relay does not have it any more");
        }
}

static void log_stock(const struct relay *relay) {
        nb_log(&relay_broker(relay)->log, NB_LOG_INFO,
               "tenant %s: its relay is taken over with %" PRIu32 " connections and servers; %" PRIu32
               " that were not ready are ended, and %" PRIu32 " have ended meanwhile",
               relay->pool->tenant->name, relay->stock.n_found, relay->stock.n_ended, relay->stock.n_lost);
}

int relay_report_stock(struct relay *relay, const Nb__Relay__Stock *report) {
        struct nb_list awaited;
        int r;

        if (!relay->was_restored)
                return -EPROTO;
        r = relay_stock_take(&relay->stock, &relay->table, report, relay_broker(relay)->last_relay_number,
                             relay_end_by_number, relay);
        if (r < 0 || !relay->stock.is_taken)
                return r;
        relay->deadline = deadline_free(relay->deadline);
        take_awaited(relay, &awaited);
        log_stock(relay);
        lose_awaited(&awaited);
        return 0;
}

int relay_pass_over(const struct relay *relay, const Nb__Relay__Report *report) {
        if (relay->stock.has_begun)
                return -EPROTO;
        if (report->body_case == NB__RELAY__REPORT__BODY_ENDED)
                relayed_metrics_ended(&relay->pool->tenant->metrics.relayed, report->ended);
        return 0;
}

/* ---- objects that came back ---- */

uint64_t relay_kept_number(const struct relay_object *object) {
        return object->relay && !object->relay->process ? object->relay->number : 0;
}

static struct relay *find_relay(const struct relay_pool *pool, uint64_t number) {
        if (!pool)
                return NULL;
        nb_list_foreach_safe(link, &pool->relays) {
                struct relay *relay = nb_container_of(link, struct relay, in_pool);

                if (relay->number == number)
                        return relay;
        }
        return NULL;
}

int relay_reattach(struct relay_object *object, const struct relay_object_ops *ops, const struct tenant *tenant,
                   uint64_t relay_number, uint64_t number) {
        struct relay *relay = find_relay(tenant->relays, relay_number);
        int r;

        if (!relay || !relay->was_restored)
                return -ENOENT;
        if (number == 0 || relay_object_table_find(&relay->table, number))
                return -EEXIST;
        r = relay_enter(object, ops, relay, number);
        object->is_awaited = r == 0;
        return r;
}

/* ---- taken over ---- */

static void did_not_tell(void *data) {
        struct relay *relay = data;

        relay->deadline = deadline_free(relay->deadline);
        relay_lose(relay, "its relay, which was taken over, did not say in 5 s what it has", true);
}

static int order_inventory(struct relay *relay) {
        Nb__Relay__Inventory inventory = NB__RELAY__INVENTORY__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        if (getrandom(&relay->stock.number, sizeof(relay->stock.number), 0) != sizeof(relay->stock.number))
                return -EAGAIN;
        inventory.version = NB_RELAY_VERSION;
        inventory.number = relay->stock.number;
        order.body_case = NB__RELAY__ORDER__BODY_INVENTORY;
        order.inventory = &inventory;
        return relay_send_order(relay, &order, NULL, 0);
}

static void take_facts(struct relay *relay, const Nb__State__Relay *state) {
        relay->number = state->number;
        relay->since_ms = state->since_ms;
        relay->locked_memory = state->locked_memory;
        relay->kernel_tls = state->kernel_tls;
        (void)snprintf(relay->missing_walls, sizeof(relay->missing_walls), "%s", state->missing_walls);
        relay->streams_in_flight = state->streams_in_flight < RELAY_STREAMS_IN_FLIGHT_MOST
                                           ? state->streams_in_flight
                                           : RELAY_STREAMS_IN_FLIGHT_MOST;
        account_restore(relay_account(relay), ACCOUNT_STREAMS, relay->streams_in_flight);
        relay->is_started = true;
        relay->was_restored = true;
}

/* @param fd  consumed @return 0 or -errno */
static int take_over(struct relay *relay, int fd) {
        struct tenant *tenant = relay->pool->tenant;
        int r;

        relay->fd = fd;
        nb_channel_refuse_fds(fd);
        nb_channel_expect_bytes(fd);
        relay->deadline = deadline_new(&tenant->broker->loop, STOCK_MS, did_not_tell, relay);
        if (!relay->deadline)
                return -ENOMEM;
        r = watch_start(&relay->watch, &tenant->throttle.sockets, relay->fd, EPOLLIN, relay_ready);
        return r < 0 ? r : order_inventory(relay);
}

int relay_restore(struct broker *broker, struct kept_item *item) {
        const Nb__State__Relay *state = item->item->relay;
        struct tenant *tenant = tenant_get_named(broker, state->tenant);
        struct relay_pool *pool = tenant ? relay_pool_of(tenant) : NULL;
        struct relay *relay;
        int r;

        if (item->n_fds != 1 || nb_channel_check(item->fds[0]) < 0 || state->number == 0)
                return -EPROTO;
        relay = pool ? relay_allocate(pool) : NULL;
        if (!relay)
                return -ENOMEM;
        take_facts(relay, state);
        r = take_over(relay, nb_steal_fd(&item->fds[0]));
        if (r < 0) {
                (void)relay_free(relay, true);
                return r;
        }
        keep_adopt(broker->keep, &relay->kept, &kept_ops, item->id);
        nb_list_append(&pool->relays, &relay->in_pool);
        pool->n++;
        return 0;
}

int relay_pool_restore(struct broker *broker, struct kept_item *item) {
        const Nb__State__Tenant *state = item->item->tenant;
        struct tenant *tenant = tenant_get_named(broker, state->name);
        struct relay_pool *pool;

        if (state->reset_secret.len != NB_RELAY_RESET_SECRET_SIZE)
                return -EPROTO;
        if (!tenant || tenant->relays)
                return tenant ? -EEXIST : -ENOMEM;
        pool = relay_pool_new(tenant);
        if (!pool)
                return -ENOMEM;
        memcpy(pool->reset_secret, state->reset_secret.data, sizeof(pool->reset_secret));
        keep_adopt(broker->keep, &pool->kept, &relay_kept_pool_ops, item->id);
        return 0;
}
