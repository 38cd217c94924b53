/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership helpers.
 *
 * A local that owns a descriptor or an allocation carries a cleanup attribute until the one visible
 * steal that publishes it. So every early return gives back what was taken, and a reader finds each
 * transfer of ownership by looking for `nb_steal_`.
 */
#ifndef NB_BASE_CLEANUP_H
#define NB_BASE_CLEANUP_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define NB_CLEANUP(function) __attribute__((cleanup(function)))

/** Closes `fd` if it is not negative, keeps errno, and returns -1: `x->fd = nb_fd_close(x->fd);` */
static inline int nb_fd_close(int fd) {
        if (fd >= 0) {
                int saved = errno;

                (void)close(fd);
                errno = saved;
        }
        return -1;
}

/** Makes an inherited descriptor close-on-exec and non-blocking. @return 0 or -errno */
static inline int nb_fd_prepare(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
                return -errno;
        return 0;
}

/**
 * Opens /dev/null for each of 0 to 2 that is closed. A program started without standard streams would give their numbers to
 * sockets, and then print into those. @return 0 or -errno
 */
static inline int nb_fds_ensure_standard(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_NOCTTY);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd < 0)
                return -errno;
        (void)nb_fd_close(fd);
        return 0;
}

/** Closes every descriptor of an array; for those that came with a frame and are not wanted. */
static inline void nb_fds_close(const int *fds, size_t n_fds) {
        for (size_t i = 0; i < n_fds; ++i)
                nb_fd_close(fds[i]);
}

/** Takes the descriptor out of a guarded local: the caller owns it now. */
static inline int nb_steal_fd(int *fd) {
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

/** Takes the pointer out of a guarded local: the caller owns it now. */
#define nb_steal_ptr(pointer)                                                                                          \
        ({                                                                                                             \
                __typeof__(pointer) *p_ = &(pointer);                                                                  \
                __typeof__(pointer) v_ = *p_;                                                                          \
                *p_ = NULL;                                                                                            \
                v_;                                                                                                    \
        })

static inline void nb_cleanup_fd_(int *fd) {
        *fd = nb_fd_close(*fd);
}

static inline void nb_cleanup_free_(void *pointer) {
        free(*(void **)pointer);
}

#define NB_CLEANUP_FD NB_CLEANUP(nb_cleanup_fd_)
#define NB_CLEANUP_FREE NB_CLEANUP(nb_cleanup_free_)

#endif
