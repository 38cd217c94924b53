/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls on non-blocking sockets, as transports want them: they never wait, start again after signals, and return errors as
 * numbers.
 */
#ifndef NB_RELAY_SOCKET_IO_H
#define NB_RELAY_SOCKET_IO_H

#include <stddef.h>
#include <sys/types.h>

/** recv(2). @return bytes; 0 at the end; -EAGAIN; -ECONNRESET; another -errno */
ssize_t socket_io_receive(int fd, void *buffer, size_t size, int flags);

/** send(2) without SIGPIPE. @return bytes; -EAGAIN; -EPIPE, -ECONNRESET; another -errno */
ssize_t socket_io_send(int fd, const void *bytes, size_t size);

/** splice(2) into a pipe. @return as socket_io_receive(); -EAGAIN also when the pipe is full */
ssize_t socket_io_splice(int fd, int pipe_fd, size_t size);

/** splice(2) out of one; the process ignores SIGPIPE, which no flag could hold back here. @return as socket_io_send() */
ssize_t socket_io_unsplice(int pipe_fd, int fd, size_t size);

/** shutdown(SHUT_WR); harmless on a socket that is not connected any more. @return 0 or -errno */
int socket_io_finish(int fd);

#endif
