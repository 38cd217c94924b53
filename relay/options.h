/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-relay's command line: it has none but --help and --version. What it is to do the broker tells it.
 */
#ifndef NB_RELAY_OPTIONS_H
#define NB_RELAY_OPTIONS_H

#include "base/option.h"

/** For nb_options_parse(), with no data. */
extern const struct nb_option_table options_table;

#endif
