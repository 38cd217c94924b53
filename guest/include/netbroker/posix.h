/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <netbroker/posix.h>: what libnetbroker-posix has beside POSIX, see netbroker-guest(7). No program needs it.
 */
#ifndef NETBROKER_POSIX_H
#define NETBROKER_POSIX_H

#ifdef __cplusplus
extern "C" {
#endif

/** The environment variable that names the protocol which sockets are opened on, where it has addresses of their family. */
#define NETWORKING_DEFAULT_VARIABLE "NETWORKING_DEFAULT"

/**
 * Chooses the protocol that sockets are opened on from now on, where it has addresses of their family; the others of the host
 * are tried behind it, in its order.
 * @param name  as the policy calls it; NULL: what the environment says
 * @return 0; -1 with ENOENT: there is none of that name, and the host's order is taken
 */
int netbroker_use_protocol(const char *name);

#ifdef __cplusplus
}
#endif

#endif
