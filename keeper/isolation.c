/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/isolation.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/channel.h"

/* The standard streams, two sockets, and those of a message that are too many. */
#define FDS_RESERVED (8 + NB_CHANNEL_FDS_MAX)

/* The system calls of keeper/server.c and keeper/store.c, each with who needs it. Any other ends the process. */
static const int calls[] = {
        /* the loop */
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(clock_gettime),
        /* what interrupts a wait in close() */
        SCMP_SYS(setitimer),
        SCMP_SYS(rt_sigreturn),
        /* the broker: accept4(), who it is, messages with descriptors */
        SCMP_SYS(accept4),
        SCMP_SYS(getsockopt),
        SCMP_SYS(recvmsg),
        SCMP_SYS(sendmsg),
        SCMP_SYS(sendto),
        /* descriptors that are forgotten: no lingering, and close */
        SCMP_SYS(setsockopt),
        SCMP_SYS(close),
        /* messages for the operator */
        SCMP_SYS(write),
        SCMP_SYS(writev),
        /* the end, also that of a failed assertion, and where sanitizers watch */
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(gettid),
        SCMP_SYS(getpid),
        SCMP_SYS(tgkill),
        SCMP_SYS(sigaltstack),
        /* the C library's memory, and that of the sanitizers */
        SCMP_SYS(brk),
        SCMP_SYS(mmap),
        SCMP_SYS(mremap),
        SCMP_SYS(munmap),
        SCMP_SYS(mprotect),
        SCMP_SYS(madvise),
        SCMP_SYS(futex),
};

int isolation_find_user(const char *name, struct isolation_user *ret) {
        struct passwd passwd, *found = NULL;
        char buffer[4096];

        *ret = (struct isolation_user){ .uid = geteuid(), .gid = getegid() };
        if (!name)
                return 0;
        if (getpwnam_r(name, &passwd, buffer, sizeof(buffer), &found) != 0 || !found)
                return -ENOENT;
        *ret = (struct isolation_user){ .uid = passwd.pw_uid, .gid = passwd.pw_gid };
        return 0;
}

static int become(const struct isolation_user *user) {
        capng_clear(CAPNG_SELECT_BOTH);
        return capng_change_id((int)user->uid, (int)user->gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) < 0 ? -EPERM
                                                                                                               : 0;
}

/* The bounding set can be cleared with CAP_SETPCAP only; without it, no new privileges does the same, and libcap-ng would complain to the log. */
static capng_select_t what_to_apply(void) {
        return capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
}

static int stay(void) {
        capng_select_t what = what_to_apply();

        capng_clear(CAPNG_SELECT_BOTH);
        if (capng_apply(what) < 0)
                return -EPERM;
        return 0;
}

int isolation_become(const struct isolation_user *user) {
        const struct rlimit none = { 0 };
        int r = user ? become(user) : stay();

        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0 || prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) < 0 ||
            setrlimit(RLIMIT_CORE, &none) < 0)
                return -errno;
        return 0;
}

uint64_t isolation_raise_fds(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 0;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 0;
        return limit.rlim_cur > FDS_RESERVED ? limit.rlim_cur - FDS_RESERVED : 0;
}

static int add_rules(scmp_filter_ctx filter) {
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); ++i) {
                int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, calls[i], 0, NULL);

                if (r < 0)
                        return r;
        }
        return 0;
}

int isolation_enter(void) {
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
