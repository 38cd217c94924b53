/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect(2) by io_uring(7): the kernel does it in another context than a system call of the caller's. Without the library for it, since it is one operation.
 */
#ifndef NB_SEAL_RING_H
#define NB_SEAL_RING_H

#include <sys/socket.h>

/**
 * Connects, without waiting.
 * @return 0; -EINPROGRESS: it has been begun, and is given up; -ENOSYS where the kernel has no io_uring, or not for us; -errno of the connect
 */
int ring_connect(int fd, const struct sockaddr *address, socklen_t length);

#endif
