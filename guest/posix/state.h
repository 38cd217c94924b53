/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the library remembers between two calls, in one place.
 *
 * A guest is one process with one thread, and this is part of it: nothing here is trusted by the host, and a guest that writes over it
 * harms only itself. What a descriptor is, the host knows; here is only what the host cannot know, such as an option that was set
 * before there was a connection to set it on.
 */
#ifndef NB_GUEST_POSIX_STATE_H
#define NB_GUEST_POSIX_STATE_H

#include "guest/posix/hostent.h"
#include "guest/posix/placeholder.h"
#include "guest/posix/protocol.h"
#include "guest/posix/table.h"

struct nb_posix_state {
        struct nb_posix_table table;
        struct nb_posix_protocols protocols;
        struct nb_posix_placeholders placeholders;
        struct nb_posix_results results;
};

extern struct nb_posix_state nb_posix_state;

#endif
