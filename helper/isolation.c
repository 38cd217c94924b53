/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/isolation.h"

#include <linux/capability.h>
#include <seccomp.h>

#include "confine/capabilities.h"
#include "confine/filter.h"

/* The system calls of helper/server.c and helper/destroyer.c, each with who needs it. Any other ends the process. */
static const struct confine_call calls[] = {
        CONFINE_CALL(poll, "the loop"),
        CONFINE_CALL(ppoll, "the loop"),
        CONFINE_CALL(restart_syscall, "the loop"),
        CONFINE_CALL(rt_sigreturn, "the loop"),
        CONFINE_CALL(accept4, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(getsockopt, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(recvfrom, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(sendto, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(close, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(write, "messages for the operator"),
        CONFINE_CALL(writev, "messages for the operator"),
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

int isolation_enter(void) {
        const struct confine_list *const lists[] = { &list };
        int r = confine_drop_capabilities(CAP_NET_ADMIN);

        return r < 0 ? r : confine_filter_load(lists, 1, CONFINE_KILLS);
}
