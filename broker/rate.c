/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/rate.h"

#include <assert.h>

#define MILLI 1000u

static uint64_t at_most(uint64_t n, uint64_t most) {
        return n < most ? n : most;
}

static uint64_t room(const struct rate *rate) {
        return rate->burst * MILLI - rate->milli;
}

/* With at most RATE_MOST of each nothing here is larger than 64 bits, but for the product, whose time is cut before. */
static void fill(struct rate *rate, uint64_t now_ms) {
        uint64_t elapsed = now_ms > rate->filled_ms ? now_ms - rate->filled_ms : 0;
        uint64_t until_full = room(rate) / rate->per_second + 1;

        rate->milli += at_most(at_most(elapsed, until_full) * rate->per_second, room(rate));
        rate->filled_ms = now_ms;
}

static void set(struct rate *rate, uint64_t per_second, uint64_t burst) {
        assert(per_second > 0 && burst > 0);
        rate->per_second = per_second > RATE_MOST ? RATE_UNLIMITED : per_second;
        rate->burst = at_most(burst, RATE_MOST);
}

void rate_init(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ms) {
        set(rate, per_second, burst);
        rate->milli = rate->burst * MILLI;
        rate->filled_ms = now_ms;
}

void rate_change(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ms) {
        if (rate->per_second != RATE_UNLIMITED)
                fill(rate, now_ms);
        set(rate, per_second, burst);
        rate->milli = at_most(rate->milli, rate->burst * MILLI);
        rate->filled_ms = now_ms;
}

uint64_t rate_available(struct rate *rate, uint64_t now_ms) {
        if (rate->per_second == RATE_UNLIMITED)
                return RATE_UNLIMITED;
        fill(rate, now_ms);
        return rate->milli / MILLI;
}

void rate_spend(struct rate *rate, uint64_t n) {
        if (rate->per_second == RATE_UNLIMITED)
                return;
        assert(n <= rate->milli / MILLI);
        rate->milli -= n * MILLI;
}

bool rate_take(struct rate *rate, uint64_t now_ms) {
        if (rate_available(rate, now_ms) == 0)
                return false;
        rate_spend(rate, 1);
        return true;
}

uint64_t rate_wait_ms(const struct rate *rate, uint64_t n) {
        uint64_t wanted = at_most(n, rate->burst) * MILLI;

        if (rate->per_second == RATE_UNLIMITED || wanted <= rate->milli)
                return 1;
        return (wanted - rate->milli + rate->per_second - 1) / rate->per_second;
}
