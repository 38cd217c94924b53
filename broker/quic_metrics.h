/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted of a tenant's connections of QUIC, for Prometheus (broker/metrics_page.c). Handshakes are counted with those of TLS
 * (broker/relayed_metrics.h) as well.
 */
#ifndef NB_BROKER_QUIC_METRICS_H
#define NB_BROKER_QUIC_METRICS_H

#include <stdint.h>

/** One tenant's. All zeros to begin. */
struct quic_metrics {
        uint64_t connections; /* that there are */
        uint64_t packets_sent;
        uint64_t packets_received;
        uint64_t packets_lost;
        uint64_t bytes_sent;
        uint64_t bytes_received;
        uint64_t streams_created;  /* by our guests */
        uint64_t streams_accepted; /* by peers */
        uint64_t datagrams_dropped;
        uint64_t paths_allowed;
        uint64_t paths_refused;
        uint64_t retries;
        uint64_t bad_tokens;
        uint64_t version_negotiations;
        uint64_t stateless_resets;
        uint64_t packets_dropped; /* that belong to no connection */
        uint64_t clients_refused; /* for whom a server had no place */
};

#endif
