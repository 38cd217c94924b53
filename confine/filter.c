/* SPDX-License-Identifier: Apache-2.0 */
#include "confine/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "confine/filter_check.h"

/* Hundreds of times what it takes, of a processor's time. */
#define MAKING_MAX_MS 500

/* The lists of the caller, and one of our own. */
#define LISTS_MAX 32

/* ---- making it ---- */

static int allow(scmp_filter_ctx filter, const struct confine_call *call) {
        struct scmp_arg_cmp where[CONFINE_WHERE_MAX];

        for (unsigned i = 0; i < call->n_where; ++i)
                where[i] = (struct scmp_arg_cmp){ call->where[i].argument, SCMP_CMP_MASKED_EQ, UINT32_MAX,
                                                  call->where[i].value };
        return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call->number, call->n_where, where);
}

static int allow_list(scmp_filter_ctx filter, const struct confine_list *list) {
        for (size_t i = 0; i < list->n_calls; ++i) {
                int r = allow(filter, &list->calls[i]);

                if (r < 0 && r != -EEXIST)
                        return r;
        }
        return 0;
}

static int fill(scmp_filter_ctx filter, const struct confine_rules *rules, int fd) {
        int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);

        for (size_t i = 0; r == 0 && i < rules->n; ++i)
                r = allow_list(filter, rules->lists[i]);
        return r < 0 ? r : seccomp_export_bpf(filter, fd);
}

/* Without memory the library may also compute for ever: SIGVTALRM ends the process then. */
static void bound_time(suseconds_t ms) {
        const struct itimerval end = { .it_value.tv_usec = ms * 1000 };

        (void)setitimer(ITIMER_VIRTUAL, &end, NULL);
}

static int make(const struct confine_rules *rules, int fd) {
        scmp_filter_ctx filter = seccomp_init(rules->otherwise);
        int r;

        if (!filter)
                return -ENOMEM;
        r = fill(filter, rules, fd);
        seccomp_release(filter);
        /* Whatever else it says is about the filter, and not about this system. */
        return r == 0 || r == -ENOMEM ? r : -EBADMSG;
}

/*
 * It comes by a pair, which holds all of it: pipes are made small where a user has many, and there may be no files.
 * @param ret  of BPF_MAXINSNS
 * @return how many instructions there are, or -errno
 */
static int export(const struct confine_rules *rules, struct sock_filter *ret) {
        NB_CLEANUP_FD int in = -1, out = -1;
        int ends[2], r;
        ssize_t n;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
                return -errno;
        in = ends[0];
        out = ends[1];
        bound_time(MAKING_MAX_MS);
        r = make(rules, in);
        bound_time(0);
        if (r < 0)
                return r;
        n = recv(out, ret, BPF_MAXINSNS * sizeof(*ret), MSG_DONTWAIT);
        if (n < 0)
                return -errno;
        return n % (ssize_t)sizeof(*ret) == 0 ? (int)((size_t)n / sizeof(*ret)) : -EBADMSG;
}

/* ---- loading it ---- */

static int load(const struct sock_fprog *program, unsigned flags) {
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program) < 0 ? -errno : 0;
}

static int load_for(const struct sock_fprog *program, enum confine_otherwise otherwise) {
        int r;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
                return -errno;
        r = load(program, otherwise == CONFINE_REFUSES ? SECCOMP_FILTER_FLAG_LOG : 0);
        /* A kernel before 4.14 cannot log: then it only refuses. */
        if (r == -EINVAL && otherwise == CONFINE_REFUSES)
                r = load(program, 0);
        return r == -EINVAL ? -EOPNOTSUPP : r;
}

static int make_and_load(const struct confine_rules *rules, enum confine_otherwise otherwise) {
        NB_CLEANUP_FREE struct sock_filter *filter = calloc(BPF_MAXINSNS, sizeof(*filter));
        struct sock_fprog program = { .filter = filter };
        int n, r;

        if (!filter)
                return -ENOMEM;
        n = export(rules, filter);
        if (n < 0)
                return n;
        r = confine_filter_check(filter, (size_t)n, rules);
        if (r < 0)
                return r;
        program.len = (unsigned short)n;
        return load_for(&program, otherwise);
}

int confine_filter_load(const struct confine_list *const *lists, size_t n, enum confine_otherwise otherwise) {
        /* An assertion that fails sends a signal to this process. To no other: it may be of the same user, and not every kernel scopes signals. */
        const struct confine_call abort_calls[] = { CONFINE_CALL_WHERE(tgkill, 0, (uint32_t)getpid(), "assertions") };
        const struct confine_list of_abort = CONFINE_LIST(abort_calls);
        const struct confine_list *all[LISTS_MAX] = { &of_abort };
        const struct confine_rules rules = {
                .lists = all,
                .n = n + 1,
                .arch = seccomp_arch_native(),
                .otherwise = otherwise == CONFINE_KILLS ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM),
        };

        if (n >= LISTS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < n; ++i)
                all[i + 1] = lists[i];
        return make_and_load(&rules, otherwise);
}
