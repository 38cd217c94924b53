/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerctl's command line: one table of options for all commands; each command says which of them it takes (ctl/command.h).
 */
#ifndef NB_CTL_OPTIONS_H
#define NB_CTL_OPTIONS_H

#include <stdbool.h>

#include "base/option.h"

/** Where the operator's socket is when nothing else is said. */
#define CTL_SOCKET_DEFAULT "/run/netbroker/admin.sock"

/** The most patterns or quotas that one token is given on the command line. */
#define CTL_LIST_MAX 64

/** What an option that may be repeated was given. */
struct ctl_list {
        const char *items[CTL_LIST_MAX];
        size_t n;
};

/** Those of `token`. */
struct token_options {
        const char *key;    /* a file */
        const char *issuer; /* a public key */
        const char *output;
        const char *label;
        const char *expires, *not_before;
        struct ctl_list connect, listen, deny, quotas;
};

/** All borrowed from the command line; NULL and false for what was not given. */
struct options {
        const char *admin_socket; /* with its default */
        bool json;
        const char *policy;
        const char *defaults;
        bool resolve;
        const char *tenant;
        const char *session;
        const char *protocol;
        const char *verb;
        const char *verdict;
        const char *audit;
        const char *expiry_warning; /* days */
        bool wait;
        struct token_options token;
};

/** The defaults, before parsing. */
void options_init(struct options *options);

/** For nb_options_parse() with a `struct options` as data. */
extern const struct nb_option_table options_table;

/** An option, as a bit. --admin-socket and --json are everyone's. */
enum option_bit {
        OPTION_POLICY = 0x1,
        OPTION_RESOLVE = 0x2,
        OPTION_TENANT = 0x4,
        OPTION_SESSION = 0x8,
        OPTION_PROTOCOL = 0x10,
        OPTION_VERB = 0x20,
        OPTION_VERDICT = 0x40,
        OPTION_AUDIT = 0x80,
        OPTION_EXPIRY_WARNING = 0x200,
        OPTION_WAIT = 0x400,
        OPTION_TOKEN = 0x800,    /* all of struct token_options */
        OPTION_DEFAULTS = 0x100, /* without OPTION_POLICY; with it, it is implied */
};

/** @return the name of an option that was given and is none of `allowed`, without dashes; NULL if there is none. */
const char *options_find_other(const struct options *options, unsigned allowed);

#endif
