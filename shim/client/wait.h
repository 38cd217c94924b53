/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_SHIM_CLIENT_WAIT_H
#define NB_SHIM_CLIENT_WAIT_H

#include <poll.h>
#include <stdint.h>

/** The wait function of sessions that bring none: ppoll(2). See nb_wait_function. */
int nb_wait_ppoll(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns);

#endif
