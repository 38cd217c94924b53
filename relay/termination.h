/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a relay does when it is told to end (SIGTERM): peers of QUIC are told by a CONNECTION_CLOSE each, and peers of streams that a guest has not ended get a reset, so that
 * none takes what was cut for a whole. Nothing is waited for.
 */
#ifndef NB_RELAY_TERMINATION_H
#define NB_RELAY_TERMINATION_H

#include "loop/watch.h"

struct relay;

struct termination {
        struct watch watch;
        struct relay *relay; /* borrowed */
        int fd;              /* owned; signalfd(2) */
};

/** Has the signal end the relay's loop, from which on it is blocked. To be called before the walls are closed. @return 0 or -errno */
int termination_start(struct termination *termination, struct relay *relay);

/** Before the relay's loop is gone. */
void termination_stop(struct termination *termination);

#endif
