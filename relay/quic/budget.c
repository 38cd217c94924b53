/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/quic/budget.h"

#include "relay/quic/quic.h"
#include "relay/relay.h"

bool quic_budget_is_spent(const struct quic *quic) {
        uint64_t most = quic->relay->memory_max > 0 ? quic->relay->memory_max / 4 : QUIC_BUDGET_UNBOUNDED;

        return quic->bytes_buffered + quic->bytes_in_library >= most;
}
