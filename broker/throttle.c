/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/throttle.h"

#include "base/list.h"
#include "broker/broker.h"
#include "broker/deadline.h"
#include "broker/tenant.h"

/*
 * How many events a tenant has handled in its turn: few, for all others wait for them. A request takes 5 to 30 us.
 */
#define TURN 2

/* A pause is for as many tokens as come in this time: long enough that timers cost nothing, short enough that nobody notices. */
#define SLICES_A_SECOND 200

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

/* Without memory for the timer the set stays watched, and is asked again at once: wasteful and correct. */
static void pause_for_tokens(struct throttle *throttle) {
        uint64_t slice = throttle->requests.per_second / SLICES_A_SECOND + 1;

        throttle->tenant->metrics.throttled++;
        throttle->pause =
                deadline_new(&broker_of(throttle)->loop, rate_wait_ms(&throttle->requests, slice), resume, throttle);
        if (throttle->pause)
                (void)watch_change(&throttle->channels.outer, 0);
}

/* Handlers may end the tenant, and the throttle with it: they come last. */
static void channels_ready(struct watch *watch, uint32_t events) {
        struct watch_set *set = nb_container_of(watch, struct watch_set, outer);
        struct throttle *throttle = nb_container_of(set, struct throttle, channels);
        uint64_t available = rate_available(&throttle->requests, now_ms(throttle));

        (void)events;
        if (available == 0) {
                pause_for_tokens(throttle);
                return;
        }
        rate_spend(&throttle->requests, watch_set_collect(set, available < TURN ? (unsigned)available : TURN));
        watch_set_dispatch(set);
}

static void sockets_ready(struct watch *watch, uint32_t events) {
        struct watch_set *set = nb_container_of(watch, struct watch_set, outer);

        (void)events;
        (void)watch_set_collect(set, TURN);
        watch_set_dispatch(set);
}

/* A second's worth at once: a host process that starts with many guests asks for much, and then for little. */
static uint64_t policy_rate(const struct throttle *throttle) {
        const struct policy_tenant *policy = throttle->tenant->policy;

        return policy ? policy->limits[POLICY_LIMIT_REQUEST_RATE] : RATE_UNLIMITED;
}

int throttle_start(struct throttle *throttle, struct tenant *tenant) {
        struct watch_set *all = &tenant->broker->watches;
        int r;

        *throttle = (struct throttle){ .tenant = tenant };
        r = watch_set_start_within(&throttle->channels, all, channels_ready);
        if (r < 0)
                return r;
        r = watch_set_start_within(&throttle->sockets, all, sockets_ready);
        if (r < 0) {
                watch_set_stop(&throttle->channels);
                throttle->tenant = NULL;
                return r;
        }
        rate_init(&throttle->requests, policy_rate(throttle), policy_rate(throttle), now_ms(throttle));
        return 0;
}

void throttle_stop(struct throttle *throttle) {
        if (!throttle->tenant)
                return;
        throttle->pause = deadline_free(throttle->pause);
        watch_set_stop(&throttle->channels);
        watch_set_stop(&throttle->sockets);
        throttle->tenant = NULL;
}

/* Who is paused by the old rate is looked at again, for at 1/s that pause is long. */
void throttle_apply_policy(struct throttle *throttle) {
        uint64_t rate = policy_rate(throttle);

        rate_change(&throttle->requests, rate, rate, now_ms(throttle));
        if (throttle->pause)
                resume(throttle);
}
