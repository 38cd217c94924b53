/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/metrics_histogram.h"

/*
 * From what loopback takes to what a connect is given by default. Three a decade: a histogram tells a median from a tail by that, and more
 * of them would be paid for in each scrape, for each tenant.
 */
static const uint64_t bounds_us[METRICS_N_BUCKETS - 1] = {
        100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 2500000, 10000000, 30000000,
};

uint64_t metrics_bucket_bound(unsigned bucket) {
        return bucket < METRICS_N_BUCKETS - 1 ? bounds_us[bucket] : UINT64_MAX;
}

void metrics_observe(struct metrics_histogram *histogram, uint64_t us) {
        unsigned bucket = 0;

        while (us > metrics_bucket_bound(bucket))
                bucket++;
        histogram->counts[bucket]++;
        histogram->sum_us += us;
        histogram->n++;
}
