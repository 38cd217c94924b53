/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TLS has agreed on with the peer of a connection, as the broker tells it: kept for a guest that asks, in one piece of memory.
 */
#ifndef NB_SHIM_CLIENT_SECURITY_H
#define NB_SHIM_CLIENT_SECURITY_H

#include "netbroker/client.h"
#include "proto/netbroker.pb-c.h"

/**
 * Keeps a copy.
 * @param told  borrowed; its strings are UTF-8 without a NUL (proto/frame.h)
 * @param ret   owned by the caller: nb_security_free()
 * @return 0; -EPROTO for more names or longer texts than the protocol has room for (NB_SECURITY_*), or without a version; -ENOMEM
 */
int nb_security_new(const Nb__Security *told, struct nb_security **ret);

/** Takes NULL. @return NULL */
struct nb_security *nb_security_free(struct nb_security *security);

#endif
