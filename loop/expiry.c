/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/expiry.h"

uint64_t expiry_first(const uint64_t *left_ms, size_t n) {
        uint64_t first = UINT64_MAX;

        for (size_t i = 0; i < n; ++i)
                first = left_ms[i] < first ? left_ms[i] : first;
        return first;
}

void expiry_set(struct expiry *expiry, uv_loop_t *loop, uint64_t left_ms, deadline_function function, void *data) {
        uint64_t at_ms;

        if (left_ms == UINT64_MAX)
                return;
        at_ms = uv_now(loop) + left_ms;
        if (expiry->deadline && expiry->at_ms <= at_ms)
                return;
        expiry_unset(expiry);
        expiry->at_ms = at_ms;
        expiry->deadline = deadline_new(loop, left_ms, function, data);
}

void expiry_unset(struct expiry *expiry) {
        expiry->deadline = deadline_free(expiry->deadline);
}
