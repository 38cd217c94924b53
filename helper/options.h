/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-helper's command line.
 */
#ifndef NB_HELPER_OPTIONS_H
#define NB_HELPER_OPTIONS_H

#include "base/option.h"

struct options {
        const char *socket_path; /* NULL: systemd's socket is served */
        const char *user;        /* who may ask; NULL: everyone who can connect */
};

/** For nb_options_parse() with a `struct options` as data, all zeros before. */
extern const struct nb_option_table options_table;

#endif
