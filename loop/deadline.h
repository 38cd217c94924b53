/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-shot timers of libuv as an owned object: uv_timer_t's memory must wait for its close callback, and this hides that.
 */
#ifndef NB_LOOP_DEADLINE_H
#define NB_LOOP_DEADLINE_H

#include <stdint.h>
#include <uv.h>

struct deadline;

/** Called once, unless it is moved; after which the deadline is still the owner's to free. */
typedef void (*deadline_function)(void *data);

/** Starts a timer. @param ms milliseconds from now @return owned by the caller, or NULL without memory */
struct deadline *deadline_new(uv_loop_t *loop, uint64_t ms, deadline_function function, void *data);

/**
 * Makes one that is not started, to be moved: for who needs another time with every packet, and must not fail then.
 * @return owned by the caller, or NULL without memory
 */
struct deadline *deadline_new_unset(uv_loop_t *loop, deadline_function function, void *data);

/**
 * Has the function called at that time, and not when it was said before.
 * @param when  by uv_hrtime(), in nanoseconds; rounded up to a millisecond. The function may still come one too early, for the loop's own
 *              clock is coarse: who minds looks at the time, and moves it again.
 */
void deadline_move(struct deadline *deadline, uint64_t when);

/** Has it not called, until it is moved again. */
void deadline_unset(struct deadline *deadline);

/** Stops it: the function is not called any more. Takes NULL, also from inside the function. @return NULL */
struct deadline *deadline_free(struct deadline *deadline);

#endif
