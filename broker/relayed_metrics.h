/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted of a tenant's relayed connections, for Prometheus (broker/metrics_page.c).
 *
 * A handshake is counted where its outcome is told (broker/relayed.c); what a link has carried, where the relay says that it has ended
 * (broker/relay_report.c), whether or not anybody waits for that any more.
 */
#ifndef NB_BROKER_RELAYED_METRICS_H
#define NB_BROKER_RELAYED_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/metrics_histogram.h"
#include "broker/relayed_cause.h"
#include "policy/policy.h"

enum relayed_role {
        RELAYED_CLIENT,
        RELAYED_SERVER,
        RELAYED_N_ROLES,
};

/** One tenant's. All zeros to begin. By cause: indices of relayed_causes. */
struct relayed_metrics {
        uint64_t handshakes_done[RELAYED_N_ROLES]; /* of TLS with the peer */
        uint64_t handshakes_failed[RELAYED_N_ROLES];
        uint64_t handshakes_resumed[RELAYED_N_ROLES];
        uint64_t quic_done[RELAYED_N_ROLES]; /* those of QUIC, which are counted above as well */
        uint64_t quic_failed[RELAYED_N_ROLES];
        uint64_t handshake_failures[RELAYED_N_CAUSES];
        struct metrics_histogram handshake; /* from the socket to Ready, where there is TLS; proxies' included */
        uint64_t proxy_failures[RELAYED_N_CAUSES];
        uint64_t headers_refused; /* PROXY headers */
        uint64_t links_ended[RELAYED_N_CAUSES];
        uint64_t bytes_to_guest;
        uint64_t bytes_to_peer;
};

/** What was tried. */
struct relayed_attempt {
        enum policy_verb verb;
        bool has_tls;   /* with the peer */
        bool has_proxy; /* on the way */
        bool is_quic;
};

/** Counts one that is Ready. @param took_us  since the relay was asked, in microseconds */
void relayed_metrics_ready(struct relayed_metrics *metrics, const struct relayed_attempt *attempt, bool resumed,
                           uint64_t took_us);

/** Counts one that failed before. What is no cause of TLS' or of a proxy's is put down to TLS where there is TLS, or else to the proxy. */
void relayed_metrics_failed(struct relayed_metrics *metrics, const struct relayed_attempt *attempt,
                            Nb__Relay__Cause cause);

/** Counts the end of a link, Ready or not. */
void relayed_metrics_ended(struct relayed_metrics *metrics, const Nb__Relay__Ended *ended);

#endif
