/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/loop_lag.h"

/* A loop that goes to sleep; what it did since it last did so is over. */
static void going_to_wait(uv_prepare_t *prepare) {
        struct loop_lag *lag = prepare->data;
        uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(prepare->loop);
        uint64_t passed = now - lag->last_ns, slept = idle - lag->last_idle_ns;

        /* The two are read one after the other, so of a turn without work the sleep may seem the longer. */
        if (lag->last_ns > 0)
                metrics_observe(&lag->turns, passed > slept ? (passed - slept) / 1000 : 0);
        lag->last_ns = now;
        lag->last_idle_ns = idle;
}

int loop_lag_start(struct loop_lag *lag, uv_loop_t *loop) {
        int r = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);

        if (r == 0)
                r = uv_prepare_init(loop, &lag->prepare);
        if (r < 0)
                return r;
        lag->prepare.data = lag;
        r = uv_prepare_start(&lag->prepare, going_to_wait);
        uv_unref((uv_handle_t *)&lag->prepare);
        return r;
}
