/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/posix/host.h"

#include <errno.h>
#include <string.h>
#include <wasi/networking.h>

#define RIGHTS_OF_CONTROLS (__WASI_RIGHTS_SOCK_ACCEPT | __WASI_RIGHTS_SOCK_CONNECT | __WASI_RIGHTS_SOCK_LISTEN)

int nb_posix_fail(int error) {
        errno = error;
        return -1;
}

int nb_posix_result(int error) {
        return error ? nb_posix_fail(error) : 0;
}

int nb_posix_describe(int fd, struct nb_posix_description *ret) {
        __wasi_fdstat_t fdstat;
        __wasi_errno_t error = __wasi_fd_fdstat_get(fd, &fdstat);

        if (error)
                return error;
        *ret = (struct nb_posix_description){
                .type = fdstat.fs_filetype,
                .control = fdstat.fs_rights_base & RIGHTS_OF_CONTROLS,
                .nonblock = fdstat.fs_flags & __WASI_FDFLAGS_NONBLOCK,
                .inheriting = fdstat.fs_rights_inheriting,
        };
        return 0;
}

bool nb_posix_is_socket(const struct nb_posix_description *description) {
        return description->type == __WASI_FILETYPE_SOCKET_STREAM || description->type == __WASI_FILETYPE_SOCKET_DGRAM;
}

int nb_posix_set_nonblock(int fd, bool nonblock) {
        return __wasi_fd_fdstat_set_flags(fd, nonblock ? __WASI_FDFLAGS_NONBLOCK : 0);
}

int nb_posix_timeout(int64_t s, int64_t ns, int64_t *ret) {
        if (s < 0 || ns < 0 || ns >= NB_POSIX_NS_PER_S)
                return EINVAL;
        if (__builtin_mul_overflow(s, NB_POSIX_NS_PER_S, ret) || __builtin_add_overflow(*ret, ns, ret))
                *ret = NB_POSIX_FOREVER;
        return 0;
}

int64_t nb_posix_now(void) {
        __wasi_timestamp_t now = 0;

        (void)__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now);
        return (int64_t)now;
}

int64_t nb_posix_deadline(int64_t timeout_ns) {
        int64_t deadline;

        if (timeout_ns == NB_POSIX_FOREVER || __builtin_add_overflow(nb_posix_now(), timeout_ns, &deadline))
                return NB_POSIX_FOREVER;
        return deadline;
}

int64_t nb_posix_time_left(int64_t deadline) {
        int64_t now;

        if (deadline == NB_POSIX_FOREVER)
                return NB_POSIX_FOREVER;
        now = nb_posix_now();
        return deadline > now ? deadline - now : 0;
}

int nb_posix_replace(int fd, __wasi_fd_t by) {
        __wasi_errno_t error = __wasi_fd_renumber(by, fd);

        if (error)
                (void)__wasi_fd_close(by);
        return error;
}

void nb_posix_subscribe_fd(__wasi_subscription_t *ret, int fd, __wasi_eventtype_t type, uint64_t userdata) {
        memset(ret, 0, sizeof(*ret));
        ret->userdata = userdata;
        ret->u.tag = type;
        ret->u.u.fd_read.file_descriptor = fd; /* fd_write has it in the same place */
}

void nb_posix_subscribe_clock(__wasi_subscription_t *ret, int64_t timeout_ns, uint64_t userdata) {
        memset(ret, 0, sizeof(*ret));
        ret->userdata = userdata;
        ret->u.tag = __WASI_EVENTTYPE_CLOCK;
        ret->u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
        ret->u.u.clock.timeout = (__wasi_timestamp_t)timeout_ns;
}

int nb_posix_wait(int fd, __wasi_eventtype_t type, int64_t timeout_ns, bool *ret_hung_up) {
        __wasi_subscription_t subscriptions[2];
        __wasi_event_t events[2];
        __wasi_size_t n = 0;
        __wasi_errno_t error;

        nb_posix_subscribe_fd(&subscriptions[0], fd, type, 0);
        nb_posix_subscribe_clock(&subscriptions[1], timeout_ns, 0);
        error = __wasi_poll_oneoff(subscriptions, events, timeout_ns == NB_POSIX_FOREVER ? 1 : 2, &n);
        if (error)
                return error;
        for (__wasi_size_t i = 0; i < n; ++i) {
                if (events[i].type != type)
                        continue;
                if (ret_hung_up)
                        *ret_hung_up = events[i].fd_readwrite.flags & __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP;
                return events[i].error;
        }
        return EAGAIN;
}
