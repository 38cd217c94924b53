/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus' text format, version 0.0.4, written into memory.
 *
 *      # HELP netbroker_connects_total Connects that were granted, by what came of them.
 *      # TYPE netbroker_connects_total counter
 *      netbroker_connects_total{tenant="acme",result="done"} 17
 *
 * All samples of a family stand behind its head, as the format asks. Times are counted in microseconds, and written in seconds.
 */
#ifndef NB_BROKER_EXPOSITION_H
#define NB_BROKER_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/metrics.h"

/** No sample of ours has more. */
#define EXPOSITION_LABELS_MAX 4

/** A label of a sample. Both borrowed; the value is escaped. */
struct exposition_label {
        const char *name; /* NULL ends the labels */
        const char *value;
};

/** Zero is an empty one. */
struct exposition {
        const char *family;                    /* borrowed: whose samples are being written */
        const struct exposition_label *common; /* borrowed: stands in front of each sample's own; NULL: none */
        char *text;                            /* owned; ends with NUL once there is anything */
        size_t length;
        size_t allocated;
        bool failed; /* out of memory: what was written since is lost */
};

/** Begins a family. @param type  "counter", "gauge" or "histogram" @param help  without line breaks and backslashes */
void exposition_family(struct exposition *exposition, const char *name, const char *type, const char *help);

/** A whole number. @param labels  up to one without a name, at most EXPOSITION_LABELS_MAX */
void exposition_number(struct exposition *exposition, const struct exposition_label *labels, uint64_t value);

/** A number of seconds. */
void exposition_seconds(struct exposition *exposition, const struct exposition_label *labels, double value);

/** What has no limit. */
void exposition_infinity(struct exposition *exposition, const struct exposition_label *labels);

/** Buckets, sum and count. @param labels  one less than elsewhere */
void exposition_histogram(struct exposition *exposition, const struct exposition_label *labels,
                          const struct metrics_histogram *histogram);

/** Frees the text, if it was not taken. */
void exposition_deinit(struct exposition *exposition);

#endif
