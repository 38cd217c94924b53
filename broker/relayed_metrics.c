/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relayed_metrics.h"

static enum relayed_role role_of(const struct relayed_attempt *attempt) {
        return attempt->verb == POLICY_CONNECT ? RELAYED_CLIENT : RELAYED_SERVER;
}

static bool is_of_proxy(Nb__Relay__Cause cause) {
        switch (cause) {
        case NB__RELAY__CAUSE__CAUSE_PROXY_REFUSED:
        case NB__RELAY__CAUSE__CAUSE_PROXY_PASSWORD:
        case NB__RELAY__CAUSE__CAUSE_PROXY_UNREACHABLE:
        case NB__RELAY__CAUSE__CAUSE_PROXY_PROTOCOL:
        case NB__RELAY__CAUSE__CAUSE_PROXY_CLOSED:
                return true;
        default:
                return false;
        }
}

void relayed_metrics_ready(struct relayed_metrics *metrics, const struct relayed_attempt *attempt, bool resumed,
                           uint64_t took_us) {
        if (!attempt->has_tls)
                return;
        metrics->handshakes_done[role_of(attempt)]++;
        metrics->handshakes_resumed[role_of(attempt)] += resumed;
        metrics->quic_done[role_of(attempt)] += attempt->is_quic;
        metrics_observe(&metrics->handshake, took_us);
}

void relayed_metrics_failed(struct relayed_metrics *metrics, const struct relayed_attempt *attempt,
                            Nb__Relay__Cause cause) {
        size_t index = relayed_cause_index(cause);

        if (cause == NB__RELAY__CAUSE__CAUSE_HEADER) {
                metrics->headers_refused++;
        } else if (is_of_proxy(cause) || (attempt->has_proxy && !attempt->has_tls)) {
                metrics->proxy_failures[index]++;
        } else if (attempt->has_tls) {
                metrics->handshakes_failed[role_of(attempt)]++;
                metrics->quic_failed[role_of(attempt)] += attempt->is_quic;
                metrics->handshake_failures[index]++;
        }
}

void relayed_metrics_ended(struct relayed_metrics *metrics, const Nb__Relay__Ended *ended) {
        metrics->links_ended[relayed_cause_index(ended->cause)]++;
        metrics->bytes_to_guest += ended->bytes_to_guest;
        metrics->bytes_to_peer += ended->bytes_to_peer;
}
