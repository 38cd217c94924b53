/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that our own programs serve at paths of the operator's choice: what is stale there is removed, anything else is left alone.
 *
 * For the names that tenants choose, see broker/unix_path.h: those are resolved without following links.
 */
#ifndef NB_BASE_UNIX_LISTENER_H
#define NB_BASE_UNIX_LISTENER_H

#include <sys/stat.h>
#include <sys/un.h>

/**
 * Binds to a path, with these permissions from the first moment on: by the umask, which is the process's, for a chmod(2) of the path might meet
 * something else there by then. Not for several threads.
 * @param fd  borrowed
 * @return 0 or -errno of bind(2)
 */
int nb_unix_bind(int fd, const struct sockaddr_un *address, mode_t mode);

/**
 * Makes a socket, close-on-exec and non-blocking, that listens at a path. A socket that nobody serves any more is removed from there. As nb_unix_bind().
 * @param type     SOCK_STREAM or SOCK_SEQPACKET
 * @param backlog  as listen(2) takes it
 * @return a descriptor owned by the caller, who removes the path; -EADDRINUSE when another process serves it, or another file is there;
 *         -ENAMETOOLONG; another -errno
 */
int nb_unix_listen(const char *path, int type, mode_t mode, int backlog);

/**
 * What is to be said where a path cannot be served.
 * @param error  a negative errno of nb_unix_listen()
 * @return words for the operator, that follow "cannot serve PATH: "; static, or as strerror()
 */
const char *nb_unix_listen_why(int error);

#endif
