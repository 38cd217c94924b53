/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/deadline.h"

#include <stdlib.h>

#include "loop/nudge.h"

#define NS_PER_MS 1000000u

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

struct deadline *deadline_new_unset(uv_loop_t *loop, deadline_function function, void *data) {
        struct deadline *deadline = malloc(sizeof(*deadline));

        if (!deadline)
                return NULL;
        deadline->function = function;
        deadline->data = data;
        (void)uv_timer_init(loop, &deadline->timer); /* libuv: always 0 */
        deadline->timer.data = deadline;
        return deadline;
}

struct deadline *deadline_new(uv_loop_t *loop, uint64_t ms, deadline_function function, void *data) {
        struct deadline *deadline = deadline_new_unset(loop, function, data);

        if (!deadline)
                return NULL;
        /* Fails for a NULL callback only. A loop's time is taken at its last turn, hence the update. */
        uv_update_time(loop);
        (void)uv_timer_start(&deadline->timer, fire, ms, 0);
        return deadline;
}

void deadline_move(struct deadline *deadline, uint64_t when) {
        uint64_t when_ms = when / NS_PER_MS + (when % NS_PER_MS > 0);
        uint64_t now_ms = uv_now(deadline->timer.loop);

        /* However old the loop's time is: libuv adds the difference to it. */
        (void)uv_timer_start(&deadline->timer, fire, when_ms > now_ms ? when_ms - now_ms : 0, 0);
}

void deadline_unset(struct deadline *deadline) {
        (void)uv_timer_stop(&deadline->timer);
}

struct deadline *deadline_free(struct deadline *deadline) {
        if (deadline)
                uv_close((uv_handle_t *)&deadline->timer, release);
        return NULL;
}
