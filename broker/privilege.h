/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker gives up before it looks at a byte from anyone.
 */
#ifndef NB_BROKER_PRIVILEGE_H
#define NB_BROKER_PRIVILEGE_H

#include <sys/types.h>

/**
 * Becomes `user` if one is given (which needs root), keeps at most CAP_NET_BIND_SERVICE, and forbids new privileges for good.
 * @param user  a name, or NULL to stay who we are
 * @return 0, or -errno: -ENOENT when there is no such user
 */
int privilege_drop(const char *user);

/** As that, for who starts programs that call privilege_drop(NULL) themselves: the capability that is kept they have, too. */
int privilege_drop_for_programs(const char *user);

/** Who privilege_drop() will make of us. @param user  as there @return 0, or -errno: -ENOENT when there is no such user */
int privilege_find_user(const char *user, uid_t *ret_uid, gid_t *ret_gid);

/**
 * Lifts the limit of locked memory where root may: relays that are forked inherit it, and keep keys out of the swap by it. Else it stays as it is,
 * and they say that they could not (netbroker-relay(8)).
 */
void privilege_lift_memlock_limit(void);

/** Raises the soft limit of descriptors to the hard one. @return the limit in force */
unsigned long privilege_raise_fd_limit(void);

#endif
