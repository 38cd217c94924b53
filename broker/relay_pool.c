/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/list.h"
#include "broker/broker.h"
#include "broker/ledger.h"
#include "broker/relay_process.h"
#include "broker/tenant.h"

/* A tenant's relays together: which one an object is given to, when another one may be started, and what operators are told. */

/* Relays that end within this time after one another are started with pauses in between. */
#define CALM_MS 60000
#define PAUSE_FIRST_MS 100
#define PAUSE_LAST_MS 10000

void relay_note_crash(struct relay_pool *pool) {
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

struct relay_pool *relay_pool_new(struct tenant *tenant) {
        struct relay_pool *pool = calloc(1, sizeof(*pool));

        if (!pool)
                return NULL;
        pool->tenant = tenant;
        nb_list_init(&pool->relays);
        tenant->relays = pool;
        return pool;
}

struct relay_pool *relay_pool_of(struct tenant *tenant) {
        uint8_t secret[NB_RELAY_RESET_SECRET_SIZE];
        struct relay_pool *pool;

        if (tenant->relays)
                return tenant->relays;
        if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
                return NULL;
        pool = relay_pool_new(tenant);
        if (!pool)
                return NULL;
        memcpy(pool->reset_secret, secret, sizeof(secret));
        explicit_bzero(secret, sizeof(secret));
        keep_put(tenant->broker->keep, &pool->kept, &relay_kept_pool_ops);
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
        r = relay_start_new(pool, ret);
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

int relay_enter(struct relay_object *object, const struct relay_object_ops *ops, struct relay *relay, uint64_t number) {
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

void relay_pool_drop_contexts(struct relay_pool *pool, uint32_t first_id) {
        if (!pool)
                return;
        nb_list_foreach_safe(link, &pool->relays)
                relay_drop_contexts(nb_container_of(link, struct relay, in_pool), first_id);
}

/* ---- objects ---- */

void relay_take_out(struct relay_object *object) {
        relay_object_table_remove(&object->relay->table, object);
        nb_list_remove(&object->in_relay);
        object->relay = NULL;
        object->is_awaited = false;
}

static int attach(struct relay_object *object, const struct relay_object_ops *ops, struct relay *relay,
                  const struct tenant *tenant) {
        struct broker *broker = tenant->broker;

        return relay_enter(object, ops, relay,
                           ledger_count(broker->ledger, LEDGER_LAST_RELAY_OBJECT, &broker->last_relay_number));
}

int relay_attach(struct relay_object *object, const struct relay_object_ops *ops, struct tenant *tenant) {
        struct relay_pool *pool = relay_pool_of(tenant);
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
        relay_take_out(object);
        /* One that is lost has told of all its objects first (relay_lose()). */
        if (relay->pool)
                broker_stop_if_idle(relay_broker(relay));
}

void relay_pass_on(struct relay_object *object, struct relay_object *successor, const struct relay_object_ops *ops) {
        struct relay *relay = object->relay;
        int r;

        relay_take_out(object);
        /* There is room: one was taken out. */
        r = relay_enter(successor, ops, relay, object->number);
        assert(r == 0);
        (void)r;
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
