/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that a small program of ours serves: systemd's, or one that it makes itself.
 */
#ifndef NB_SERVICE_SOCKET_H
#define NB_SERVICE_SOCKET_H

#include <sys/types.h>

#include "base/log.h"

/**
 * Has the socket to serve: SEQPACKET, listening, non-blocking. Where there is none it is logged, with what is to be done.
 * @param path   where it is made, with mode 0600; NULL: systemd's is taken (LISTEN_FDS)
 * @param owner  the user to whom the one at `path` is given; our own, or it takes privileges
 * @return owned by the caller, who does not remove the path; or -errno
 */
int service_socket(const struct nb_log *log, const char *path, uid_t owner);

#endif
