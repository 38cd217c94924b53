/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/deadline.h"

#include <stdlib.h>

#include "loop/nudge.h"

struct deadline {
        uv_timer_t timer;
        deadline_function function;
        void *data;
};

static void fire(uv_timer_t *timer) {
        struct deadline *deadline = timer->data;

        nudge_on(timer->loop);
        deadline->function(deadline->data);
}

static void release(uv_handle_t *handle) {
        free(handle->data);
}

struct deadline *deadline_new(uv_loop_t *loop, uint64_t ms, deadline_function function, void *data) {
        struct deadline *deadline = malloc(sizeof(*deadline));

        if (!deadline)
                return NULL;
        deadline->function = function;
        deadline->data = data;
        /* Neither call fails with these arguments (libuv: uv_timer_init always returns 0, uv_timer_start only
         * for a NULL callback). A loop's time is taken at its last turn, hence the update. */
        (void)uv_timer_init(loop, &deadline->timer);
        deadline->timer.data = deadline;
        uv_update_time(loop);
        (void)uv_timer_start(&deadline->timer, fire, ms, 0);
        return deadline;
}

struct deadline *deadline_free(struct deadline *deadline) {
        if (deadline)
                uv_close((uv_handle_t *)&deadline->timer, release);
        return NULL;
}
