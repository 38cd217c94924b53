/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted: a tenant's numbers and the broker's own, for Prometheus and `netbrokerctl`.
 *
 * Counting is an increment in memory that the tenant owns. The text is made when it is asked for (broker/exporter.h).
 */
#ifndef NB_BROKER_METRICS_H
#define NB_BROKER_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/metrics_histogram.h"
#include "broker/quic_metrics.h"
#include "broker/relayed_metrics.h"
#include "policy/policy.h"
#include "token/verify.h"

enum metrics_verdict {
        METRICS_ALLOWED,
        METRICS_DENIED,
        METRICS_REPORTED, /* let pass by report mode */
        METRICS_N_VERDICTS,
};

enum metrics_dns {
        METRICS_DNS_HIT, /* from the cache */
        METRICS_DNS_FOUND,
        METRICS_DNS_NONE, /* no such name, or no address */
        METRICS_DNS_FAILED,
        METRICS_DNS_TIMED_OUT,
        METRICS_DNS_REFUSED, /* too many under way */
        METRICS_N_DNS,
};

/** One tenant's. All zeros to begin. */
struct metrics {
        uint64_t decisions[POLICY_ACCEPT + 1][METRICS_N_VERDICTS]; /* by verb */
        uint64_t dns[METRICS_N_DNS];
        uint64_t connects_done;
        uint64_t connects_failed;
        uint64_t requests;
        uint64_t throttled; /* times that requests had to wait for RequestRate= */
        uint64_t quota_denied[POLICY_N_LIMITS];
        uint64_t violations;                  /* sessions dropped */
        uint64_t tokens[TOKEN_N_PROBLEMS];    /* shown in Hello: TOKEN_FINE, or why not */
        uint64_t tokens_ended;                /* sessions, as the time of their tokens was over */
        struct metrics_histogram connect;     /* from the request to the answer, look-up included */
        struct metrics_histogram dns_latency; /* of questions that left the machine */
        struct relayed_metrics relayed;
        struct quic_metrics quic;
};

/** @return "allowed", "denied" or "reported" */
const char *metrics_verdict_name(enum metrics_verdict verdict);

#endif
