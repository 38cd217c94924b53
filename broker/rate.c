/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rate.h"

#include <assert.h>

#define MILLI 1000u

static uint64_t at_most(uint64_t n, uint64_t most) {
        return n < most ? n : most;
}

static uint64_t room(const struct rate *rate) {
        return (uint64_t)((int64_t)(rate->burst * MILLI) - rate->milli);
}

/* The greatest debt. */
static int64_t deepest(const struct rate *rate) {
        return -(int64_t)(rate->burst * MILLI);
}

/* With at most RATE_MOST of each nothing here is larger than 64 bits, but for the product, whose time is cut before. */
static void fill(struct rate *rate, uint64_t now_ms) {
        uint64_t elapsed = now_ms > rate->filled_ms ? now_ms - rate->filled_ms : 0;
        uint64_t until_full = room(rate) / rate->per_second + 1;

        rate->milli += (int64_t)at_most(at_most(elapsed, until_full) * rate->per_second, room(rate));
        rate->filled_ms = now_ms;
}

static void set(struct rate *rate, uint64_t per_second, uint64_t burst) {
        assert(per_second > 0 && burst > 0);
        rate->per_second = per_second > RATE_MOST ? RATE_UNLIMITED : per_second;
        rate->burst = at_most(burst, RATE_MOST);
}

void rate_init(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ms) {
        set(rate, per_second, burst);
        rate->milli = (int64_t)(rate->burst * MILLI);
        rate->filled_ms = now_ms;
}

void rate_change(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ms) {
        if (rate->per_second != RATE_UNLIMITED)
                fill(rate, now_ms);
        set(rate, per_second, burst);
        if (rate->milli > (int64_t)(rate->burst * MILLI))
                rate->milli = (int64_t)(rate->burst * MILLI);
        /* A debt of the rate before could take the new one hours. */
        if (rate->milli < deepest(rate))
                rate->milli = deepest(rate);
        rate->filled_ms = now_ms;
}

uint64_t rate_available(struct rate *rate, uint64_t now_ms) {
        if (rate->per_second == RATE_UNLIMITED)
                return RATE_UNLIMITED;
        fill(rate, now_ms);
        return rate->milli > 0 ? (uint64_t)rate->milli / MILLI : 0;
}

void rate_spend(struct rate *rate, uint64_t n) {
        if (rate->per_second == RATE_UNLIMITED)
                return;
        assert((int64_t)(n * MILLI) <= rate->milli);
        rate->milli -= (int64_t)(n * MILLI);
}

void rate_owe(struct rate *rate, uint64_t n, uint64_t now_ms) {
        if (rate->per_second == RATE_UNLIMITED)
                return;
        fill(rate, now_ms);
        rate->milli -= (int64_t)(at_most(n, 2 * rate->burst) * MILLI);
        if (rate->milli < deepest(rate))
                rate->milli = deepest(rate);
}

bool rate_take(struct rate *rate, uint64_t now_ms) {
        if (rate_available(rate, now_ms) == 0)
                return false;
        rate_spend(rate, 1);
        return true;
}

uint64_t rate_wait_ms(const struct rate *rate, uint64_t n) {
        int64_t wanted = (int64_t)(at_most(n, rate->burst) * MILLI);

        if (rate->per_second == RATE_UNLIMITED || wanted <= rate->milli)
                return 1;
        return ((uint64_t)(wanted - rate->milli) + rate->per_second - 1) / rate->per_second;
}
