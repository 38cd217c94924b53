/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control that nobody uses, kept for the next nb_open().
 *
 * Programs that connect often open a control, connect, and close it, each time: two round trips, of which the
 * first buys nothing new. A control whose bind address is open (0.0.0.0:0, [::]:0, or no name) and that does nothing is the same for
 * everyone, and what it may do is judged when it is asked. So one that is freed is kept with its protocol, and the next
 * nb_open() with the same parameters takes it without asking. It is authority that the protocol gives anyway, and
 * goes with it.
 *
 * One of each type of socket is kept, so that a program that uses both, as one does that asks a name server over datagrams and
 * then connects, finds each again.
 *
 * Shared by a protocol and its controls, since either may be freed first; so it is also where a control finds its protocol, if that is still there.
 */
#ifndef NB_SHIM_CLIENT_SPARE_H
#define NB_SHIM_CLIENT_SPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbroker/client.h"

struct nb_spare;

/** @param protocol  borrowed until nb_spare_close() @return one reference owned by the caller, the protocol, or NULL without memory. */
struct nb_spare *nb_spare_new(struct nb_protocol *protocol);

/** Takes NULL. @return the protocol, borrowed; NULL when it is gone. */
struct nb_protocol *nb_spare_protocol(const struct nb_spare *spare);

/** @return `spare`. */
struct nb_spare *nb_spare_ref(struct nb_spare *spare);

/** Takes NULL. @return NULL. */
struct nb_spare *nb_spare_unref(struct nb_spare *spare);

/** The protocol is gone: frees what is kept, and keeps nothing any more. */
void nb_spare_close(struct nb_spare *spare);

/** Offers a control that is being freed. @return whether it was taken; otherwise it is still the caller's to free. */
bool nb_spare_offer(struct nb_spare *spare, struct nb_control *control);

/** @return a control as nb_open() with these parameters would make it, owned by the caller; NULL if there is none. */
struct nb_control *nb_spare_take(struct nb_spare *spare, const char *address, size_t length, enum nb_socket_type type,
                                 uint64_t rights_base, uint64_t rights_inheriting);

#endif
