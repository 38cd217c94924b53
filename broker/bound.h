/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket that is bound to what the policy grants.
 */
#ifndef NB_BROKER_BOUND_H
#define NB_BROKER_BOUND_H

#include "policy/policy.h"

struct asker;
struct unix_file;

/**
 * Makes a socket and binds it to an address that is granted for Listen.
 * @param asker     borrowed; its session is not looked at
 * @param address   gets the port that the kernel chose; untouched on failure
 * @param ret_file  what a bind to a path has made, owned by the caller; NULL for other addresses
 * @return a descriptor owned by the caller, or -errno; -EACCES when a Deny rule names the port that the kernel chose
 */
int bound_new(const struct asker *asker, enum policy_socket_type type, struct nb_socket_address *address,
              struct unix_file **ret_file);

#endif
