/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why relayed connections end, as one table: what the guest gets, and the names in metrics and records.
 */
#ifndef NB_BROKER_RELAYED_CAUSE_H
#define NB_BROKER_RELAYED_CAUSE_H

#include <stddef.h>

#include "proto/relay_frame.h"

struct relayed_cause {
        Nb__Relay__Cause cause;
        int error;        /* a negative errno, of a connect or an accept that ends by it before it is Ready */
        const char *name; /* "certificate_expired" */
};

/** How many there are. */
#define RELAYED_N_CAUSES 38

/** All of them. */
extern const struct relayed_cause relayed_causes[RELAYED_N_CAUSES];

/** @return the place of a cause in the table; one that is not there stands for CAUSE_INTERNAL */
size_t relayed_cause_index(Nb__Relay__Cause cause);

#endif
