/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often something may happen: a bucket of tokens that fills at a steady rate, up to a burst.
 *
 * Counted in thousandths of a token, as integers, so that a millisecond of any rate is counted and nothing is lost to rounding. Time is the
 * caller's, in milliseconds of a clock that only goes on, so that tests need no time of their own.
 */
#ifndef NB_BROKER_RATE_H
#define NB_BROKER_RATE_H

#include <stdbool.h>
#include <stdint.h>

/** No limit: there is always a token. */
#define RATE_UNLIMITED UINT64_MAX

/** More a second, or at once, is no limit either. */
#define RATE_MOST UINT64_C(1000000000)

struct rate {
        uint64_t per_second; /* RATE_UNLIMITED: no limit */
        uint64_t burst;      /* the most tokens that there can be */
        int64_t milli;       /* thousandths of tokens that there were at `filled_ms`; less than none is a debt */
        uint64_t filled_ms;
};

/** Makes a full bucket. @param per_second  at least 1 @param burst  at least 1 */
void rate_init(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ms);

/** Changes rate and burst; what is in the bucket stays, as far as there is room; of a debt, a burst at most. */
void rate_change(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ms);

/** @return how many whole tokens there are now; RATE_UNLIMITED without a limit. */
uint64_t rate_available(struct rate *rate, uint64_t now_ms);

/** Takes `n`, of which rate_available() has said that they are there. */
void rate_spend(struct rate *rate, uint64_t n);

/** Takes `n` that are spent already, also what is not there: a debt, of a burst at most, that is filled first. */
void rate_owe(struct rate *rate, uint64_t n, uint64_t now_ms);

/** Takes one. @return whether there was one */
bool rate_take(struct rate *rate, uint64_t now_ms);

/** @return in how many ms, at least 1, there will be `n` tokens, or as many as there can be. */
uint64_t rate_wait_ms(const struct rate *rate, uint64_t n);

#endif
