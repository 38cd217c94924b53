/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/calls.h"

#include <fcntl.h>
#include <seccomp.h>

static const struct confine_call of_loop[] = {
        CONFINE_CALL(epoll_wait, "loop/watch.c waits"),
        CONFINE_CALL(epoll_pwait, "so does libuv, for timers"),
        CONFINE_CALL(epoll_pwait2, "so does libuv, for timers"),
        CONFINE_CALL(epoll_ctl, "loop/watch.c and libuv begin to watch"),
        CONFINE_CALL(epoll_create1, "a datagram server has its own set of watches"),
        CONFINE_CALL(clock_gettime, "timers, where the vDSO has no clock"),
        CONFINE_CALL(restart_syscall, "a wait goes on after a stop"),
        CONFINE_CALL(read, "libuv reads its own event descriptor"),
        CONFINE_CALL(eventfd2, "libuv makes its own event descriptor"),
};
const struct confine_list loop_calls = CONFINE_LIST(of_loop);

static const struct confine_call of_process[] = {
        CONFINE_CALL(brk, "memory"),
        CONFINE_CALL(mmap, "memory"),
        CONFINE_CALL(munmap, "memory"),
        CONFINE_CALL(mremap, "memory"),
        CONFINE_CALL(madvise, "memory that is given back"),
        CONFINE_CALL(mlock, "memory for secrets"),
        CONFINE_CALL(munlock, "memory for secrets"),
        CONFINE_CALL(mprotect, "the allocator's heaps"),
        CONFINE_CALL(futex, "locks of the C library and of GnuTLS"),
        CONFINE_CALL(getrandom, "keys of TLS, and of hash tables"),
        CONFINE_CALL(getpid, "GnuTLS asks whether it was forked"),
        CONFINE_CALL(gettimeofday, "when certificates expire, where the vDSO has no clock"),
        CONFINE_CALL(time, "when certificates expire, where the vDSO has no clock"),
        CONFINE_CALL(close, "all that the broker has sent"),
        CONFINE_CALL(write, "messages for the operator"),
        CONFINE_CALL(writev, "messages for the operator"),
        CONFINE_CALL(exit, "the end"),
        CONFINE_CALL(exit_group, "the end"),
        CONFINE_CALL(sigaltstack, "the end, where sanitizers watch"),
        CONFINE_CALL(rt_sigreturn, "the end of a signal"),
        CONFINE_CALL(rt_sigprocmask, "an assertion that fails"),
        CONFINE_CALL(gettid, "an assertion that fails"),
};
const struct confine_list process_calls = CONFINE_LIST(of_process);

const struct confine_list *const confine_lists[] = {
        &loop_calls,     &process_calls,   &channel_calls, &order_calls,         &setup_calls,
        &context_calls,  &transport_calls, &pair_calls,    &socket_io_calls,     &splice_calls,
        &datagram_calls, &tls_calls,       &quic_calls,    &guest_channel_calls,
};
const size_t n_confine_lists = sizeof(confine_lists) / sizeof(confine_lists[0]);
