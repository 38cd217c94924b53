/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histograms of times, with buckets that are the same for all.
 */
#ifndef NB_BROKER_METRICS_HISTOGRAM_H
#define NB_BROKER_METRICS_HISTOGRAM_H

#include <stdint.h>

/** Upper bounds of the buckets of a histogram of times, in microseconds; the last is without bound. */
#define METRICS_N_BUCKETS 16

struct metrics_histogram {
        uint64_t counts[METRICS_N_BUCKETS];
        uint64_t sum_us;
        uint64_t n;
};

/** Counts a time. */
void metrics_observe(struct metrics_histogram *histogram, uint64_t us);

/** The upper bound of a bucket in microseconds; UINT64_MAX for the last. */
uint64_t metrics_bucket_bound(unsigned bucket);

#endif
