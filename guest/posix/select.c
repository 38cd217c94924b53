/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select() and pselect() on poll(). wasi-libc's fd_set is a list of numbers and not a set of bits, so a number may be any, but there are at
 * most FD_SETSIZE of them in a set.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include "guest/posix/host.h"
#include "guest/posix/poll.h"

/* How many numbers of a set count: those below `n`. */
static size_t count(const fd_set *set, int n) {
        size_t number = 0;

        for (size_t i = 0; set && i < set->__nfds; ++i)
                number += set->__fds[i] < n;
        return number;
}

static size_t add(const fd_set *set, int n, short events, struct pollfd *fds) {
        size_t number = 0;

        for (size_t i = 0; set && i < set->__nfds; ++i) {
                if (set->__fds[i] < n)
                        fds[number++] = (struct pollfd){ .fd = set->__fds[i], .events = events };
        }
        return number;
}

/* Leaves in a set what is ready. @return how many */
static int keep(fd_set *set, const struct pollfd *fds, size_t n_fds, short events) {
        if (!set)
                return 0;
        FD_ZERO(set);
        for (size_t i = 0; i < n_fds; ++i) {
                if (fds[i].revents & events)
                        FD_SET(fds[i].fd, set);
        }
        return (int)set->__nfds;
}

static bool has_bad_fd(const struct pollfd *fds, size_t n_fds) {
        for (size_t i = 0; i < n_fds; ++i) {
                if (fds[i].revents & POLLNVAL)
                        return true;
        }
        return false;
}

/* Nothing is exceptional here: there is no out-of-band data. But the numbers must be descriptors. */
static bool check_except(const fd_set *set, int n) {
        struct nb_posix_description description;

        for (size_t i = 0; set && i < set->__nfds; ++i) {
                if (set->__fds[i] < n && nb_posix_describe(set->__fds[i], &description))
                        return false;
        }
        return true;
}

static int select_for(int n, fd_set *readable, fd_set *writable, fd_set *except, int64_t timeout_ns) {
        size_t n_readable = count(readable, n);
        size_t n_writable = count(writable, n);
        struct pollfd *fds;
        int r;

        if (n < 0)
                return nb_posix_fail(EINVAL);
        if (!check_except(except, n))
                return nb_posix_fail(EBADF);
        fds = malloc((n_readable + n_writable + 1) * sizeof(*fds));
        if (!fds)
                return nb_posix_fail(ENOMEM);
        (void)add(readable, n, POLLIN, fds);
        (void)add(writable, n, POLLOUT, fds + n_readable);
        r = nb_posix_poll(fds, n_readable + n_writable, timeout_ns);
        if (r > 0 && has_bad_fd(fds, n_readable + n_writable))
                r = nb_posix_fail(EBADF);
        if (r >= 0) {
                r = keep(readable, fds, n_readable, POLLIN | POLLHUP | POLLERR);
                r += keep(writable, fds + n_readable, n_writable, POLLOUT | POLLERR);
                (void)keep(except, fds, 0, 0);
        }
        free(fds);
        return r;
}

int pselect(int n, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
            const struct timespec *restrict timeout, const sigset_t *restrict mask) {
        int64_t ns = NB_POSIX_FOREVER;

        (void)mask; /* there are no signals */
        if (timeout && nb_posix_timeout(timeout->tv_sec, timeout->tv_nsec, &ns))
                return nb_posix_fail(EINVAL);
        return select_for(n, readable, writable, except, ns);
}

/* As Linux does, for programs that call again with what is left. */
static void store_time_left(int64_t deadline, struct timeval *ret) {
        int64_t left = nb_posix_time_left(deadline);

        ret->tv_sec = left / NB_POSIX_NS_PER_S;
        ret->tv_usec = (suseconds_t)(left % NB_POSIX_NS_PER_S / NB_POSIX_NS_PER_US);
}

int select(int n, fd_set *restrict readable, fd_set *restrict writable, fd_set *restrict except,
           struct timeval *restrict timeout) {
        int64_t ns = NB_POSIX_FOREVER;
        int64_t deadline;
        int r;

        if (timeout && (timeout->tv_usec < 0 || timeout->tv_usec >= 1000000 ||
                        nb_posix_timeout(timeout->tv_sec, timeout->tv_usec * NB_POSIX_NS_PER_US, &ns)))
                return nb_posix_fail(EINVAL);
        deadline = nb_posix_deadline(ns);
        r = select_for(n, readable, writable, except, ns);
        if (deadline != NB_POSIX_FOREVER)
                store_time_left(deadline, timeout);
        return r;
}
