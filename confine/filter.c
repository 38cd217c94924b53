/* SPDX-License-Identifier: Apache-2.0 */
#include "confine/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <unistd.h>

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

/* An assertion that fails sends a signal to this process. To no other: it may be of the same user, and not every kernel scopes signals. */
static int allow_abort(scmp_filter_ctx filter) {
        struct scmp_arg_cmp self = { 0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)getpid() };

        return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self);
}

static int fill(scmp_filter_ctx filter, const struct confine_list *const *lists, size_t n,
                enum confine_otherwise otherwise) {
        int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);

        /* A kernel before 4.14 cannot log: then it only refuses. */
        if (r == 0 && otherwise == CONFINE_REFUSES)
                (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
        if (r == 0)
                r = allow_abort(filter);
        for (size_t i = 0; r == 0 && i < n; ++i)
                r = allow_list(filter, lists[i]);
        return r < 0 ? r : seccomp_load(filter);
}

int confine_filter_load(const struct confine_list *const *lists, size_t n, enum confine_otherwise otherwise) {
        scmp_filter_ctx filter =
                seccomp_init(otherwise == CONFINE_KILLS ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM));
        int r;

        if (!filter)
                return -ENOMEM;
        r = fill(filter, lists, n, otherwise);
        seccomp_release(filter);
        return r;
}
