/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving and sending, which all of POSIX's functions for it end in. */
#ifndef NB_GUEST_POSIX_TRANSFER_H
#define NB_GUEST_POSIX_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/** Whether the parts, at most IOV_MAX of them, have no byte together. */
bool nb_posix_is_empty(const struct iovec *parts, size_t n_parts);

/**
 * @param flags          MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_CMSG_CLOEXEC
 * @param ret_truncated  whether a datagram did not fit; may be NULL
 * @return how many bytes, or -1 with errno
 */
ssize_t nb_posix_receive(int fd, const struct iovec *parts, size_t n_parts, int flags, bool *ret_truncated);

/** @param flags  MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE, MSG_EOR @return how many bytes, or -1 with errno */
ssize_t nb_posix_send(int fd, const struct iovec *parts, size_t n_parts, int flags);

#endif
