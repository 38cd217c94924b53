/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading the policy: the I/O around the pure parser in policy/.
 */
#ifndef NB_BROKER_POLICY_SOURCE_H
#define NB_BROKER_POLICY_SOURCE_H

#include "base/log.h"
#include "policy/policy.h"

/** Where an operator's policy lies when nothing else is said. */
#define POLICY_SOURCE_DEFAULT "/etc/netbroker/tenants"

struct policy_source {
        const char *path; /* a file, or a directory whose *.conf files are one policy; borrowed */
        struct policy_defaults defaults;
};

/**
 * Reads and parses the whole policy and resolves its users. Errors are logged as they are to be shown.
 * @param ret  owned by the caller
 * @return 0; -EINVAL when it is not a policy; another -errno when it cannot be read
 */
int policy_source_load(const struct policy_source *source, const struct nb_log *log, struct policy **ret);

#endif
