/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message, with its descriptors, over an AF_UNIX SOCK_SEQPACKET socket.
 *
 * A message is atomic and arrives with the descriptors it was sent with, so there is no framing to get
 * wrong and no descriptor that outlives the message it belongs to. What is received is capped before
 * anyone looks at it: length, number of descriptors, MSG_TRUNC, MSG_CTRUNC. All control messages are
 * walked, so that a credential in front of the descriptors hides none (pesign issue 69).
 */
#ifndef NB_BASE_CHANNEL_H
#define NB_BASE_CHANNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/** The largest message, in bytes. */
#define NB_CHANNEL_MESSAGE_MAX 65536

/** The most descriptors in one message (the kernel's SCM_MAX_FD is 253). */
#define NB_CHANNEL_FDS_MAX 64

/** Descriptors that came with a message. Who received them owns them until they are stolen or closed. */
struct nb_channel_fds {
        int fds[NB_CHANNEL_FDS_MAX];
        size_t n;
        size_t n_bytes_lost; /* after -EMFILE: how long the message was that they came with; it is in the buffer */
};

/**
 * Closes a descriptor that another process has or had. Whoever holds a socket may have told it to linger: then the last to close
 * it would wait in the kernel for as long as the other has chosen. So that is taken back first; but a reset, which takes no time, stays what
 * the other has asked for. Ignores -1. @return -1
 */
int nb_channel_fd_close(int fd);

static inline void nb_cleanup_channel_fd_(int *fd) {
        *fd = nb_channel_fd_close(*fd);
}

/** As NB_CLEANUP_FD, for a local that is sent to another process. */
#define NB_CLEANUP_CHANNEL_FD NB_CLEANUP(nb_cleanup_channel_fd_)

/** Closes what is left in `fds` and empties it, each as nb_channel_fd_close(). */
void nb_channel_fds_close(struct nb_channel_fds *fds);

/**
 * Makes a connected pair of SEQPACKET channels, both CLOEXEC; each end is non-blocking.
 * @return 0 with both owned by the caller, or -errno.
 */
int nb_channel_pair(int ret[static 2]);

/** Whether `fd` can be a channel. @return 0; -EINVAL for a socket of another kind; -ENOTSOCK or -EBADF */
int nb_channel_check(int fd);

/**
 * Has the kernel refuse descriptors to who sends to `fd`, a Unix socket or a listening one, whose connections inherit it, from Linux
 * 6.16 on. Closing what was never asked for can make one wait, for a socket that lingers or a file of a file system that its sender
 * serves, also where it is still in the socket's queue; so it is better not to get it. On an older kernel it does nothing.
 */
void nb_channel_refuse_fds(int fd);

/**
 * Sends one message without waiting and without SIGPIPE. `fds` are borrowed: the kernel duplicates them. Without any it is
 * send(2) that is called, and not sendmsg(2), which a process that is locked down has given up (netbroker/lockdown.h).
 * @return 0; -EAGAIN when the peer does not read; -EPIPE or -ECONNRESET when it is gone; -EMSGSIZE over the
 *         limits; -ETOOMANYREFS when this user has too many descriptors in flight; another -errno.
 */
int nb_channel_send(int fd, const void *message, size_t length, const int *fds, size_t n_fds);

/**
 * Whether a message was not sent because this user has too many descriptors in flight, not only on that channel, or the kernel has no
 * memory for it. No event tells of room then: it is to be tried again after a while. @param r  of nb_channel_send()
 */
static inline bool nb_channel_is_short(int r) {
        return r == -ETOOMANYREFS || r == -ENOBUFS || r == -ENOMEM;
}

/** Whether a call has failed for want of memory or descriptors, which passes. @param r  -errno */
static inline bool nb_is_shortage(int r) {
        return nb_channel_is_short(r) || r == -EMFILE || r == -ENFILE;
}

/**
 * Receives one message without waiting. Every received descriptor is CLOEXEC.
 * @param buffer   at least NB_CHANNEL_MESSAGE_MAX bytes
 * @param ret_fds  owned by the caller on success; empty otherwise
 * @return the length (> 0); 0 at the end of the channel or for an empty message, which is not told apart from
 *         it; -EAGAIN; -EBADMSG when the message was cut, or carried anything but descriptors and credentials
 *         (its descriptors are closed); -EMFILE when this process's descriptor table was too full to receive
 *         them (those that did arrive are closed, and the message is as good as lost: `n_bytes_lost`); another -errno.
 */
int nb_channel_receive(int fd, void *buffer, struct nb_channel_fds *ret_fds);

/**
 * Receives one message, without waiting, from who has no descriptors to send. There is no room for any, so the kernel drops them, which
 * takes none of our table's places and waits for nobody: close(2) would ask the file system of each, and that may be the sender's.
 * @param fd  gets no other control messages unasked: see nb_channel_expect_bytes()
 * @return as nb_channel_receive(), -EBADMSG also for descriptors; never -EMFILE
 */
int nb_channel_receive_bytes(int fd, void *buffer);

/** Takes back what would bring credentials and the like with each message (unix(7), SO_PASSCRED), if whoever made `fd` set it. */
void nb_channel_expect_bytes(int fd);

#endif
