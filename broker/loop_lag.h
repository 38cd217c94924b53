/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the loop keeps what is ready waiting.
 *
 * What becomes ready while the loop works waits until it asks the kernel again, so the time between two such questions, without what was
 * spent asleep in them, is the longest that anything waited in that turn. libuv counts it (UV_METRICS_IDLE_TIME), and a turn
 * costs three looks at the clock.
 */
#ifndef NB_BROKER_LOOP_LAG_H
#define NB_BROKER_LOOP_LAG_H

#include <stdint.h>
#include <uv.h>

#include "broker/metrics.h"

struct loop_lag {
        uv_prepare_t prepare;
        uint64_t last_ns; /* 0: not yet */
        uint64_t last_idle_ns;
        struct metrics_histogram turns;
};

/** Starts counting, on a loop that has not run. Its handle is closed with the loop's others. @return 0 or -errno */
int loop_lag_start(struct loop_lag *lag, uv_loop_t *loop);

#endif
