/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "base/wall_clock.h"
#include "broker/broker.h"
#include "broker/keep.h"
#include "broker/ledger.h"
#include "broker/relay_context.h"
#include "broker/relay_object.h"
#include "broker/relay_outbox.h"
#include "broker/relay_process.h"
#include "broker/seal.h"
#include "broker/relay_stock.h"
#include "broker/tenant.h"
#include "loop/deadline.h"
#include "loop/nudge.h"
#include "policy/value.h"

/* How long a relay may take until it has said what it is. */
#define START_MS 5000

/* And one that was taken over until it has said what it has. */
#define STOCK_MS 5000

/* Relays that end within this time after one another are started with pauses in between. */
#define CALM_MS 60000
#define PAUSE_FIRST_MS 100
#define PAUSE_LAST_MS 10000

/* When descriptors in flight are too many for the user, others end that. */
#define FLUSH_MS 20

/* The most descriptors of streams that one relay may have under way: more than a host leaves unread for a moment. */
#define STREAMS_IN_FLIGHT_MOST 1024

/* Contexts of one relay, which a policy's protocols bound: TLS, and two of each proxy. */
#define CONTEXTS_MAX (POLICY_PROTOCOLS_MAX * 2 * 8)

struct relay {
        struct nb_list in_pool;
        struct relay_pool *pool; /* NULL: it is being ended */
        struct kept kept;
        uint64_t number;               /* for brokers to come */
        struct relay_process *process; /* NULL: systemd's */
        struct watch watch;
        int fd;
        struct deadline *deadline; /* until Started, or until its stock is taken */
        struct deadline *flush;    /* until descriptors in flight may be fewer */
        struct relay_outbox outbox;
        struct relay_object_table table;
        struct nb_list objects;
        uint32_t contexts[CONTEXTS_MAX]; /* that it has, by their ids */
        size_t n_contexts;
        uint32_t streams_in_flight; /* that it may have, of the tenant's account */
        bool is_started;
        bool was_restored; /* so that its stock must be taken */
        struct relay_stock stock;
        bool locked_memory;
        bool kernel_tls;
        uint64_t since_ms;       /* of the wall clock */
        char missing_walls[256]; /* as struct relay_facts */
};

struct relay_pool {
        struct tenant *tenant;
        struct kept kept; /* of what all of them have in common */
        struct nb_list relays;
        unsigned n;
        uint64_t crashes;
        uint64_t last_crash_ms;
        uint64_t pause_ms;                                /* the last one; 0: there was none */
        uint64_t not_before_ms;                           /* no relay is started before */
        uint8_t reset_secret[NB_RELAY_RESET_SECRET_SIZE]; /* so that a relay can reset a connection of one before it */
};

static struct broker *broker_of(const struct relay *relay) {
        return relay->pool->tenant->broker;
}

static struct account *account_of(const struct relay *relay) {
        return &relay->pool->tenant->account;
}

/* Takes an object's number back. */
static void take_out(struct relay_object *object) {
        relay_object_table_remove(&object->relay->table, object);
        nb_list_remove(&object->in_relay);
        object->relay = NULL;
        object->is_awaited = false;
}

/* ---- with the keeper ---- */

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

/* One that we have forked ends with us. */
static void leave_with_keeper(struct relay *relay) {
        if (!relay->process)
                keep_put(broker_of(relay)->keep, &relay->kept, &kept_ops);
}

/* It goes on without us, and with all that it has. */
static bool is_left(const struct relay *relay) {
        return relay->kept.keep && keep_is_detached(relay->kept.keep);
}

/* ---- ending one ---- */

/* The keeper has a duplicate until it has heard, so closing ours ends nothing by itself, and takes nothing out of the set of watches. */
static void close_channel(struct relay *relay) {
        watch_end(&relay->watch);
        if (relay->fd >= 0 && !is_left(relay))
                (void)shutdown(relay->fd, SHUT_RDWR);
        relay->fd = nb_fd_close(relay->fd);
        keep_forget(&relay->kept);
}

static void give_back_streams(struct relay *relay) {
        account_release(account_of(relay), ACCOUNT_STREAMS, relay->streams_in_flight);
        relay->streams_in_flight = 0;
}

static struct relay *relay_free(struct relay *relay, bool kill_now) {
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

/* The first time the next one is started at once; after that, pauses double while relays keep ending. */
static void note_crash(struct relay_pool *pool) {
        uint64_t now = uv_now(&pool->tenant->broker->loop);

        if (pool->crashes == 0 || now - pool->last_crash_ms > CALM_MS)
                pool->pause_ms = 0;
        else if (pool->pause_ms == 0)
                pool->pause_ms = PAUSE_FIRST_MS;
        else
                pool->pause_ms = 2 * pool->pause_ms < PAUSE_LAST_MS ? 2 * pool->pause_ms : PAUSE_LAST_MS;
        pool->crashes++;
        pool->last_crash_ms = now;
        pool->not_before_ms = now + pool->pause_ms;
}

static void audit_crash(const struct relay *relay, const char *why) {
        struct broker *broker = broker_of(relay);
        char reason[256];
        const struct audit_record record = {
                .tenant = relay->pool->tenant->name, .verb = "relay", .verdict = "crashed", .reason = reason
        };

        (void)snprintf(reason, sizeof(reason), "%s; its %zu connections end", why, relay->table.n);
        audit_write(&broker->audit, uv_now(&broker->loop), &record);
}

/* Tells all of its objects. What these end may be the tenant, and the pool with it. */
static void lose(struct relay *relay, const char *why, bool kill_now) {
        struct relay_pool *pool = relay->pool;
        struct broker *broker = broker_of(relay);

        nb_log(&broker->log, NB_LOG_ERROR, "tenant %s: %s; its %zu connections end", pool->tenant->name, why,
               relay->table.n);
        audit_crash(relay, why);
        note_crash(pool);
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

/* ---- reports ---- */

/* For the log, and for who asks later. */
static void note_walls(struct relay *relay, const Nb__Relay__Started *started) {
        char text[sizeof(relay->missing_walls)];
        size_t length = 0;

        for (size_t i = 0; i < started->n_missing_walls && length < sizeof(text); ++i) {
                (void)nb_escape(started->missing_walls[i], strlen(started->missing_walls[i]), text, sizeof(text));
                nb_log(&broker_of(relay)->log, NB_LOG_WARNING, "tenant %s: its relay runs without %s",
                       relay->pool->tenant->name, text);
                length += (size_t)snprintf(relay->missing_walls + length, sizeof(relay->missing_walls) - length, "%s%s",
                                           i > 0 ? ", " : "", text);
        }
}

static int report_started(struct relay *relay, const Nb__Relay__Started *started) {
        if (relay->is_started || started->version != NB_RELAY_VERSION)
                return -EPROTO;
        relay->is_started = true;
        relay->locked_memory = started->locked_memory;
        relay->kernel_tls = started->kernel_tls;
        relay->deadline = deadline_free(relay->deadline);
        note_walls(relay, started);
        /* Before anything is Ready, and so before a guest can know of it. */
        leave_with_keeper(relay);
        return 0;
}

static uint64_t number_of(const Nb__Relay__Report *report) {
        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_ANNOUNCED:
                return report->announced->link;
        case NB__RELAY__REPORT__BODY_READY:
                return report->ready->link;
        case NB__RELAY__REPORT__BODY_ENDED:
                return report->ended->link;
        case NB__RELAY__REPORT__BODY_NEW_PEER:
                return report->new_peer->server;
        case NB__RELAY__REPORT__BODY_PEER_GONE:
                return report->peer_gone->server;
        case NB__RELAY__REPORT__BODY_NEW_PATH:
                return report->new_path->link;
        default:
                return 0;
        }
}

static bool was_given(const struct relay *relay, uint64_t number) {
        return number != 0 && number <= broker_of(relay)->last_relay_number;
}

/* Of an object that was detached, reports may still be on their way; a number that was never given is a lie. */
static int report_of_object(struct relay *relay, const Nb__Relay__Report *report) {
        uint64_t number = number_of(report);
        struct relay_object *object = relay_object_table_find(&relay->table, number);

        if (report->body_case == NB__RELAY__REPORT__BODY_ENDED)
                relayed_metrics_ended(&relay->pool->tenant->metrics.relayed, report->ended);
        if (object)
                return object->ops->report(object, report);
        return was_given(relay, number) ? 0 : -EPROTO;
}

static int tell_facts_of(const struct relay *relay, const Nb__Relay__QuicFacts *facts) {
        struct relay_object *object = relay_object_table_find(&relay->table, facts->link);

        if (!object)
                return was_given(relay, facts->link) ? 0 : -EPROTO;
        return object->ops->facts ? object->ops->facts(object, facts) : -EPROTO;
}

static int tell_facts_of_server(const struct relay *relay, const Nb__Relay__QuicServerFacts *facts) {
        struct relay_object *object = relay_object_table_find(&relay->table, facts->server);

        if (!object)
                return was_given(relay, facts->server) ? 0 : -EPROTO;
        return object->ops->server_facts ? object->ops->server_facts(object, facts) : -EPROTO;
}

/* Nothing that is told here ends an object. */
static int report_quic_state(const struct relay *relay, const Nb__Relay__QuicState *state) {
        int r = 0;

        if (state->n_connections > NB_RELAY_QUIC_FACTS_MAX || state->n_servers > NB_RELAY_QUIC_FACTS_MAX)
                return -EPROTO;
        for (size_t i = 0; r == 0 && i < state->n_connections; ++i)
                r = tell_facts_of(relay, state->connections[i]);
        for (size_t i = 0; r == 0 && i < state->n_servers; ++i)
                r = tell_facts_of_server(relay, state->servers[i]);
        return r;
}

static bool has_context(const struct relay *relay, uint32_t id) {
        for (size_t i = 0; i < relay->n_contexts; ++i) {
                if (relay->contexts[i] == id)
                        return true;
        }
        return false;
}

static int report_of_context(const struct relay *relay, const Nb__Relay__Report *report) {
        bool is_loaded = report->body_case == NB__RELAY__REPORT__BODY_LOADED;
        uint32_t id = is_loaded ? report->loaded->context : report->unusable->context;

        /* One that was dropped meanwhile is of no interest. */
        if (has_context(relay, id) && !is_loaded)
                relay_context_note_unusable(broker_of(relay), report->unusable);
        return 0;
}

static void end_by_number(void *data, uint64_t number);

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

                take_out(object);
                object->ops->lost(object, "its relay does not have it any more");
        }
}

static void log_stock(const struct relay *relay) {
        nb_log(&broker_of(relay)->log, NB_LOG_INFO,
               "tenant %s: its relay is taken over with %" PRIu32 " connections and servers; %" PRIu32
               " that were not ready are ended, and %" PRIu32 " have ended meanwhile",
               relay->pool->tenant->name, relay->stock.n_found, relay->stock.n_ended, relay->stock.n_lost);
}

/* @return 0; -EPROTO. The relay may be gone afterwards, but not after -EPROTO. */
static int report_stock(struct relay *relay, const Nb__Relay__Stock *report) {
        struct nb_list awaited;
        int r;

        if (!relay->was_restored)
                return -EPROTO;
        r = relay_stock_take(&relay->stock, &relay->table, report, broker_of(relay)->last_relay_number, end_by_number,
                             relay);
        if (r < 0 || !relay->stock.is_taken)
                return r;
        relay->deadline = deadline_free(relay->deadline);
        take_awaited(relay, &awaited);
        log_stock(relay);
        lose_awaited(&awaited);
        return 0;
}

/* What was on its way to the broker before says nothing that the stock does not say. */
static int pass_over(const struct relay *relay, const Nb__Relay__Report *report) {
        if (relay->stock.has_begun)
                return -EPROTO;
        if (report->body_case == NB__RELAY__REPORT__BODY_ENDED)
                relayed_metrics_ended(&relay->pool->tenant->metrics.relayed, report->ended);
        return 0;
}

/* @return 0; -EPROTO. The relay may be gone afterwards, but not after -EPROTO. */
static int handle_report(struct relay *relay, const Nb__Relay__Report *report) {
        if (report->body_case == NB__RELAY__REPORT__BODY_STOCK)
                return report_stock(relay, report->stock);
        if (relay->was_restored && !relay->stock.is_taken)
                return pass_over(relay, report);
        if (report->body_case == NB__RELAY__REPORT__BODY_STARTED)
                return report_started(relay, report->started);
        if (!relay->is_started)
                return -EPROTO;
        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_LOADED:
        case NB__RELAY__REPORT__BODY_UNUSABLE:
                return report_of_context(relay, report);
        case NB__RELAY__REPORT__BODY_QUIC_STATE:
                return report_quic_state(relay, report->quic_state);
        default:
                return report_of_object(relay, report);
        }
}

/* One at a time: what it is about may end the tenant, and the relay with it. */
static void receive(struct relay *relay) {
        struct broker *broker = broker_of(relay);
        Nb__Relay__Report *report;
        int n;

        nudge_on(&broker->loop);
        n = nb_channel_receive_bytes(relay->fd, broker->frame);
        if (n == -EAGAIN || n == -EINTR)
                return;
        if (n == -EBADMSG || (n > 0 && nb_relay_report_decode(&broker->arena, broker->frame, (size_t)n, &report) < 0))
                lose(relay, "its relay has sent what is no report", true);
        else if (n <= 0)
                lose(relay, "its relay has ended", false);
        else if (handle_report(relay, report) == -EPROTO)
                lose(relay, "its relay has sent a report that does not fit", true);
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

        if (r == -ETOOMANYREFS)
                relay->flush = deadline_new(&broker_of(relay)->loop, FLUSH_MS, flush_again, relay);
        (void)watch_change(&relay->watch, r == -EAGAIN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* A relay of systemd's is in a control group of its own, and names the peers of datagrams; one that was forked is in the broker's. */
static void lend(const struct relay *relay, int fd) {
        int r = relay->process ? seal_take_back(broker_of(relay), fd) : seal_lend(broker_of(relay), fd);

        if (r < 0)
                nb_log(&broker_of(relay)->log, NB_LOG_WARNING,
                       "tenant %s: its relay cannot have a sealed socket as its own: %s", relay->pool->tenant->name,
                       strerror(-r));
}

static int send_order(struct relay *relay, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        int r;

        /* It is being ended: an object that has heard of it may end others that have not yet. */
        if (!relay->pool || is_left(relay))
                return -ENOTCONN;
        for (size_t i = 0; i < n_fds; ++i)
                lend(relay, fds[i]);
        r = relay_outbox_send(&relay->outbox, relay->fd, order, fds, n_fds);
        if (r == 0 && !relay_outbox_is_empty(&relay->outbox) && !relay->flush)
                (void)watch_change(&relay->watch, EPOLLIN | EPOLLOUT);
        return r;
}

int relay_order(struct relay_object *object, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        return object->relay ? send_order(object->relay, order, fds, n_fds) : -ENOTCONN;
}

static void end_by_number(void *data, uint64_t number) {
        Nb__Relay__End end = NB__RELAY__END__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        end.link = number;
        order.body_case = NB__RELAY__ORDER__BODY_END;
        order.end = &end;
        (void)send_order(data, &order, NULL, 0);
}

void relay_order_end(struct relay_object *object) {
        struct relay *relay = object->relay;

        if (relay && !relay_outbox_withdraw(&relay->outbox, object->number))
                end_by_number(relay, object->number);
}

static void ready(struct watch *watch, uint32_t events) {
        struct relay *relay = nb_container_of(watch, struct relay, watch);

        if (events & EPOLLOUT)
                flush(relay);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(relay);
}

/* ---- contexts ---- */

int relay_order_context(struct relay_object *object, const Nb__Relay__Order *order, const int *fds, size_t n_fds) {
        struct relay *relay = object->relay;
        uint32_t id = order->context->id;
        int r;

        if (!relay)
                return -ENOTCONN;
        if (has_context(relay, id))
                return 0;
        if (relay->n_contexts == CONTEXTS_MAX)
                return -ENOBUFS;
        r = send_order(relay, order, fds, n_fds);
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
        (void)send_order(relay, &order, NULL, 0);
}

static void drop_contexts(struct relay *relay, uint32_t first_id) {
        size_t n = 0;

        for (size_t i = 0; i < relay->n_contexts; ++i) {
                if (relay->contexts[i] < first_id)
                        drop_context(relay, relay->contexts[i]);
                else
                        relay->contexts[n++] = relay->contexts[i];
        }
        relay->n_contexts = n;
}

void relay_pool_drop_contexts(struct relay_pool *pool, uint32_t first_id) {
        if (!pool)
                return;
        nb_list_foreach_safe(link, &pool->relays) drop_contexts(nb_container_of(link, struct relay, in_pool), first_id);
}

/* ---- starting one ---- */

static void did_not_start(void *data) {
        struct relay *relay = data;

        relay->deadline = deadline_free(relay->deadline);
        lose(relay, "its relay did not start in 5 s", true);
}

/* @return what it may have at least: without any there are no streams */
static uint32_t take_streams(struct relay *relay) {
        uint64_t share = account_room(account_of(relay), ACCOUNT_STREAMS) / 4;

        if (share > STREAMS_IN_FLIGHT_MOST)
                share = STREAMS_IN_FLIGHT_MOST;
        relay->streams_in_flight = (uint32_t)account_take(account_of(relay), ACCOUNT_STREAMS, share);
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
        return send_order(relay, &order, &probe_fd, probe_fd >= 0 ? 1 : 0);
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
        r = watch_start(&relay->watch, &tenant->throttle.sockets, relay->fd, EPOLLIN, ready);
        return r < 0 ? r : send_setup(relay);
}

static struct relay *allocate(struct relay_pool *pool) {
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

static int relay_new(struct relay_pool *pool, struct relay **ret) {
        struct relay *relay;
        int r;

        if (uv_now(&pool->tenant->broker->loop) < pool->not_before_ms)
                return -EAGAIN;
        relay = allocate(pool);
        if (!relay)
                return -ENOMEM;
        relay->number =
                ledger_count(pool->tenant->broker->ledger, LEDGER_LAST_RELAY, &pool->tenant->broker->last_relay);
        r = start(relay);
        if (r < 0) {
                (void)relay_free(relay, true);
                /* A program that is missing, or a socket that nobody serves, is not asked for at each connect. */
                note_crash(pool);
                return r;
        }
        nb_list_append(&pool->relays, &relay->in_pool);
        pool->n++;
        *ret = relay;
        return 0;
}

/* ---- pools ---- */

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

static const struct kept_ops kept_pool_ops = { .describe = describe_pool };

/* Without a secret yet. @return NULL without memory */
static struct relay_pool *pool_new(struct tenant *tenant) {
        struct relay_pool *pool = calloc(1, sizeof(*pool));

        if (!pool)
                return NULL;
        pool->tenant = tenant;
        nb_list_init(&pool->relays);
        tenant->relays = pool;
        return pool;
}

static struct relay_pool *pool_of(struct tenant *tenant) {
        uint8_t secret[NB_RELAY_RESET_SECRET_SIZE];
        struct relay_pool *pool;

        if (tenant->relays)
                return tenant->relays;
        if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
                return NULL;
        pool = pool_new(tenant);
        if (!pool)
                return NULL;
        memcpy(pool->reset_secret, secret, sizeof(secret));
        explicit_bzero(secret, sizeof(secret));
        keep_put(tenant->broker->keep, &pool->kept, &kept_pool_ops);
        return pool;
}

static unsigned wanted(const struct tenant *tenant) {
        return tenant->policy && tenant->policy->n_relays > 1 ? tenant->policy->n_relays : 1;
}

static struct relay *with_fewest(const struct relay_pool *pool) {
        struct relay *best = NULL;

        nb_list_foreach_safe(link, &pool->relays) {
                struct relay *relay = nb_container_of(link, struct relay, in_pool);

                if (!best || relay->table.n < best->table.n)
                        best = relay;
        }
        return best;
}

/* Another one is started while there are fewer than the policy wants and none is idle. */
static int choose(struct relay_pool *pool, struct relay **ret) {
        struct relay *best = with_fewest(pool);
        int r = 0;

        if (best && (best->table.n == 0 || pool->n >= wanted(pool->tenant))) {
                *ret = best;
                return 0;
        }
        r = relay_new(pool, ret);
        if (r < 0 && best) {
                *ret = best;
                return 0;
        }
        return r;
}

int relay_check_there(const struct tenant *tenant) {
        const struct relay_pool *pool = tenant->relays;

        return pool && pool->n == 0 && uv_now(&tenant->broker->loop) < pool->not_before_ms ? -EAGAIN : 0;
}

/* Gives an object its number there. */
static int enter(struct relay_object *object, const struct relay_object_ops *ops, struct relay *relay,
                 uint64_t number) {
        int r;

        object->ops = ops;
        object->number = number;
        r = relay_object_table_add(&relay->table, object);
        if (r < 0)
                return r;
        object->relay = relay;
        nb_list_init(&object->in_relay);
        nb_list_append(&relay->objects, &object->in_relay);
        return 0;
}

static int attach(struct relay_object *object, const struct relay_object_ops *ops, struct relay *relay,
                  const struct tenant *tenant) {
        struct broker *broker = tenant->broker;

        return enter(object, ops, relay,
                     ledger_count(broker->ledger, LEDGER_LAST_RELAY_OBJECT, &broker->last_relay_number));
}

int relay_attach(struct relay_object *object, const struct relay_object_ops *ops, struct tenant *tenant) {
        struct relay_pool *pool = pool_of(tenant);
        struct relay *relay;
        int r = pool ? choose(pool, &relay) : -ENOMEM;

        return r < 0 ? r : attach(object, ops, relay, tenant);
}

int relay_attach_beside(struct relay_object *object, const struct relay_object *other) {
        return other->relay ? attach(object, NULL, other->relay, other->relay->pool->tenant) : -ENOTCONN;
}

void relay_detach(struct relay_object *object) {
        const struct relay *relay = object->relay;

        if (!relay)
                return;
        take_out(object);
        /* One that is lost has told of all its objects first (lose()). */
        if (relay->pool)
                broker_stop_if_idle(broker_of(relay));
}

void relay_pass_on(struct relay_object *object, struct relay_object *successor, const struct relay_object_ops *ops) {
        struct relay *relay = object->relay;
        int r;

        take_out(object);
        /* There is room: one was taken out. */
        r = enter(successor, ops, relay, object->number);
        assert(r == 0);
        (void)r;
}

/* ---- one that an earlier broker has left ---- */

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
        r = enter(object, ops, relay, number);
        object->is_awaited = r == 0;
        return r;
}

static void did_not_tell(void *data) {
        struct relay *relay = data;

        relay->deadline = deadline_free(relay->deadline);
        lose(relay, "its relay, which was taken over, did not say in 5 s what it has", true);
}

static int order_inventory(struct relay *relay) {
        Nb__Relay__Inventory inventory = NB__RELAY__INVENTORY__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        inventory.version = NB_RELAY_VERSION;
        order.body_case = NB__RELAY__ORDER__BODY_INVENTORY;
        order.inventory = &inventory;
        return send_order(relay, &order, NULL, 0);
}

static void take_facts(struct relay *relay, const Nb__State__Relay *state) {
        relay->number = state->number;
        relay->since_ms = state->since_ms;
        relay->locked_memory = state->locked_memory;
        relay->kernel_tls = state->kernel_tls;
        (void)snprintf(relay->missing_walls, sizeof(relay->missing_walls), "%s", state->missing_walls);
        relay->streams_in_flight =
                state->streams_in_flight < STREAMS_IN_FLIGHT_MOST ? state->streams_in_flight : STREAMS_IN_FLIGHT_MOST;
        account_restore(account_of(relay), ACCOUNT_STREAMS, relay->streams_in_flight);
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
        r = watch_start(&relay->watch, &tenant->throttle.sockets, relay->fd, EPOLLIN, ready);
        return r < 0 ? r : order_inventory(relay);
}

int relay_restore(struct broker *broker, struct kept_item *item) {
        const Nb__State__Relay *state = item->item->relay;
        struct tenant *tenant = tenant_get_named(broker, state->tenant);
        struct relay_pool *pool = tenant ? pool_of(tenant) : NULL;
        struct relay *relay;
        int r;

        if (item->n_fds != 1 || nb_channel_check(item->fds[0]) < 0 || state->number == 0)
                return -EPROTO;
        relay = pool ? allocate(pool) : NULL;
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
        pool = pool_new(tenant);
        if (!pool)
                return -ENOMEM;
        memcpy(pool->reset_secret, state->reset_secret.data, sizeof(pool->reset_secret));
        keep_adopt(broker->keep, &pool->kept, &kept_pool_ops, item->id);
        return 0;
}

/* ---- for operators ---- */

static void tell_facts(const struct relay *relay, struct relay_facts *ret) {
        *ret = (struct relay_facts){
                .pid = relay_process_pid(relay->process),
                .since_ms = relay->since_ms,
                .is_started = relay->is_started,
                .is_kept = relay->kept.keep != NULL,
                .locked_memory = relay->locked_memory,
                .kernel_tls = relay->kernel_tls,
                .n_objects = relay->table.n,
                .missing_walls = relay->missing_walls,
        };
}

void relay_facts_of(const struct relay_object *object, struct relay_facts *ret) {
        tell_facts(object->relay, ret);
}

void relay_pool_each(const struct relay_pool *pool, void (*function)(void *data, const struct relay_facts *facts),
                     void *data) {
        if (!pool)
                return;
        nb_list_foreach_safe(link, &pool->relays) {
                struct relay_facts facts;

                tell_facts(nb_container_of(link, struct relay, in_pool), &facts);
                function(data, &facts);
        }
}

size_t relay_pool_objects(const struct relay_pool *pool) {
        size_t n = 0;

        if (!pool)
                return 0;
        nb_list_foreach_safe(link, &pool->relays) n += nb_container_of(link, struct relay, in_pool)->table.n;
        return n;
}

bool relay_pool_waits_to_send(const struct relay_pool *pool) {
        if (!pool)
                return false;
        nb_list_foreach_safe(link, &pool->relays) {
                if (!relay_outbox_is_empty(&nb_container_of(link, struct relay, in_pool)->outbox))
                        return true;
        }
        return false;
}

uint64_t relay_pool_crashes(const struct relay_pool *pool) {
        return pool ? pool->crashes : 0;
}

bool relay_pool_is_crashing(const struct relay_pool *pool) {
        return pool && pool->pause_ms > 0 && uv_now(&pool->tenant->broker->loop) - pool->last_crash_ms <= CALM_MS;
}

struct relay_pool *relay_pool_free(struct relay_pool *pool) {
        if (!pool)
                return NULL;
        nb_list_foreach_safe(link, &pool->relays)(void) relay_free(nb_container_of(link, struct relay, in_pool), false);
        keep_forget(&pool->kept);
        free(pool);
        return NULL;
}
