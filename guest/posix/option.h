/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options that are set before a socket has a stream, and what then becomes of them.
 */
#ifndef NB_GUEST_POSIX_OPTION_H
#define NB_GUEST_POSIX_OPTION_H

#include "guest/posix/table.h"

/**
 * Sets on a new stream what was remembered. One that the host refuses is dropped: there is no call any more that could say so.
 */
void nb_posix_option_apply(int fd, const struct nb_posix_socket *socket);

/** Gives an accepted stream the options and timeouts of its listener, as Linux does. */
void nb_posix_option_inherit(int fd, const struct nb_posix_socket *listener);

#endif
