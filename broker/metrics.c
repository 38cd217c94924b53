/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/metrics.h"

static const char *const verdict_names[METRICS_N_VERDICTS] = {
        [METRICS_ALLOWED] = "allowed",
        [METRICS_DENIED] = "denied",
        [METRICS_REPORTED] = "reported",
};

const char *metrics_verdict_name(enum metrics_verdict verdict) {
        return verdict_names[verdict];
}
