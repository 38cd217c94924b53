/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading the policy: the I/O around the pure parser, and the only part of policy/ that asks the system for anything. netbrokerd and
 * netbrokerctl load by it, so that what one calls valid the other takes.
 *
 * A tenant is a file NAME.conf, then the drop-ins NAME.conf.d/ *.conf beside it in the order of their names, each with what it includes.
 * A folder's *.conf files are one policy. Users and groups are looked up once, here, so that a decision never waits for a
 * name service.
 */
#ifndef NB_POLICY_SOURCE_H
#define NB_POLICY_SOURCE_H

#include "base/log.h"
#include "policy/policy.h"

/** Where an operator's policy lies when nothing else is said. */
#define POLICY_SOURCE_DEFAULT "/etc/netbroker/tenants"

/** Enough for any error of a load, over its lines. */
#define POLICY_SOURCE_ERROR_MAX 2048

/** The most warnings that a load keeps. */
#define POLICY_SOURCE_WARNINGS_MAX 64

struct policy_source {
        const char *path;                /* a file, or a directory whose *.conf files are one policy; borrowed */
        const char *defaults_path;       /* a file with a [Defaults] section; borrowed, NULL: none */
        struct policy_defaults defaults; /* that the file overrides */
};

/** What is to be said of a load. */
struct policy_source_report {
        char error[POLICY_SOURCE_ERROR_MAX]; /* printable, over several lines; empty after a load that went well */
        char *warnings[POLICY_SOURCE_WARNINGS_MAX]; /* "file:line: warning: …", printable, owned */
        size_t n_warnings;
        size_t n_warnings_left; /* that were found beyond these */
};

/** Frees the warnings. */
void policy_source_report_deinit(struct policy_source_report *report);

/**
 * Reads and parses the whole policy and resolves its users and groups. Quiet: what is to be said stands in the report.
 * @param report  filled in; the caller ends it with policy_source_report_deinit(), also on failure
 * @param ret     owned by the caller
 * @return 0; -EINVAL when it is not a policy; another -errno when it cannot be read
 */
int policy_source_read(const struct policy_source *source, struct policy_source_report *report, struct policy **ret);

/**
 * The same, with errors and warnings logged as they are to be shown.
 * @param ret  owned by the caller
 * @return as policy_source_read()
 */
int policy_source_load(const struct policy_source *source, const struct nb_log *log, struct policy **ret);

#endif
