/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerd's command line.
 */
#ifndef NB_BROKER_OPTIONS_H
#define NB_BROKER_OPTIONS_H

#include <stdbool.h>

#include "base/log.h"
#include "base/option.h"
#include "policy/policy.h"

struct options {
        const char *policy;
        const char *defaults;      /* a file with a [Defaults] section; NULL: none */
        const char *socket_path;   /* NULL: none is made */
        int session_fd;            /* -1: none is inherited */
        const char *metrics;       /* where to serve them; NULL: nowhere */
        const char *user;          /* NULL: stay who we are */
        const char *admin_socket;  /* NULL: none is made */
        const char *audit;         /* a file; NULL: to the log */
        const char *seal;          /* the folder of the seal's maps; NULL: there is none */
        const char *probe;         /* where netbroker-probe(8) serves; NULL: nobody proves the seal */
        const char *helper;        /* where netbroker-helper(8) serves; NULL: there is none */
        const char *keeper;        /* where netbroker-keeper(8) serves; NULL: there is none */
        const char *relay_program; /* what relays are started by; NULL: see options_relay_program() */
        const char *relay_socket;  /* or where systemd starts them; NULL: it does not */
        unsigned shards;           /* processes that tenants are dealt to; 1: this one serves all */
        enum policy_data_path data_path;
        enum nb_log_level log_level;
        bool check;
        bool audit_allowed; /* records of what was allowed, too */
};

/** The defaults, before parsing. */
void options_init(struct options *options);

/** What relays are started by: the program that was named, or else the installed one. Borrowed from the options; NULL: systemd starts them. */
const char *options_relay_program(const struct options *options);

/** For nb_options_parse() with a `struct options` as data. */
extern const struct nb_option_table options_table;

#endif
