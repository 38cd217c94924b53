/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way through a policy's proxies, when it is known: what each of them is to be asked for.
 */
#ifndef NB_BROKER_PROXY_ROUTE_H
#define NB_BROKER_PROXY_ROUTE_H

#include "base/socket_address.h"
#include "policy/policy.h"

/** The longest target: a name with its port, or an address. */
#define PROXY_TARGET_MAX (POLICY_HOST_NAME_MAX + sizeof(":65535"))

struct proxy_way {
        struct nb_socket_address first;                  /* whom the socket is connected to */
        char targets[POLICY_HOPS_MAX][PROXY_TARGET_MAX]; /* of each proxy of the policy */
        size_t n;
};

#endif
