/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user of --user, whom a small program of ours serves.
 */
#ifndef NB_SERVICE_USER_H
#define NB_SERVICE_USER_H

#include <sys/types.h>

#include "base/log.h"

struct service_user {
        uid_t uid;
        gid_t gid; /* the user's first group */
};

/**
 * Finds a user by its name. One that is not there is logged.
 * @param name  NULL: our own user and group
 * @return 0 or -ENOENT
 */
int service_find_user(const struct nb_log *log, const char *name, struct service_user *ret);

#endif
