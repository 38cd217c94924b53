/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-run's command line.
 *
 * Texts that stand in argv as a whole are borrowed from it; those that are parts of an argument are owned.
 */
#ifndef NB_RUN_OPTIONS_H
#define NB_RUN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/option.h"

/** What one command line may ask for. */
#define RUN_DIRECTORIES_MAX 64
#define RUN_VARIABLES_MAX 1024
#define RUN_PROTOCOLS_MAX 64

/** A directory of this machine that the guest sees. */
struct run_directory {
        char *host;
        char *guest;
        bool writable;
};

/** A protocol that another process has handed over. */
struct run_protocol {
        char *name;
        int fd; /* inherited */
};

struct run_options {
        const char *policy;      /* a private broker with this policy; NULL: none */
        const char *socket_path; /* a running broker's; NULL: the default. Never together with `policy`. */
        const char *tenant;      /* NULL: the only one */
        const char *label;       /* NULL: none */
        const char *token;       /* a file with a capability token; NULL: none */
        const char *log_level;   /* of the private broker; never NULL */
        bool weak_lockdown;      /* do without walls that the kernel lacks */

        struct run_directory directories[RUN_DIRECTORIES_MAX];
        size_t n_directories;

        /* One for each variable; name and value of one are one allocation, which the name owns. */
        char *variable_names[RUN_VARIABLES_MAX];
        const char *variable_values[RUN_VARIABLES_MAX];
        size_t n_variables;

        struct run_protocol
                protocols[RUN_PROTOCOLS_MAX]; /* instead of a broker's; never together with `policy` or `socket_path` */
        size_t n_protocols;

        const char *module;       /* the file */
        struct nb_operands guest; /* the guest's argv: the module and what follows it */
};

/** The table, for the parser and for checks that compare it with the manual page. */
extern const struct nb_option_table run_option_table;

/**
 * Parses the command line, and answers --help, --version and mistakes.
 * @param ret  to be given to run_options_deinit(), also on failure
 * @return as nb_options_parse()
 */
int run_options_parse(int argc, char **argv, struct run_options *ret);

/** Gives back what the options own. Takes what run_options_parse() left, whatever it returned. */
void run_options_deinit(struct run_options *options);

#endif
