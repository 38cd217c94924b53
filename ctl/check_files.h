/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a policy names for TLS and proxies, opened and looked into as who calls it: whether netbrokerd can use them, and when
 * certificates expire. The sentences are tls/judge.h's.
 *
 * What the caller may not read, and credentials that systemd hands to netbrokerd alone, is told and is no error: a check by somebody who
 * has no rights to keys says what it can.
 */
#ifndef NB_CTL_CHECK_FILES_H
#define NB_CTL_CHECK_FILES_H

#include "policy/policy.h"
#include "tls/judge.h"

/** What is told of a file. All borrowed for the call. */
struct file_finding {
        enum judge_level level;
        const struct policy_path
                *path;    /* where the policy names it; of the system's authorities where it asks for them */
        const char *file; /* what it is called: the path, or the credential */
        const struct certificate *about; /* NULL: the file as a whole */
        const char *text;                /* a sentence, printable ASCII */
};

typedef void (*file_finding_function)(void *data, const struct file_finding *finding);

struct file_check {
        int64_t now;       /* seconds since 1970 */
        int64_t warning_s; /* what expires within is warned of */
        file_finding_function found;
        void *data;
};

/** Looks into all files of a policy, in its order. @param policy  borrowed */
void check_files(const struct file_check *check, const struct policy *policy);

#endif
