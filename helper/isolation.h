/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the helper gives up before it accepts a connection: every capability but CAP_NET_ADMIN, new privileges, and every system call but
 * those of its loop.
 */
#ifndef NB_HELPER_ISOLATION_H
#define NB_HELPER_ISOLATION_H

/** To be called when all descriptors are open. @return 0 or -errno; -EPERM also when CAP_NET_ADMIN is not there to be kept */
int isolation_enter(void);

#endif
