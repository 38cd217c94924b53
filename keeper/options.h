/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-keeper's command line.
 */
#ifndef NB_KEEPER_OPTIONS_H
#define NB_KEEPER_OPTIONS_H

#include <stdint.h>

#include "base/option.h"

struct options {
        const char *socket_path; /* NULL: systemd's socket is served */
        const char *user;        /* whom to become and to serve; NULL: who we are */
        uint64_t timeout_s;      /* 0: for ever */
        uint64_t max_entries;
        uint64_t max_bytes;
};

/** The defaults, before parsing. */
void options_init(struct options *options);

/** For nb_options_parse() with a `struct options` as data. */
extern const struct nb_option_table options_table;

#endif
