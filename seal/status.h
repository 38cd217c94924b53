/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is loaded, where it is attached, and what it has refused.
 */
#ifndef NB_SEAL_STATUS_H
#define NB_SEAL_STATUS_H

#include <stdio.h>

#include "base/log.h"
#include "seal/options.h"

/** Writes what there is about the seal in `folder`. @return a status of sysexits(3); EX_UNAVAILABLE where it is not loaded, or not all of it */
int seal_status(const struct nb_log *log, const struct options *options, const char *folder, FILE *out);

#endif
