/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper gives up before it accepts a connection: its user, every capability, new privileges, core dumps, being looked into, and every
 * system call but those of its loop. It holds channels of all tenants.
 */
#ifndef NB_KEEPER_ISOLATION_H
#define NB_KEEPER_ISOLATION_H

#include <stdint.h>

#include "service/user.h"

/**
 * Gives up capabilities and the like.
 * @param user  whom to become, with that group and no other, which needs root; NULL: stay who we are
 * @return 0 or -errno
 */
int isolation_become(const struct service_user *user);

/** Raises the limit of descriptors to the hard one. @return how many may be kept: some are needed to receive others; 0: none */
uint64_t isolation_raise_fds(void);

/** Gives up system calls, when all descriptors are open. @return 0 or -errno */
int isolation_enter(void);

#endif
