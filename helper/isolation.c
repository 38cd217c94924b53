/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/isolation.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

/* The system calls of helper/server.c and helper/destroyer.c, each with who needs it. Any other ends the process. */
static const int calls[] = {
        /* the loop */
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(rt_sigreturn),
        /* clients: accept4(), who they are, requests and answers */
        SCMP_SYS(accept4),
        SCMP_SYS(getsockopt),
        SCMP_SYS(recvfrom),
        SCMP_SYS(sendto),
        SCMP_SYS(close),
        /* the kernel's answers come by recvfrom() as well; messages for the operator by write() */
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

static int keep_net_admin(void) {
        capng_select_t what;

        if (capng_get_caps_process() < 0 || !capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN))
                return -EPERM;
        what = what_to_apply();
        capng_clear(CAPNG_SELECT_BOTH);
        if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) < 0)
                return -EPERM;
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

static int restrict_calls(void) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        int r;

        if (!filter)
                return -ENOMEM;
        r = add_rules(filter);
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r;
}

int isolation_enter(void) {
        int r = keep_net_admin();

        return r < 0 ? r : restrict_calls();
}
