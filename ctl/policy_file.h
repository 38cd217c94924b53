/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy that netbrokerctl reads itself, by the loader of netbrokerd, so that what one calls valid the other takes.
 */
#ifndef NB_CTL_POLICY_FILE_H
#define NB_CTL_POLICY_FILE_H

#include "ctl/command.h"
#include "policy/source.h"

/**
 * Loads --policy with --defaults. What is wrong is said.
 * @param ret  owned by the caller: policy_free()
 * @return enum ctl_status; CTL_BAD when it is no policy, or cannot be read
 */
int policy_file_load(const struct options *options, struct policy **ret);

/** For a local that owns a policy. */
static inline void policy_file_cleanup(struct policy **policy) {
        *policy = policy_free(*policy);
}

/** @return the tenant of that name, or NULL, said. */
const struct policy_tenant *policy_file_tenant(const struct policy *policy, const char *name);

#endif
