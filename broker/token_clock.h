/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time by which capability tokens begin and end.
 *
 * A token says moments of the wall clock, and that can be set back: by mistake, or to bring back what has expired. So the broker's moment never goes
 * back. It is the wall clock's, or the latest moment that the wall clock was seen to show and what has passed since, by a clock that nobody sets and that also
 * goes on while the machine sleeps (CLOCK_BOOTTIME), whichever is later. A clock that was ahead by mistake thus ends tokens too early
 * and never too late, until a broker is started to which netbroker-keeper says nothing of an earlier one.
 */
#ifndef NB_BROKER_TOKEN_CLOCK_H
#define NB_BROKER_TOKEN_CLOCK_H

#include <stdint.h>

/** How long a token's end may wait at the most to be looked at again: a wall clock that was set forward is seen within it. */
#define TOKEN_CLOCK_LOOK_MS 10000

struct token_clock {
        uint64_t (*wall_ms)(void); /* since 1970; a test has its own */
        uint64_t (*boot_ms)(void); /* since whenever */
        uint64_t latest_ms;        /* that was told */
        uint64_t latest_boot_ms;   /* when that was */
};

/** A clock that has seen what the wall clock shows. */
void token_clock_init(struct token_clock *clock);

/** Goes on with what an earlier broker, since the machine has started, has seen: both numbers as of struct token_clock. */
void token_clock_restore(struct token_clock *clock, uint64_t latest_ms, uint64_t latest_boot_ms);

/** @return the moment in milliseconds since 1970, never less than before */
uint64_t token_clock_ms(struct token_clock *clock);

#endif
