/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rest asks of the host about a descriptor. Errors are errnos, which are WASI's numbers in wasi-libc; 0 is success.
 */
#ifndef NB_GUEST_POSIX_HOST_H
#define NB_GUEST_POSIX_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include <wasi/api.h>

/** Waits without an end. */
#define NB_POSIX_FOREVER INT64_MAX

#define NB_POSIX_NS_PER_S INT64_C(1000000000)
#define NB_POSIX_NS_PER_MS INT64_C(1000000)
#define NB_POSIX_NS_PER_US INT64_C(1000)

/** A descriptor as the host describes it. */
struct nb_posix_description {
        __wasi_filetype_t type; /* of a file */
        bool control;           /* a control of a network protocol, so neither readable nor writable */
        bool nonblock;
        __wasi_rights_t inheriting;
};

/** Sets errno. @return -1, for the caller to return. */
int nb_posix_fail(int error);

/** The same where there may be no error. @return 0 or -1. */
int nb_posix_result(int error);

int nb_posix_describe(int fd, struct nb_posix_description *ret);

/** Whether a description is of a socket of either type. */
bool nb_posix_is_socket(const struct nb_posix_description *description);

/** Switches nonblock; the descriptor's other flags are those that a socket has: none. */
int nb_posix_set_nonblock(int fd, bool nonblock);

/** Puts the descriptor `by` under the number `fd`, and closes what was there. @param by  consumed, also on failure */
int nb_posix_replace(int fd, __wasi_fd_t by);

/** A timeout in nanoseconds; one that does not fit is NB_POSIX_FOREVER. @return EINVAL: it is below 0, or `ns` is no part of a second */
int nb_posix_timeout(int64_t s, int64_t ns, int64_t *ret);

/** Nanoseconds of a clock that only goes on. */
int64_t nb_posix_now(void);

/** When a wait of `timeout_ns` from now ends. @param timeout_ns  NB_POSIX_FOREVER or at least 0 */
int64_t nb_posix_deadline(int64_t timeout_ns);

/** What is left until `deadline`, at least 0. */
int64_t nb_posix_time_left(int64_t deadline);

/** A subscription of poll_oneoff. */
void nb_posix_subscribe_fd(__wasi_subscription_t *ret, int fd, __wasi_eventtype_t type, uint64_t userdata);
void nb_posix_subscribe_clock(__wasi_subscription_t *ret, int64_t timeout_ns, uint64_t userdata);

/**
 * Waits for one descriptor.
 * @param type          __WASI_EVENTTYPE_FD_READ or __WASI_EVENTTYPE_FD_WRITE
 * @param ret_hung_up   whether the event came with the hang-up flag; may be NULL
 * @return EAGAIN when the time is over; what the event or the call has for an error
 */
int nb_posix_wait(int fd, __wasi_eventtype_t type, int64_t timeout_ns, bool *ret_hung_up);

#endif
