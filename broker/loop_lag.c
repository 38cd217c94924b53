/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/loop_lag.h"

#include "loop/nudge.h"

void loop_lag_note(struct loop_lag *lag, const uv_loop_t *loop) {
        metrics_observe(&lag->turns, nudge_take_awake(loop) / 1000);
}
