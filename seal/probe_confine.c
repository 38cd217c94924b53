/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/probe_confine.h"

#include <seccomp.h>

#include "confine/capabilities.h"
#include "confine/filter.h"

static const struct confine_call calls[] = {
        CONFINE_CALL(connect, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(bind, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(listen, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(setsockopt, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(sendto, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(sendmsg, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(sendmmsg, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(io_uring_setup, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(io_uring_enter, "the escapes (seal/escape.c, seal/ring.c)"),
        CONFINE_CALL(accept4, "what came of them, and the next connection"),
        CONFINE_CALL(getsockname, "what came of them, and the next connection"),
        CONFINE_CALL(getsockopt, "what came of them, and the next connection"),
        CONFINE_CALL(recvfrom, "what came of them, and the next connection"),
        CONFINE_CALL(recvmsg, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(fcntl, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(close, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(poll, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(ppoll, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(restart_syscall, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(rt_sigreturn, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(write, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(writev, "messages, with descriptors; for the operator by write()"),
        CONFINE_CALL(exit, "the end, also that of a failed assertion"),
        CONFINE_CALL(exit_group, "the end, also that of a failed assertion"),
        CONFINE_CALL(rt_sigprocmask, "the end, also that of a failed assertion"),
        CONFINE_CALL(gettid, "the end, also that of a failed assertion"),
        CONFINE_CALL(getpid, "the end, also that of a failed assertion"),
        CONFINE_CALL(brk, "the C library's memory, and that of the sanitizers"),
        CONFINE_CALL(mmap, "the C library's memory, and that of the sanitizers"),
        CONFINE_CALL(munmap, "the C library's memory, and that of the sanitizers"),
        CONFINE_CALL(madvise, "the C library's memory, and that of the sanitizers"),
        CONFINE_CALL(futex, "the C library's memory, and that of the sanitizers"),
};

static const struct confine_list list = CONFINE_LIST(calls);

int probe_confine(void) {
        const struct confine_list *const lists[] = { &list };
        int r = confine_drop_capabilities(CONFINE_KEEP_NONE);

        return r < 0 ? r : confine_filter_load(lists, 1, CONFINE_KILLS);
}
