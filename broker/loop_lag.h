/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the loop keeps what is ready waiting.
 *
 * What becomes ready while the loop works waits until it asks the kernel again, so the time from when there was something to do until then is the longest
 * that anything waited in that turn. It costs two looks at the clock a turn. libuv's own measure (UV_METRICS_IDLE_TIME) is not used: it costs a second
 * epoll_wait(2) each time that the loop goes to sleep.
 */
#ifndef NB_BROKER_LOOP_LAG_H
#define NB_BROKER_LOOP_LAG_H

#include <uv.h>

#include "broker/metrics.h"

struct loop_lag {
        struct metrics_histogram turns;
};

/** Counts a turn of a loop that has a nudge. To be called before each time that the kernel is asked. */
void loop_lag_note(struct loop_lag *lag, const uv_loop_t *loop);

#endif
