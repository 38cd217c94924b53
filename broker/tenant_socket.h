/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets that tenants have of their own (`Socket=`): as a policy is put in force, as a whole or not at all.
 *
 *      prepare   makes what the policy asks for and nobody serves yet, with owner and mode, under a name beside the real one
 *      commit    gives them their names, and removes the sockets that no tenant has any more; nothing of this can fail for want of anything
 *      abandon   removes what prepare has made
 *
 * So a policy that asks for a socket which cannot be made changes nothing, and a socket has its owner and mode before anyone finds it. A socket
 * whose tenant, owner and mode stay the same is left as it is; one that changes is replaced, and who waits in its backlog is not let in as
 * somebody else.
 *
 * A socket that systemd has passed on is the tenant's whose `Socket=` names its path; owner and mode are systemd's affair then.
 */
#ifndef NB_BROKER_TENANT_SOCKET_H
#define NB_BROKER_TENANT_SOCKET_H

#include "policy/policy.h"

struct broker;
struct tenant_sockets;

/**
 * Makes what a policy asks for. Errors are logged as they are to be shown.
 * @param policy  borrowed, and not in force yet
 * @param ret     owned by the caller, to be committed or abandoned
 * @return 0 or -errno
 */
int tenant_sockets_prepare(struct broker *broker, const struct policy *policy, struct tenant_sockets **ret);

/** Puts them in force, and ends those that no tenant has any more. @param policy  in force from now on @param sockets  consumed */
void tenant_sockets_commit(struct broker *broker, const struct policy *policy, struct tenant_sockets *sockets);

/** Removes what was made. Takes NULL. @return NULL */
struct tenant_sockets *tenant_sockets_abandon(struct tenant_sockets *sockets);

#endif
