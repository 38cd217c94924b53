/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/probe_confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

static const int calls[] = {
        /* the escapes (seal/escape.c, seal/ring.c) */
        SCMP_SYS(connect),
        SCMP_SYS(bind),
        SCMP_SYS(listen),
        SCMP_SYS(setsockopt),
        SCMP_SYS(sendto),
        SCMP_SYS(sendmsg),
        SCMP_SYS(sendmmsg),
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(io_uring_enter),
        /* what came of them, and the next connection */
        SCMP_SYS(accept4),
        SCMP_SYS(getsockname),
        SCMP_SYS(getsockopt),
        SCMP_SYS(recvfrom),
        /* messages, with descriptors; for the operator by write() */
        SCMP_SYS(recvmsg),
        SCMP_SYS(fcntl),
        SCMP_SYS(close),
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(write),
        SCMP_SYS(writev),
        /* the end, also that of a failed assertion */
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(gettid),
        SCMP_SYS(getpid),
        SCMP_SYS(tgkill),
        /* the C library's memory, and that of the sanitizers */
        SCMP_SYS(brk),
        SCMP_SYS(mmap),
        SCMP_SYS(munmap),
        SCMP_SYS(madvise),
        SCMP_SYS(futex),
};

/* The bounding set can be cleared with CAP_SETPCAP only; without it, no new privileges does the same, and libcap-ng would complain to the log. */
static capng_select_t what_to_apply(void) {
        return capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
}

static int give_up_capabilities(void) {
        capng_select_t what = what_to_apply();

        capng_clear(CAPNG_SELECT_BOTH);
        if (capng_apply(what) < 0)
                return -EPERM;
        return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 ? -errno : 0;
}

static int add_rules(scmp_filter_ctx filter) {
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
                int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i], 0, NULL);

                if (r < 0)
                        return r;
        }
        return 0;
}

int probe_confine(void) {
        scmp_filter_ctx filter;
        int r = give_up_capabilities();

        if (r < 0)
                return r;
        filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        if (!filter)
                return -ENOMEM;
        r = add_rules(filter);
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r;
}
