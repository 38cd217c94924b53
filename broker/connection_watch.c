/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection_watch.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "base/sock_diag.h"
#include "broker/broker.h"
#include "broker/connection.h"
#include "broker/connection_events.h"
#include "broker/connection_files.h"
#include "broker/connection_release.h"
#include "broker/seal.h"
#include "broker/session_token.h"
#include "loop/deadline.h"
#include "broker/tenant.h"
#include "broker/calls.h"

/* How many parts of a dump are taken before other descriptors have their turn. */
#define DUMP_ROUNDS 2

/* Between two shelves of one sweep: the loop is others' in between. */
#define SWEEP_STEP_MS 5

/* From one sweep of all to the next: for events that the kernel had no memory for; and where there are no events. */
#define SWEEP_SLOW_MS 60000
#define SWEEP_FAST_MS 2000

/* After a sweep in vain for a tenant at its limit, this many times its own length goes by without another. */
#define SWEEP_REST 64

/* What part of a shelf has to be gone for a sweep not to have been in vain. */
#define SWEEP_WORTH 16

/* On so few files a sweep in vain costs next to nothing. */
#define SWEEP_SMALL 64

/*
 * While events are left, after so many new connections there is a sweep: what is closed would take memory. It looks at all tenants' connections, so it
 * waits for as many as a part of these: who makes and closes connections as fast as he can has others' looked at for 6 us each.
 */
#define SWEEP_ADDED 512
#define SWEEP_ADDED_PART 4

/* How often buffers are measured, and it is looked whether what was revoked stays dead. */
#define MEASURE_MS 1000

/* What a dump asks for, one after the other; TCP first, for of UDP nothing is left when its file is closed. */
static const struct {
        sa_family_t family;
        uint8_t protocol;
} dump_parts[] = {
        { AF_INET, IPPROTO_TCP },
        { AF_INET6, IPPROTO_TCP },
        { AF_INET, IPPROTO_UDP },
        { AF_INET6, IPPROTO_UDP },
};

#define N_DUMP_PARTS (sizeof(dump_parts) / sizeof(dump_parts[0]))
#define N_DUMP_PARTS_TCP 2

struct connection_watch {
        struct broker *broker;
        uint32_t n_unix;    /* connections of which there are no events */
        uint32_t n_revoked; /* connections that are to stay dead */

        struct connection_events events;
        unsigned n_added; /* while events were left, and since the last sweep */
        bool is_told;     /* by the seal */
        struct connection_release release;

        /* A sweep goes through the shelves that do not have its number yet. */
        uint64_t sweep;
        bool sweeping;
        bool sweep_again; /* events were lost while it went on */
        struct deadline *sweep_timer;
        uint64_t sweep_at_ms; /* when the timer comes, by uv_now() */

        int dump_fd; /* -1: there are none */
        struct watch dump_ready;
        uint64_t dump; /* counts them */
        bool dumping;
        bool dumps_all;  /* what goes on is a measurement */
        bool wants_some; /* a dump is wanted for what is in `closing` */
        bool wants_all;  /* or a measurement */
        size_t part;     /* of dump_parts */
        size_t n_parts;  /* of which so many are asked for */
        struct nb_sock_diag_query query;
        struct nb_list closing; /* connections whose files are closed, and their sockets maybe not */
        struct deadline *measure_timer;
};

static void start_dump(struct connection_watch *watch);
static void start_sweep(struct connection_watch *watch);
static void plan_sweep(struct connection_watch *watch);

static struct connection *find(const struct connection_watch *watch, uint64_t cookie) {
        return connection_table_find(&watch->broker->connections, cookie);
}

/* Ends connections that were taken from their shelf; with the last one its shelf may go, and its tenant. */
static void end_all_on_shelf_list(struct nb_list *gone) {
        while (!nb_list_is_empty(gone))
                connection_end(nb_container_of(gone->next, struct connection, on_shelf));
}

/* ---- events ---- */

static bool on_freed(void *data, uint64_t cookie) {
        struct connection *connection = find(data, cookie);

        if (!connection)
                return false;
        if (!connection->ends_by_report)
                connection_end(connection);
        return true;
}

/* What was lost is found by a sweep; one that goes on may have passed it already. */
static void look_for_lost(struct connection_watch *watch) {
        if (watch->sweeping)
                watch->sweep_again = true;
        else
                start_sweep(watch);
}

static void on_lost(void *data) {
        struct connection_watch *watch = data;

        nb_log(&watch->broker->log, NB_LOG_DEBUG, "the kernel's events of sockets overran: looking at all connections");
        look_for_lost(watch);
}

static void on_losing(void *data) {
        plan_sweep(data);
}

static const struct connection_events_ops events_ops = { .freed = on_freed, .losing = on_losing, .look = on_lost };

/* ---- sweeps ---- */

static void on_held(void *data, uint64_t cookie) {
        struct connection *connection = find(data, cookie);

        if (connection)
                connection->held = true;
}

/* Whether nothing can be left of a connection whose file is closed. */
static bool ends_with_file(const struct connection_watch *watch, const struct connection *connection) {
        return connection->peer.family == AF_UNIX || connection->type == POLICY_SOCKET_DGRAM || connection->quic ||
               watch->dump_fd < 0;
}

static void note_closing(struct connection_watch *watch, struct connection *connection) {
        connection->closed_in_dump = watch->dump;
        nb_list_append(&watch->closing, &connection->in_closing);
        watch->wants_some = true;
}

/* Their files are closed, and the kernel is asked for the sockets, one by one. */
static void release_all_on_shelf_list(struct connection_watch *watch, struct nb_list *closed) {
        while (!nb_list_is_empty(closed)) {
                struct connection *connection = nb_container_of(closed->next, struct connection, on_shelf);

                nb_list_remove(&connection->on_shelf);
                nb_list_append(&connection->shelf->connections, &connection->on_shelf);
                connection_release_take(&watch->release, connection);
        }
}

/*
 * Whether its holder may have connected it elsewhere: by the addresses that we know the kernel would not find it, and what it holds there is not acknowledged
 * either. A dump finds it by its cookie.
 */
static bool may_be_elsewhere(const struct connection *connection) {
        return !connection->is_sealed && !connection->was_relayed;
}

/* Whether it is to be asked of the kernel now; what a dump or a later look is to tell of is asked again by who cannot wait. */
static bool is_to_be_asked(struct connection *connection, bool at_once) {
        if (connection->held)
                return false;
        if (at_once)
                nb_list_remove(&connection->in_closing);
        return nb_list_is_empty(&connection->in_closing);
}

/*
 * Ends what is closed. The shelf may go with its last connection.
 * @param at_once  somebody waits for it: the kernel is asked for each socket, and not for all by a dump
 */
static void sweep_shelf(struct connection_watch *watch, struct connection_shelf *shelf, bool at_once) {
        struct nb_list gone, closed;

        nb_list_init(&gone);
        nb_list_init(&closed);
        nb_list_foreach_safe(link, &shelf->connections) nb_container_of(link, struct connection, on_shelf)->held =
                false;
        /* Where the list cannot be read, all is taken for held. */
        if (connection_shelf_list(shelf, on_held, watch) < 0)
                return;
        nb_list_foreach_safe(other, &shelf->connections) {
                struct connection *connection = nb_container_of(other, struct connection, on_shelf);
                bool by_address = at_once && !may_be_elsewhere(connection);

                if (!is_to_be_asked(connection, by_address))
                        continue;
                if (!ends_with_file(watch, connection) && !by_address) {
                        note_closing(watch, connection);
                        continue;
                }
                nb_list_remove(&connection->on_shelf);
                nb_list_append(ends_with_file(watch, connection) ? &gone : &closed, &connection->on_shelf);
        }
        release_all_on_shelf_list(watch, &closed);
        end_all_on_shelf_list(&gone);
}

static struct connection_shelf *next_shelf_of(const struct tenant *tenant, uint64_t sweep) {
        nb_list_foreach_safe(link, &tenant->holding.shelves) {
                struct connection_shelf *shelf = nb_container_of(link, struct connection_shelf, link);

                if (shelf->sweep != sweep && shelf->n > 0)
                        return shelf;
        }
        return NULL;
}

static struct connection_shelf *next_shelf(const struct connection_watch *watch) {
        nb_list_foreach_safe(link, &watch->broker->tenants) {
                struct connection_shelf *shelf =
                        next_shelf_of(nb_container_of(link, struct tenant, link), watch->sweep);

                if (shelf)
                        return shelf;
        }
        return NULL;
}

/* Without memory for a timer there is no sweep before the next event or connection asks for one. */
static void set_sweep_timer(struct connection_watch *watch, uint64_t ms, deadline_function function) {
        watch->sweep_timer = deadline_free(watch->sweep_timer);
        watch->sweep_timer = deadline_new(&watch->broker->loop, ms, function, watch);
        watch->sweep_at_ms = uv_now(&watch->broker->loop) + ms;
}

static void sweep_is_due(void *data) {
        start_sweep(data);
}

static bool has_events(const struct connection_watch *watch) {
        return watch->events.fd >= 0 || watch->is_told;
}

/* Sees to it that a sweep comes, soon where there are no events; none where there is nothing to be swept. */
static void plan_sweep(struct connection_watch *watch) {
        bool fast = watch->n_unix > 0 || !has_events(watch) || watch->events.lost || !nb_list_is_empty(&watch->closing);
        uint64_t ms = fast ? SWEEP_FAST_MS : SWEEP_SLOW_MS;

        if (watch->sweeping || watch->broker->connections.n == 0)
                return;
        if (!watch->sweep_timer || watch->sweep_at_ms > uv_now(&watch->broker->loop) + ms)
                set_sweep_timer(watch, ms, sweep_is_due);
}

static void end_sweep(struct connection_watch *watch) {
        watch->sweeping = false;
        if (!nb_list_is_empty(&watch->closing))
                watch->wants_some = true;
        start_dump(watch);
        if (watch->sweep_again)
                start_sweep(watch);
        else
                plan_sweep(watch);
}

static void sweep_on(void *data) {
        struct connection_watch *watch = data;
        struct connection_shelf *shelf = next_shelf(watch);

        watch->sweep_timer = deadline_free(watch->sweep_timer);
        if (!shelf) {
                end_sweep(watch);
                return;
        }
        shelf->sweep = watch->sweep;
        sweep_shelf(watch, shelf, false);
        set_sweep_timer(watch, SWEEP_STEP_MS, sweep_on);
        /* Without memory for a timer the sweep is broken off. */
        watch->sweeping = watch->sweep_timer;
}

static void start_sweep(struct connection_watch *watch) {
        watch->sweep_again = false;
        watch->n_added = 0;
        watch->sweep++;
        set_sweep_timer(watch, 0, sweep_on);
        watch->sweeping = watch->sweep_timer;
}

/* One shelf is looked at, and comes last then. */
static struct connection_shelf *take_shelf(struct tenant_holding *holding) {
        struct connection_shelf *shelf = nb_container_of(holding->shelves.next, struct connection_shelf, link);

        nb_list_remove(&shelf->link);
        nb_list_append(&holding->shelves, &shelf->link);
        return shelf;
}

static bool has_room(const struct tenant *tenant, const struct session_token *token) {
        if (token)
                return session_token_has_room(token, ACCOUNT_CONNECTIONS);
        return tenant->account.used[ACCOUNT_CONNECTIONS] < tenant->account.limit[ACCOUNT_CONNECTIONS];
}

static void look_at_some(struct connection_watch *watch, struct tenant *tenant) {
        struct tenant_holding *holding = &tenant->holding;
        struct connection_shelf *shelf;
        uint64_t start = uv_hrtime(), end, used, n_gone;
        uint32_t n;

        connection_release_look_again(&watch->release, tenant);
        if (start < holding->no_sweep_before || nb_list_is_empty(&tenant->connections))
                return;
        shelf = take_shelf(holding);
        n = shelf->n;
        used = tenant->account.used[ACCOUNT_CONNECTIONS];
        sweep_shelf(watch, shelf, true);
        start_dump(watch);
        end = uv_hrtime();
        n_gone = used - tenant->account.used[ACCOUNT_CONNECTIONS];
        if (n_gone == 0 || (n > SWEEP_SMALL && n_gone * SWEEP_WORTH < n))
                holding->no_sweep_before = end + SWEEP_REST * (end - start);
}

/* What he closes may be on another shelf, and no look may come for a while. */
static void insist(struct connection_watch *watch, const struct tenant *tenant) {
        if (!nb_list_is_empty(&tenant->connections))
                connection_events_insist(&watch->events);
}

void connection_watch_make_room(struct connection_watch *watch, struct tenant *tenant,
                                const struct session_token *token) {
        seal_hear(watch->broker->seal);
        if (!has_room(tenant, token))
                look_at_some(watch, tenant);
        if (!has_room(tenant, token))
                insist(watch, tenant);
}

/* ---- dumps ---- */

static void on_dumped(void *data, const struct nb_sock_diag_socket *socket) {
        struct connection_watch *watch = data;
        struct connection *connection = find(watch, socket->id.cookie);

        if (!connection || socket->time_wait)
                return;
        connection->seen_in_dump = watch->dump;
        connection->tenant->holding.bytes_so_far += socket->memory;
        if (connection->revoked)
                connection_found_alive(connection, &socket->id);
}

/* Ends those of which nothing was found by a dump that began when their files were closed already. */
static void end_closed(struct connection_watch *watch) {
        struct nb_list gone;

        nb_list_init(&gone);
        nb_list_foreach_safe(link, &watch->closing) {
                struct connection *connection = nb_container_of(link, struct connection, in_closing);

                if (connection->closed_in_dump == watch->dump || connection->seen_in_dump == watch->dump)
                        continue;
                nb_list_remove(&connection->on_shelf);
                nb_list_append(&gone, &connection->on_shelf);
        }
        end_all_on_shelf_list(&gone);
}

static void publish_measured(struct connection_watch *watch) {
        nb_list_foreach_safe(link, &watch->broker->tenants) {
                struct tenant_holding *holding = &nb_container_of(link, struct tenant, link)->holding;

                holding->bytes = holding->bytes_so_far;
        }
}

static void stop_dump(struct connection_watch *watch) {
        watch->dumping = false;
        (void)watch_change(&watch->dump_ready, 0);
}

static void end_dump(struct connection_watch *watch) {
        stop_dump(watch);
        end_closed(watch);
        if (watch->dumps_all)
                publish_measured(watch);
        start_dump(watch);
}

/* What was wanted is tried again by the next sweep or measurement. */
static void dump_failed(struct connection_watch *watch, int r) {
        nb_log(&watch->broker->log, NB_LOG_DEBUG, "cannot list the kernel's sockets: %s", strerror(-r));
        stop_dump(watch);
}

static void ask_part(struct connection_watch *watch) {
        int r;

        watch->query.family = dump_parts[watch->part].family;
        watch->query.protocol = dump_parts[watch->part].protocol;
        r = nb_sock_diag_ask_dump(watch->dump_fd, &watch->query);
        if (r < 0)
                dump_failed(watch, r);
}

static void part_ended(struct connection_watch *watch) {
        watch->part++;
        if (watch->part < watch->n_parts)
                ask_part(watch);
        else
                end_dump(watch);
}

static void dump_is_ready(struct watch *ready, uint32_t what) {
        struct connection_watch *watch = nb_container_of(ready, struct connection_watch, dump_ready);

        (void)what;
        for (int i = 0; i < DUMP_ROUNDS && watch->dumping; ++i) {
                int r = nb_sock_diag_read_dump(watch->dump_fd, &watch->query, on_dumped, watch);

                if (r == -EAGAIN)
                        return;
                if (r < 0)
                        dump_failed(watch, r);
                else if (r > 0)
                        part_ended(watch);
        }
}

static void begin_measuring(struct connection_watch *watch) {
        nb_list_foreach_safe(link, &watch->broker->tenants) nb_container_of(link, struct tenant, link)
                ->holding.bytes_so_far = 0;
}

/*
 * For each the kernel walks its whole table of sockets, and the loop waits. A socket of IPv6 may become one of IPv4 (IPV6_ADDRFORM), but
 * not the other way round.
 */
static size_t n_parts_wanted(const struct connection_watch *watch) {
        if (watch->dumps_all)
                return N_DUMP_PARTS;
        nb_list_foreach_safe(link, &watch->closing) {
                if (!connection_is_ipv4(nb_container_of(link, struct connection, in_closing)))
                        return N_DUMP_PARTS_TCP;
        }
        return 1;
}

/* Begins what is wanted, unless one goes on, behind which it begins. */
static void start_dump(struct connection_watch *watch) {
        if (watch->dumping || watch->dump_fd < 0 || !(watch->wants_some || watch->wants_all))
                return;
        watch->dumps_all = watch->wants_all;
        watch->wants_some = watch->wants_all = false;
        watch->query = (struct nb_sock_diag_query){
                .states = watch->dumps_all ? NB_SOCK_DIAG_ANY_STATE : NB_SOCK_DIAG_CLOSING_STATES,
                .memory = watch->dumps_all,
        };
        watch->dump++;
        watch->part = 0;
        watch->n_parts = n_parts_wanted(watch);
        begin_measuring(watch);
        watch->dumping = watch_change(&watch->dump_ready, EPOLLIN) == 0;
        if (watch->dumping)
                ask_part(watch);
}

/* ---- measurements ---- */

static bool has_limit(const struct tenant *tenant) {
        return tenant->policy && tenant->policy->limits[POLICY_LIMIT_BYTES_IN_FLIGHT] != POLICY_UNLIMITED;
}

static bool is_to_be_measured(const struct connection_watch *watch) {
        if (watch->n_revoked > 0)
                return true;
        nb_list_foreach_safe(link, &watch->broker->tenants) {
                const struct tenant *tenant = nb_container_of(link, struct tenant, link);

                if (has_limit(tenant) && !nb_list_is_empty(&tenant->connections))
                        return true;
        }
        return false;
}

static void measure(void *data);

static void plan_measure(struct connection_watch *watch) {
        if (!watch->measure_timer && watch->dump_fd >= 0)
                watch->measure_timer = deadline_new(&watch->broker->loop, MEASURE_MS, measure, watch);
}

/* Nobody has anything to be measured any more: what was measured last is over, too. */
static void measure(void *data) {
        struct connection_watch *watch = data;

        watch->measure_timer = deadline_free(watch->measure_timer);
        if (!is_to_be_measured(watch)) {
                begin_measuring(watch);
                publish_measured(watch);
                return;
        }
        watch->wants_all = true;
        start_dump(watch);
        plan_measure(watch);
}

/* ---- the seal's releases ---- */

/* Something of it is still in the kernel: a dump says when it is not. */
static void left_behind(void *data, struct connection *connection) {
        struct connection_watch *watch = data;

        note_closing(watch, connection);
        plan_sweep(watch);
}

void connection_watch_be_told(struct connection_watch *watch) {
        watch->is_told = true;
        connection_events_deinit(&watch->events);
}

void connection_watch_released(struct connection_watch *watch, uint64_t cookie) {
        struct connection *connection = find(watch, cookie);

        if (!connection || connection->ends_by_report)
                return;
        if (ends_with_file(watch, connection))
                connection_end(connection);
        else
                connection_release_take(&watch->release, connection);
}

void connection_watch_lost_some(struct connection_watch *watch) {
        on_lost(watch);
}

/* ---- for others ---- */

static void sweep_for_added(struct connection_watch *watch) {
        watch->n_added++;
        if (watch->n_added >= SWEEP_ADDED && watch->n_added >= watch->broker->connections.n / SWEEP_ADDED_PART &&
            !watch->sweeping)
                start_sweep(watch);
}

void connection_watch_add(struct connection_watch *watch, const struct connection *connection) {
        if (connection_is_unix(connection))
                watch->n_unix++;
        else if (!connection->ends_by_report)
                connection_events_want(&watch->events);
        if (connection_events_are_left(&watch->events))
                sweep_for_added(watch);
        plan_sweep(watch);
        if (has_limit(connection->tenant))
                plan_measure(watch);
}

void connection_watch_remove(struct connection_watch *watch, struct connection *connection) {
        nb_list_remove(&connection->in_closing);
        if (connection_is_unix(connection))
                watch->n_unix--;
        if (connection->revoked)
                watch->n_revoked--;
}

void connection_watch_revoked(struct connection_watch *watch, struct connection *connection) {
        if (connection->revoked)
                return;
        connection->revoked = true;
        watch->n_revoked++;
        plan_measure(watch);
}

void connection_watch_restored(struct connection_watch *watch) {
        if (watch->broker->connections.n > 0)
                start_sweep(watch);
}

void connection_watch_policy_changed(struct connection_watch *watch) {
        if (is_to_be_measured(watch))
                plan_measure(watch);
}

/* ---- beginning and end ---- */

static void warn(const struct connection_watch *watch, int r) {
        nb_log(&watch->broker->log, NB_LOG_WARNING,
               "the kernel's list of sockets cannot be had (%s): connections that are closed leave the account late",
               strerror(-r));
}

/* @return a descriptor that is watched, or -1 */
static int start_dumps(struct connection_watch *watch) {
        NB_CLEANUP_FD int fd = nb_sock_diag_open();
        int r = fd < 0 ? fd : watch_start(&watch->dump_ready, &watch->broker->watches, fd, 0, dump_is_ready);

        if (r == 0)
                return nb_steal_fd(&fd);
        warn(watch, r);
        return -1;
}

struct connection_watch *connection_watch_new(struct broker *broker) {
        struct connection_watch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return NULL;
        watch->broker = broker;
        nb_list_init(&watch->closing);
        r = connection_events_init(&watch->events, broker, nb_sock_diag_open_events(), &events_ops, watch);
        if (r < 0)
                warn(watch, r);
        watch->dump_fd = start_dumps(watch);
        connection_release_init(&watch->release, broker, left_behind, watch);
        return watch;
}

struct connection_watch *connection_watch_free(struct connection_watch *watch) {
        if (!watch)
                return NULL;
        assert(nb_list_is_empty(&watch->closing));
        connection_release_deinit(&watch->release);
        connection_events_deinit(&watch->events);
        watch_end_before_close(&watch->dump_ready);
        watch->dump_fd = nb_fd_close(watch->dump_fd);
        watch->sweep_timer = deadline_free(watch->sweep_timer);
        watch->measure_timer = deadline_free(watch->measure_timer);
        free(watch);
        return NULL;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(recvmmsg, "sockets that the kernel has destroyed, many at once"),
        CONFINE_CALL(setsockopt, "whether it tells of them"),
        CONFINE_CALL(recvfrom, "the kernel's list of sockets"),
        CONFINE_CALL(sendto, "asking for it"),
};
const struct confine_list connection_watch_calls = CONFINE_LIST(calls);
