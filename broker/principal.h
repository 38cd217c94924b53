/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups of the system, by the names or numbers that a policy has for them.
 */
#ifndef NB_BROKER_PRINCIPAL_H
#define NB_BROKER_PRINCIPAL_H

#include <sys/types.h>

/** @param text  a name or a number @return 0; -ENOENT there is none of that name; -EINVAL no number; another -errno */
int principal_find_user(const char *text, uid_t *ret);

/** The same for a group. */
int principal_find_group(const char *text, gid_t *ret);

#endif
