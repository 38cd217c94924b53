/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of relays (broker/relay.h) share; nobody else includes this.
 *
 *      relay.c          one relay: started, ordered, ended
 *      relay_report.c   what it reports
 *      relay_pool.c     a tenant's relays together, the objects that are given to them, what operators are told
 *      relay_restore.c  one that outlives its broker
 *
 * A report may end a tenant, and its pool and relays with that: after an object was told, the relay may be gone. Functions that can do that say so.
 */
#ifndef NB_BROKER_RELAY_PARTS_H
#define NB_BROKER_RELAY_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/broker.h"
#include "broker/keep.h"
#include "broker/relay.h"
#include "broker/relay_object.h"
#include "broker/relay_outbox.h"
#include "broker/relay_stock.h"
#include "broker/tenant.h"
#include "loop/watch.h"
#include "policy/value.h"
#include "proto/relay_frame.h"

struct deadline;
struct relay_process;

/** The most descriptors of streams that one relay may have under way: more than a host leaves unread for a moment. */
#define RELAY_STREAMS_IN_FLIGHT_MOST 1024

/** Contexts of one relay, which a policy's protocols bound: TLS, and two of each proxy. */
#define RELAY_CONTEXTS_MAX (POLICY_PROTOCOLS_MAX * 2 * 8)

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
        uint32_t contexts[RELAY_CONTEXTS_MAX]; /* that it has, by their ids */
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

/** @return the broker of a relay that is in a pool, borrowed */
static inline struct broker *relay_broker(const struct relay *relay) {
        return relay->pool->tenant->broker;
}

/** @return the account of a relay that is in a pool, borrowed */
static inline struct account *relay_account(const struct relay *relay) {
        return &relay->pool->tenant->account;
}

/* ---- one relay ---- */

/** Allocates one for a pool, in which it is not yet. @return NULL without memory */
struct relay *relay_allocate(struct relay_pool *pool);

/** Starts one and puts it into the pool. @return 0; -EAGAIN in a pause after a crash; another -errno */
int relay_start_new(struct relay_pool *pool, struct relay **ret);

/** Ends one without telling anybody; its objects must be detached. @param kill_now  rather than ask @return NULL */
struct relay *relay_free(struct relay *relay, bool kill_now);

/**
 * Ends one that fails: it is logged, audited, counted, and its objects are told. What these end may be the tenant, and the pool with it.
 * @param why  a sentence's part
 */
void relay_lose(struct relay *relay, const char *why, bool kill_now);

/** Handles what is ready at its channel, as a watch's function. The relay may be gone afterwards. */
void relay_ready(struct watch *watch, uint32_t events);

/** As relay_order(), of a relay. */
int relay_send_order(struct relay *relay, const Nb__Relay__Order *order, const int *fds, size_t n_fds);

/** Sends End of a number; as relay_stock_end_function. @param data  the relay */
void relay_end_by_number(void *data, uint64_t number);

/** Whether it was sent that context, and was not told to drop it. */
bool relay_has_context(const struct relay *relay, uint32_t id);

/** Has it forget all contexts with lower ids. */
void relay_drop_contexts(struct relay *relay, uint32_t first_id);

/* ---- reports ---- */

/** Receives one report: what it is about may end the tenant, and the relay with it. */
void relay_receive(struct relay *relay);

/* ---- the pool ---- */

/** Makes a tenant's pool, without a secret yet. @return NULL without memory */
struct relay_pool *relay_pool_new(struct tenant *tenant);

/** @return the tenant's pool, made if it is not there; NULL without memory or randomness */
struct relay_pool *relay_pool_of(struct tenant *tenant);

/** Notes that a relay has failed: the next one is started at once, or after a pause that doubles while they keep failing. */
void relay_note_crash(struct relay_pool *pool);

/** Gives an object its number at a relay. @return 0 or -ENOMEM */
int relay_enter(struct relay_object *object, const struct relay_object_ops *ops, struct relay *relay, uint64_t number);

/** Takes an object's number back, and tells nobody. */
void relay_take_out(struct relay_object *object);

/* ---- one that outlives its broker ---- */

/** How a pool is left with the keeper. */
extern const struct kept_ops relay_kept_pool_ops;

/** Leaves a relay with the keeper, unless it is one that we have forked: that ends with us. */
void relay_leave_with_keeper(struct relay *relay);

/** Whether it goes on without us, with all that it has. */
bool relay_is_left(const struct relay *relay);

/** Takes a Stock. @return 0; -EPROTO. The relay may be gone afterwards, but not after -EPROTO. */
int relay_report_stock(struct relay *relay, const Nb__Relay__Stock *report);

/** Takes what was on its way to the broker before: it says nothing that the stock does not say. @return 0; -EPROTO */
int relay_pass_over(const struct relay *relay, const Nb__Relay__Report *report);

#endif
