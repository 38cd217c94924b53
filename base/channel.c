/* SPDX-License-Identifier: Apache-2.0 */
#include "base/channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* Linux 6.5; not in the headers of older systems. */
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

/* Room for the descriptors and for credentials, which a receiver gets unasked where SO_PASSCRED was set. */
union control_buffer {
        char bytes[CMSG_SPACE(sizeof(int) * NB_CHANNEL_FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr alignment;
};

/* Linux 6.5, as above; what this is elsewhere does not matter to a Unix socket. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* Linux 6.16; the number is another on two architectures, which do without. */
#if !defined(SO_PASSRIGHTS) && !defined(__sparc__) && !defined(__hppa__)
#define SO_PASSRIGHTS 83
#endif

/* Whether the last to close it may wait; where that cannot be asked, it may. Who lingers for no time resets the connection, and at once. */
static bool may_linger(int fd) {
        struct linger linger;
        socklen_t length = sizeof(linger);

        return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) < 0 || (linger.l_onoff && linger.l_linger != 0);
}

/* What is no socket, or may not be told so, is closed all the same. */
int nb_channel_fd_close(int fd) {
        struct linger off = { .l_onoff = 0 };

        if (fd >= 0 && may_linger(fd))
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
        return nb_fd_close(fd);
}

void nb_channel_fds_close(struct nb_channel_fds *fds) {
        for (size_t i = 0; i < fds->n; ++i)
                (void)nb_channel_fd_close(fds->fds[i]);
        fds->n = 0;
}

void nb_channel_refuse_fds(int fd) {
#ifdef SO_PASSRIGHTS
        (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){ 0 }, sizeof(int));
#else
        (void)fd;
#endif
}

void nb_channel_expect_bytes(int fd) {
        const int options[] = { SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD, SO_TIMESTAMP };

        for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); ++i)
                (void)setsockopt(fd, SOL_SOCKET, options[i], &(int){ 0 }, sizeof(int));
}

int nb_channel_pair(int ret[static 2]) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0)
                return -errno;
        return 0;
}

int nb_channel_check(int fd) {
        socklen_t size = sizeof(int);
        int domain, type;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return -errno;
        return domain == AF_UNIX && type == SOCK_SEQPACKET ? 0 : -EINVAL;
}

static ssize_t send_with_fds(int fd, const void *message, size_t length, const int *fds, size_t n_fds) {
        struct iovec iov = { .iov_base = (void *)message, .iov_len = length };
        union control_buffer control = { .bytes = { 0 } };
        struct msghdr header = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = CMSG_SPACE(sizeof(int) * n_fds),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
        return sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int nb_channel_send(int fd, const void *message, size_t length, const int *fds, size_t n_fds) {
        ssize_t n;

        if (length == 0 || length > NB_CHANNEL_MESSAGE_MAX || n_fds > NB_CHANNEL_FDS_MAX)
                return -EMSGSIZE;
        do
                n = n_fds > 0 ? send_with_fds(fd, message, length, fds, n_fds)
                              : send(fd, message, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

/* Keeps the descriptors of one control message; closes those that are too many. Returns whether all were kept. */
static bool keep_fds(const struct cmsghdr *cmsg, struct nb_channel_fds *fds) {
        size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        bool kept = true;

        for (size_t i = 0; i < n; ++i) {
                int fd;

                memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
                if (fds->n < NB_CHANNEL_FDS_MAX) {
                        fds->fds[fds->n++] = fd;
                } else {
                        (void)nb_channel_fd_close(fd);
                        kept = false;
                }
        }
        return kept;
}

/* Collects the descriptors of every control message. Returns whether there was nothing else than is expected. */
static bool collect_fds(struct msghdr *header, struct nb_channel_fds *fds) {
        bool clean = true;

        for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
                if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS)
                        continue;
                if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
                        clean = keep_fds(cmsg, fds) && clean;
                        continue;
                }
                /* Also a descriptor, which a socket with SO_PASSPIDFD gets unasked. */
                if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_PIDFD)
                        (void)keep_fds(cmsg, fds);
                clean = false;
        }
        return clean;
}

int nb_channel_receive(int fd, void *buffer, struct nb_channel_fds *ret_fds) {
        struct iovec iov = { .iov_base = buffer, .iov_len = NB_CHANNEL_MESSAGE_MAX };
        union control_buffer control;
        struct msghdr header = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control.bytes),
        };
        bool clean;
        ssize_t n;

        ret_fds->n = 0;
        do
                n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;

        clean = collect_fds(&header, ret_fds);
        if (header.msg_flags & MSG_CTRUNC) {
                /* Cut either because the sender sent more than the buffer holds, or because our table is full. In
                 * the second case the buffer has room left, and the fault is ours. */
                bool table_full = ret_fds->n < NB_CHANNEL_FDS_MAX && clean;

                nb_channel_fds_close(ret_fds);
                ret_fds->n_bytes_lost = (size_t)n;
                return table_full ? -EMFILE : -EBADMSG;
        }
        if (!clean || (header.msg_flags & MSG_TRUNC) || (n == 0 && ret_fds->n > 0)) {
                nb_channel_fds_close(ret_fds);
                return -EBADMSG;
        }
        return (int)n;
}

int nb_channel_receive_bytes(int fd, void *buffer) {
        struct iovec iov = { .iov_base = buffer, .iov_len = NB_CHANNEL_MESSAGE_MAX };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        do
                n = recvmsg(fd, &header, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        return header.msg_flags & (MSG_CTRUNC | MSG_TRUNC) ? -EBADMSG : (int)n;
}
