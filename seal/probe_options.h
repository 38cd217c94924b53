/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-probe's command line.
 */
#ifndef NB_SEAL_PROBE_OPTIONS_H
#define NB_SEAL_PROBE_OPTIONS_H

#include "base/option.h"

struct probe_options {
        const char *socket_path; /* NULL: the connection that systemd passes */
};

/** For nb_options_parse() with a `struct probe_options` as data, all zeros before. */
extern const struct nb_option_table probe_options_table;

#endif
