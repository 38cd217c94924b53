/* SPDX-License-Identifier: Apache-2.0 */
#include "helper/isolation.h"

#include <linux/capability.h>
#include <seccomp.h>

#include "confine/capabilities.h"
#include "confine/filter.h"
#include "confine/program_calls.h"

/*
 * The system calls of helper/server.c and helper/destroyer.c, each with who needs it, beside those of
 * confine/program_calls.h. Any other ends the process.
 */
static const struct confine_call calls[] = {
        CONFINE_CALL(accept4, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(getsockopt, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(recvfrom, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(sendto, "clients and the kernel: who they are, requests and answers"),
        CONFINE_CALL(close, "clients and the kernel: who they are, requests and answers"),
};

static const struct confine_list list = CONFINE_LIST(calls);

int isolation_enter(void) {
        const struct confine_list *const lists[] = { &confine_program_calls, &list };
        int r = confine_drop_capabilities(CAP_NET_ADMIN);

        return r < 0 ? r : confine_filter_load(lists, 2, CONFINE_KILLS);
}
