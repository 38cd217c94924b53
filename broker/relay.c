/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/wall_clock.h"
#include "broker/broker.h"
#include "broker/ledger.h"
#include "broker/relay_parts.h"
#include "broker/relay_process.h"
#include "broker/seal.h"
#include "broker/tenant.h"
#include "loop/deadline.h"

/* How long a relay may take until it has said what it is. */
#define START_MS 5000

/* When descriptors in flight are too many for the user, others end that. */
#define FLUSH_MS 20

/* ---- ending one ---- */

/* The keeper has a duplicate until it has heard, so closing ours ends nothing by itself, and takes nothing out of the set of watches. */
static void close_channel(struct relay *relay) {
        watch_end(&relay->watch);
        if (relay->fd >= 0 && !relay_is_left(relay))
                (void)shutdown(relay->fd, SHUT_RDWR);
        relay->fd = nb_fd_close(relay->fd);
        keep_forget(&relay->kept);
}

static void give_back_streams(struct relay *relay) {
        account_release(relay_account(relay), ACCOUNT_STREAMS, relay->streams_in_flight);
        relay->streams_in_flight = 0;
}

struct relay *relay_free(struct relay *relay, bool kill_now) {
        assert(nb_list_is_empty(&relay->objects));
        if (relay->pool)
                give_back_streams(relay);
        close_channel(relay);
        relay->process = relay_process_release(relay->process, kill_now);
        relay->deadline = deadline_free(relay->deadline);
        relay->flush = deadline_free(relay->flush);
        relay_outbox_deinit(&relay->outbox);
        relay_object_table_deinit(&relay->table);
        free(relay);
        return NULL;
}

static void audit_crash(const struct relay *relay, const char *why) {
        struct broker *broker = relay_broker(relay);
        char reason[256];
        const struct audit_record record = {
                .tenant = relay->pool->tenant->name, .verb = "relay", .verdict = "crashed", .reason = reason
        };

        (void)snprintf(reason, sizeof(reason), "%s; its %zu connections end", why, relay->table.n);
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

void relay_lose(struct relay *relay, const char *why, bool kill_now) {
        struct relay_pool *pool = relay->pool;
        struct broker *broker = relay_broker(relay);

        nb_log(&broker->log, NB_LOG_ERROR, "tenant %s: %s; its %zu connections end", pool->tenant->name, why,
               relay->table.n);
        audit_crash(relay, why);
        relay_note_crash(pool);
        close_channel(relay);
        give_back_streams(relay);
        nb_list_remove(&relay->in_pool);
        pool->n--;
        relay->pool = NULL;
        relay->deadline = deadline_free(relay->deadline);
        relay->flush = deadline_free(relay->flush);
        while (!nb_list_is_empty(&relay->objects)) {
                struct relay_object *object = nb_container_of(relay->objects.next, struct relay_object, in_relay);

                relay_detach(object);
                object->ops->lost(object, why);
        }
        (void)relay_free(relay, kill_now);
        broker_stop_if_idle(broker);
}

/* ---- orders ---- */

static void flush(struct relay *relay);

static void flush_again(void *data) {
        struct relay *relay = data;

        relay->flush = deadline_free(relay->flush);
        flush(relay);
}

/* A relay that is gone is noticed by its channel's end. */
static void flush(struct relay *relay) {
        int r = relay->flush ? 0 : relay_outbox_flush(&relay->outbox, relay->fd);

        if (nb_channel_is_short(r))
                relay->flush = deadline_new(&relay_broker(relay)->loop, FLUSH_MS, flush_again, relay);
        /* Without memory for a deadline it is tried at once. */
        (void)watch_change(&relay->watch,
                           r == -EAGAIN || (nb_channel_is_short(r) && !relay->flush) ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* A relay of systemd's is in a control group of its own, and names the peers of datagrams; one that was forked is in the broker's. */
static void lend(const struct relay *relay, int fd) {
        int r = relay->process ? seal_take_back(relay_broker(relay), fd) : seal_lend(relay_broker(relay), fd);

        if (r < 0)
                nb_log(&relay_broker(relay)->log, NB_LOG_WARNING,
                       "tenant %s: its relay cannot have a sealed socket as its own: %s", relay->pool->tenant->name,
                       strerror(-r));
}

int relay_send_order(struct relay *relay, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        int r;

        /* It is being ended: an object that has heard of it may end others that have not yet. */
        if (!relay->pool || relay_is_left(relay))
                return -ENOTCONN;
        for (size_t i = 0; i < n_fds; ++i)
                lend(relay, fds[i]);
        r = relay_outbox_send(&relay->outbox, relay->fd, order, fds, n_fds);
        if (r == 0 && !relay_outbox_is_empty(&relay->outbox) && !relay->flush)
                (void)watch_change(&relay->watch, EPOLLIN | EPOLLOUT);
        return r;
}

bool relay_takes_orders(const struct relay_object *object) {
        const struct relay *relay = object->relay;

        return relay && relay->is_started && (!relay->was_restored || relay->stock.is_taken) &&
               relay_outbox_is_empty(&relay->outbox);
}

int relay_order(struct relay_object *object, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        return object->relay ? relay_send_order(object->relay, order, fds, n_fds) : -ENOTCONN;
}

static int send_end(struct relay *relay, uint64_t number) {
        Nb__Relay__End end = NB__RELAY__END__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        end.link = number;
        order.body_case = NB__RELAY__ORDER__BODY_END;
        order.end = &end;
        return relay_send_order(relay, &order, NULL, 0);
}

void relay_end_by_number(void *data, uint64_t number) {
        (void)send_end(data, number);
}

int relay_order_end(struct relay_object *object) {
        struct relay *relay = object->relay;

        if (!relay)
                return -ENOTCONN;
        return relay_outbox_withdraw(&relay->outbox, object->number) ? 0 : send_end(relay, object->number);
}

void relay_ready(struct watch *watch, uint32_t events) {
        struct relay *relay = nb_container_of(watch, struct relay, watch);

        if (events & EPOLLOUT)
                flush(relay);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                relay_receive(relay);
}

/* ---- contexts ---- */

bool relay_has_context(const struct relay *relay, uint32_t id) {
        for (size_t i = 0; i < relay->n_contexts; ++i) {
                if (relay->contexts[i] == id)
                        return true;
        }
        return false;
}

int relay_order_context(struct relay_object *object, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        struct relay *relay = object->relay;
        uint32_t id = order->context->id;
        int r;

        if (!relay)
                return -ENOTCONN;
        if (relay_has_context(relay, id))
                return 0;
        if (relay->n_contexts == RELAY_CONTEXTS_MAX)
                return -ENOBUFS;
        r = relay_send_order(relay, order, fds, n_fds);
        if (r == 0)
                relay->contexts[relay->n_contexts++] = id;
        return r;
}

static void drop_context(struct relay *relay, uint32_t id) {
        Nb__Relay__Drop drop = NB__RELAY__DROP__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        drop.context = id;
        order.body_case = NB__RELAY__ORDER__BODY_DROP;
        order.drop = &drop;
        /* What cannot be said costs the relay memory, and ends with it. */
        (void)relay_send_order(relay, &order, NULL, 0);
}

void relay_drop_contexts(struct relay *relay, uint32_t first_id) {
        size_t n = 0;

        for (size_t i = 0; i < relay->n_contexts; ++i) {
                if (relay->contexts[i] < first_id)
                        drop_context(relay, relay->contexts[i]);
                else
                        relay->contexts[n++] = relay->contexts[i];
        }
        relay->n_contexts = n;
}

/* ---- starting one ---- */

static void did_not_start(void *data) {
        struct relay *relay = data;

        relay->deadline = deadline_free(relay->deadline);
        relay_lose(relay, "its relay did not start in 5 s", true);
}

/* @return what it may have at least: without any there are no streams */
static uint32_t take_streams(struct relay *relay) {
        uint64_t share = account_room(relay_account(relay), ACCOUNT_STREAMS) / 4;

        if (share > RELAY_STREAMS_IN_FLIGHT_MOST)
                share = RELAY_STREAMS_IN_FLIGHT_MOST;
        relay->streams_in_flight = (uint32_t)account_take(relay_account(relay), ACCOUNT_STREAMS, share);
        return relay->streams_in_flight > 0 ? relay->streams_in_flight : 1;
}

static int send_setup(struct relay *relay) {
        const struct tenant *tenant = relay->pool->tenant;
        uint64_t memory_max = tenant->policy ? tenant->policy->limits[POLICY_LIMIT_RELAY_MEMORY] : POLICY_UNLIMITED;
        Nb__Relay__Setup setup = NB__RELAY__SETUP__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        NB_CLEANUP_FD int probe_fd = -1;

        setup.version = NB_RELAY_VERSION;
        setup.tenant = tenant->name;
        setup.memory_max = memory_max == POLICY_UNLIMITED ? 0 : memory_max;
        /* What the tenant may have is counted here, and a reload may raise it; the relay's own bounds are descriptors and memory. */
        setup.links_max = UINT32_MAX;
        setup.log_level = tenant->broker->log.level;
        setup.in_flight_max = take_streams(relay);
        setup.reset_secret.data = relay->pool->reset_secret;
        setup.reset_secret.len = sizeof(relay->pool->reset_secret);
        order.body_case = NB__RELAY__ORDER__BODY_SETUP;
        order.setup = &setup;
        /* With it the relay asks the kernel whether it has TLS; it is never connected. */
        probe_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return relay_send_order(relay, &order, &probe_fd, probe_fd >= 0 ? 1 : 0);
}

static int start(struct relay *relay) {
        struct tenant *tenant = relay->pool->tenant;
        char owner[sizeof("tenant ") + POLICY_NAME_MAX];
        int r;

        (void)snprintf(owner, sizeof(owner), "tenant %s", tenant->name);
        r = relay_launcher_start(tenant->broker, owner, &relay->process, &relay->fd);
        if (r < 0)
                return r;
        relay->since_ms = nb_wall_clock_ms();
        relay->deadline = deadline_new(&tenant->broker->loop, START_MS, did_not_start, relay);
        if (!relay->deadline)
                return -ENOMEM;
        r = watch_start(&relay->watch, &tenant->throttle.sockets, relay->fd, EPOLLIN, relay_ready);
        return r < 0 ? r : send_setup(relay);
}

struct relay *relay_allocate(struct relay_pool *pool) {
        struct relay *relay = calloc(1, sizeof(*relay));

        if (!relay)
                return NULL;
        relay->pool = pool;
        relay->fd = -1;
        nb_list_init(&relay->in_pool);
        nb_list_init(&relay->objects);
        relay_outbox_init(&relay->outbox);
        return relay;
}

int relay_start_new(struct relay_pool *pool, struct relay **ret) {
        struct relay *relay;
        int r;

        if (uv_now(&pool->tenant->broker->loop) < pool->not_before_ms)
                return -EAGAIN;
        relay = relay_allocate(pool);
        if (!relay)
                return -ENOMEM;
        relay->number =
                ledger_count(pool->tenant->broker->ledger, LEDGER_LAST_RELAY, &pool->tenant->broker->last_relay);
        r = start(relay);
        if (r < 0) {
                (void)relay_free(relay, true);
                /* A program that is missing, or a socket that nobody serves, is not asked for at each connect. */
                relay_note_crash(pool);
                return r;
        }
        nb_list_append(&pool->relays, &relay->in_pool);
        pool->n++;
        *ret = relay;
        return 0;
}
