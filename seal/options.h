/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-seal's command line: options, a verb, and the folder in which everything is pinned.
 */
#ifndef NB_SEAL_OPTIONS_H
#define NB_SEAL_OPTIONS_H

#include <stdbool.h>

#include "base/option.h"

struct options {
        const char *group;  /* load: who may use the maps; NULL: root only */
        const char *cgroup; /* attach: a folder; NULL: the caller's own */
        bool json;          /* status */
        bool verbose;
};

/** For nb_options_parse() with a `struct options` as data, all zeros before. */
extern const struct nb_option_table options_table;

#endif
