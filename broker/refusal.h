/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saying no, for a cause that is no rule's. What a rule refuses is recorded by decide() already.
 */
#ifndef NB_BROKER_REFUSAL_H
#define NB_BROKER_REFUSAL_H

#include "base/socket_address.h"
#include "broker/endpoint.h"

struct asker;

/** Why an operation is refused whose right is missing. */
#define REFUSAL_NO_RIGHT "the right is missing"

/**
 * Refuses, with a record.
 * @param asked  the address as the session wrote it, borrowed; may be NULL
 * @return as endpoint_refuse()
 */
int refuse(struct endpoint *endpoint, const struct asker *asker, const char *verb, const char *asked,
           enum nb_wasi_errno error, const char *reason);

/**
 * Refuses with an errno of this host. Limits, what this process may not do, and our own rules about paths are the operator's matter and
 * leave a record; what the peer or the network says does not.
 * @param address  what was to be bound or connected to, borrowed
 * @param r        -errno
 * @return as endpoint_refuse()
 */
int refuse_errno(struct endpoint *endpoint, const struct asker *asker, const char *verb,
                 const struct nb_socket_address *address, int r);

#endif
