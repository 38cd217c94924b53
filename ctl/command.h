/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbrokerctl's commands: one table is the dispatcher, the text of `netbrokerctl help`, and what the man page and the completion are
 * compared with (tests/integration/test_ctl.c).
 *
 * A command writes its answer to standard output and what is wrong to standard error, and returns the program's exit status.
 */
#ifndef NB_CTL_COMMAND_H
#define NB_CTL_COMMAND_H

#include <stddef.h>

#include "ctl/options.h"

/** How netbrokerctl ends; netbrokerctl(1). */
enum ctl_status {
        CTL_OK = 0,          /* done; allowed */
        CTL_NO = 1,          /* denied; not as expected; it could not be done */
        CTL_BAD = 2,         /* no valid question: the command line, a name that nothing has, a file with errors */
        CTL_UNREACHABLE = 3, /* no netbrokerd answers, or not to the end */
};

/** One run of the program. All borrowed. */
struct ctl {
        const struct options *options;
        const struct command *command;
        char *const *operands; /* behind the command's name */
        size_t n_operands;
};

struct command {
        const char *name;
        const char *operands; /* for the usage line; empty for none */
        size_t min_operands, max_operands;
        unsigned options;                  /* enum option_bit, those that it takes */
        const char *summary;               /* one line without a full stop, for the list */
        const char *help;                  /* sentences */
        int (*run)(const struct ctl *ctl); /* returns enum ctl_status */
};

/** All commands, in the order of the list. */
extern const struct command command_table[];
extern const size_t command_table_n;

/** @return the command of that name, or NULL. */
const struct command *command_find(const char *name);

/** Says on standard error what is wrong: "netbrokerctl: …". What is not printable is escaped, but for newlines. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Says what is wrong with how the command was called, and where its help is. @return CTL_BAD */
int ctl_misused(const struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ctl/status.c: */
int ctl_status_run(const struct ctl *ctl);

/* ctl/show.c: */
int ctl_tenants(const struct ctl *ctl);
int ctl_sessions(const struct ctl *ctl);
int ctl_connections(const struct ctl *ctl);
int ctl_relays(const struct ctl *ctl);
int ctl_certificates(const struct ctl *ctl);
int ctl_quota(const struct ctl *ctl);

/* ctl/metrics.c: */
int ctl_metrics(const struct ctl *ctl);

/* ctl/check.c: */
int ctl_check(const struct ctl *ctl);

/* ctl/policy_file.c: */
int ctl_keys(const struct ctl *ctl);
int ctl_dump(const struct ctl *ctl);

/* ctl/explain.c: */
int ctl_explain(const struct ctl *ctl);

/* ctl/test.c: */
int ctl_test(const struct ctl *ctl);

/* ctl/change.c: */
int ctl_log_level(const struct ctl *ctl);
int ctl_reload(const struct ctl *ctl);
int ctl_revoke(const struct ctl *ctl);
int ctl_drain(const struct ctl *ctl);
int ctl_undrain(const struct ctl *ctl);

/* ctl/token.c: */
int ctl_token(const struct ctl *ctl);

/* ctl/watch.c: */
int ctl_watch(const struct ctl *ctl);

/* ctl/suggest.c: */
int ctl_suggest(const struct ctl *ctl);

/* ctl/help.c: */
int ctl_help(const struct ctl *ctl);

#endif
