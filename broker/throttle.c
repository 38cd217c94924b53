/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/throttle.h"

#include <assert.h>

#include "broker/broker.h"
#include "loop/deadline.h"
#include "broker/tenant.h"

/*
 * How many events a tenant has handled in its turn, 10 to 50 us each. Few, for all others wait for them; and not one, for then each request
 * of another tenant would meet a request of this one, and not every sixteenth.
 */
#define TURN 16

/* A pause is for as many tokens as come in this time: long enough that timers cost little, short enough that nobody notices. */
#define SLICES_A_SECOND 200

/* What a request may take of the loop's time, and what all of a tenant's may take in a second in any case. */
#define REQUEST_US 20
#define SHARE_US 200000

/* Half a second's worth of the least share: a host process that starts is served at once. */
#define SHARE_BURST_US 100000

#define SECOND_US 1000000

static struct broker *broker_of(const struct throttle *throttle) {
        return throttle->tenant->broker;
}

static uint64_t now_ms(const struct throttle *throttle) {
        return uv_now(&broker_of(throttle)->loop);
}

static void resume(void *data) {
        struct throttle *throttle = data;

        throttle->pause = deadline_free(throttle->pause);
        (void)watch_change(&throttle->channels.outer, EPOLLIN);
}

/* @return how many events may be handled now */
static uint64_t available(struct throttle *throttle) {
        return rate_available(&throttle->time, now_ms(throttle)) == 0
                       ? 0
                       : rate_available(&throttle->requests, now_ms(throttle));
}

static uint64_t slice_ms(const struct rate *rate) {
        return rate_wait_ms(rate, rate->per_second / SLICES_A_SECOND + 1);
}

static uint64_t wait_ms(const struct throttle *throttle) {
        uint64_t requests_ms = slice_ms(&throttle->requests), time_ms = slice_ms(&throttle->time);

        return requests_ms > time_ms ? requests_ms : time_ms;
}

/* Without memory for the timer the set stays watched, and is asked again at once: wasteful and correct. */
static void pause_channels(struct throttle *throttle) {
        throttle->tenant->metrics.throttled++;
        throttle->pause = deadline_new(&broker_of(throttle)->loop, wait_ms(throttle), resume, throttle);
        if (throttle->pause)
                (void)watch_change(&throttle->channels.outer, 0);
}

/* Handlers may end the tenant, and the throttle with it: what they took is charged only if it is still there. */
static void serve(struct throttle *throttle, struct watch_set *set) {
        uint64_t start_ns = uv_hrtime();

        if (watch_set_dispatch(set))
                rate_owe(&throttle->time, (uv_hrtime() - start_ns) / 1000, now_ms(throttle));
}

static void channels_ready(struct watch *watch, uint32_t events) {
        struct watch_set *set = nb_container_of(watch, struct watch_set, outer);
        struct throttle *throttle = nb_container_of(set, struct throttle, channels);
        uint64_t most = available(throttle);

        (void)events;
        if (most == 0) {
                pause_channels(throttle);
                return;
        }
        rate_spend(&throttle->requests, watch_set_collect(set, most < TURN ? (unsigned)most : TURN));
        serve(throttle, set);
}

/* What comes from outside cannot wait for tokens of the tenant's, but its time is charged. */
static void sockets_ready(struct watch *watch, uint32_t events) {
        struct watch_set *set = nb_container_of(watch, struct watch_set, outer);

        (void)events;
        (void)watch_set_collect(set, TURN);
        serve(nb_container_of(set, struct throttle, sockets), set);
}

/* ---- who waits ---- */

static void serve_waiter(void *data);

static void wait_for_tokens(struct throttle *throttle) {
        if (!throttle->next_waiter)
                throttle->next_waiter =
                        deadline_new(&broker_of(throttle)->loop, wait_ms(throttle), serve_waiter, throttle);
}

/* One at a time, for its function may end the tenant. */
static void serve_waiter(void *data) {
        struct throttle *throttle = data;
        struct throttle_waiter *waiter;

        throttle->next_waiter = deadline_free(throttle->next_waiter);
        if (nb_list_is_empty(&throttle->waiters))
                return;
        waiter = nb_container_of(throttle->waiters.next, struct throttle_waiter, link);
        if (available(throttle) > 0)
                throttle_cancel(waiter);
        else
                waiter = NULL;
        if (!nb_list_is_empty(&throttle->waiters))
                wait_for_tokens(throttle);
        if (waiter)
                waiter->function(waiter);
}

void throttle_waiter_init(struct throttle_waiter *waiter, throttle_function function) {
        nb_list_init(&waiter->link);
        waiter->function = function;
}

bool throttle_take(struct throttle *throttle, uint64_t n, struct throttle_waiter *waiter) {
        bool may = nb_list_is_empty(&throttle->waiters) && available(throttle) > 0;

        /* Who waits owes for it already, so those behind it wait for theirs too. */
        rate_owe(&throttle->requests, n, now_ms(throttle));
        if (may)
                return true;
        nb_list_append(&throttle->waiters, &waiter->link);
        wait_for_tokens(throttle);
        return false;
}

void throttle_cancel(struct throttle_waiter *waiter) {
        nb_list_remove(&waiter->link);
}

/* ---- start and stop ---- */

/* A second's worth at once: a host process that starts with many guests asks for much, and then for little. */
static void apply_rate(struct throttle *throttle,
                       void (*apply)(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ms)) {
        const struct policy_tenant *policy = throttle->tenant->policy;
        uint64_t rate = policy ? policy->limits[POLICY_LIMIT_REQUEST_RATE] : RATE_UNLIMITED;
        uint64_t share = rate > SHARE_US / REQUEST_US ? rate * REQUEST_US : SHARE_US;

        if (rate > SECOND_US / REQUEST_US)
                share = RATE_UNLIMITED;
        apply(&throttle->requests, rate, rate, now_ms(throttle));
        apply(&throttle->time, share, SHARE_BURST_US, now_ms(throttle));
}

int throttle_start(struct throttle *throttle, struct tenant *tenant) {
        struct watch_set *all = &tenant->broker->watches;
        int r;

        *throttle = (struct throttle){ .tenant = tenant };
        nb_list_init(&throttle->waiters);
        r = watch_set_start_within(&throttle->channels, all, channels_ready);
        if (r == 0) {
                r = watch_set_start_within(&throttle->sockets, all, sockets_ready);
                if (r < 0)
                        watch_set_stop(&throttle->channels);
        }
        if (r < 0) {
                throttle->tenant = NULL;
                return r;
        }
        apply_rate(throttle, rate_init);
        return 0;
}

void throttle_stop(struct throttle *throttle) {
        if (!throttle->tenant)
                return;
        assert(nb_list_is_empty(&throttle->waiters));
        throttle->pause = deadline_free(throttle->pause);
        throttle->next_waiter = deadline_free(throttle->next_waiter);
        watch_set_stop(&throttle->channels);
        watch_set_stop(&throttle->sockets);
        throttle->tenant = NULL;
}

/* Who is paused by the old rate is looked at again, for at 1/s that pause is long. */
void throttle_apply_policy(struct throttle *throttle) {
        apply_rate(throttle, rate_change);
        if (throttle->pause)
                resume(throttle);
}
