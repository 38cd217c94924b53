/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-shot timers of libuv as an owned object: uv_timer_t's memory must wait for its close callback, and this hides that.
 */
#ifndef NB_LOOP_DEADLINE_H
#define NB_LOOP_DEADLINE_H

#include <stdint.h>
#include <uv.h>

struct deadline;

/** Called once, after which the deadline is still the owner's to free. */
typedef void (*deadline_function)(void *data);

/** Starts a timer. @param ms milliseconds from now @return owned by the caller, or NULL without memory */
struct deadline *deadline_new(uv_loop_t *loop, uint64_t ms, deadline_function function, void *data);

/** Stops it: the function is not called any more. Takes NULL, also from inside the function. @return NULL */
struct deadline *deadline_free(struct deadline *deadline);

#endif
