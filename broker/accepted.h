/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a session of a connection that its listening control has taken: Accepted, with the one descriptor.
 */
#ifndef NB_BROKER_ACCEPTED_H
#define NB_BROKER_ACCEPTED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/socket_address.h"
#include "proto/relay_frame.h"

struct control;

/** All borrowed. */
struct accepted {
        uint64_t number; /* counts from 1 over the control's life */
        int fd;
        const struct nb_socket_address *peer;
        const char *local;                   /* as a text; "" where the descriptor tells it */
        const Nb__Relay__Security *security; /* NULL: no TLS */
        bool multiplexed;                    /* the descriptor is a connection channel */
};

/** Pushes it. @return as endpoint_push() */
int accepted_push(struct control *control, const struct accepted *accepted);

#endif
