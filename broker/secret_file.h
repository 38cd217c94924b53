/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the files of certificates, keys and passwords that a policy names. They are not read here, only passed on.
 */
#ifndef NB_BROKER_SECRET_FILE_H
#define NB_BROKER_SECRET_FILE_H

#include <stdbool.h>

#include "base/log.h"
#include "policy/policy.h"

/**
 * Opens a file for reading, or logs why not: where the policy names it, what is wrong, and what to do. Links are followed, for that is how
 * certificates are renewed. It must be a regular file of at most NB_RELAY_FILE_SIZE_MAX bytes.
 * @param path       borrowed
 * @param is_secret  others than its owner and group may not read it
 * @return a descriptor owned by the caller; -EINVAL
 */
int secret_file_open(const struct nb_log *log, const struct policy_path *path, bool is_secret);

/** Opens the system's authorities (--with-system-trust), for what the policy says at `at`. As secret_file_open(). */
int secret_file_open_system_trust(const struct nb_log *log, const struct policy_position *at);

/** How that is called in messages. */
const char *secret_file_system_trust(void);

#endif
