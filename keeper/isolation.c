/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/isolation.h"

#include <cap-ng.h>
#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/channel.h"
#include "confine/capabilities.h"
#include "confine/filter.h"
#include "confine/program_calls.h"

/* The standard streams, two sockets, and those of a message that are too many. */
#define FDS_RESERVED (8 + NB_CHANNEL_FDS_MAX)

/*
 * The system calls of keeper/server.c and keeper/store.c, each with who needs it, beside those of
 * confine/program_calls.h. Any other ends the process.
 */
static const struct confine_call calls[] = {
        CONFINE_CALL(clock_gettime, "the loop"),
        CONFINE_CALL(setitimer, "what interrupts a wait in close()"),
        CONFINE_CALL(accept4, "the broker: accept4(), who it is, messages with descriptors"),
        CONFINE_CALL(getsockopt, "the broker: accept4(), who it is, messages with descriptors"),
        CONFINE_CALL(recvmsg, "the broker: accept4(), who it is, messages with descriptors"),
        CONFINE_CALL(sendmsg, "the broker: accept4(), who it is, messages with descriptors"),
        CONFINE_CALL(sendto, "the broker: accept4(), who it is, messages with descriptors"),
        CONFINE_CALL(setsockopt, "descriptors that are forgotten: no lingering, and close"),
        CONFINE_CALL(close, "descriptors that are forgotten: no lingering, and close"),
        CONFINE_CALL(sigaltstack, "the end, where sanitizers watch"),
        CONFINE_CALL(mremap, "the C library's memory, and that of the sanitizers"),
        CONFINE_CALL(mprotect, "the C library's memory, and that of the sanitizers"),
};

static const struct confine_list list = CONFINE_LIST(calls);

static int become(const struct service_user *user) {
        capng_clear(CAPNG_SELECT_BOTH);
        return capng_change_id((int)user->uid, (int)user->gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) < 0 ? -EPERM
                                                                                                               : 0;
}

int isolation_become(const struct service_user *user) {
        const struct rlimit none = { 0 };
        int r = user ? become(user) : confine_drop_capabilities(CONFINE_KEEP_NONE);

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

int isolation_enter(void) {
        const struct confine_list *const lists[] = { &confine_program_calls, &list };

        return confine_filter_load(lists, 2, CONFINE_KILLS);
}
