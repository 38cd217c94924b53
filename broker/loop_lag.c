/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/loop_lag.h"

#include "loop/nudge.h"

static void going_to_wait(uv_prepare_t *prepare) {
        struct loop_lag *lag = prepare->data;

        metrics_observe(&lag->turns, nudge_take_awake(prepare->loop) / 1000);
}

int loop_lag_start(struct loop_lag *lag, uv_loop_t *loop) {
        int r = uv_prepare_init(loop, &lag->prepare);

        if (r < 0)
                return r;
        lag->prepare.data = lag;
        r = uv_prepare_start(&lag->prepare, going_to_wait);
        uv_unref((uv_handle_t *)&lag->prepare);
        return r;
}
