/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/probe_confine.h"

#include <seccomp.h>

#include "confine/capabilities.h"
#include "confine/filter.h"
#include "confine/program_calls.h"

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
        CONFINE_CALL(recvmsg, "messages, with descriptors"),
        CONFINE_CALL(fcntl, "messages, with descriptors"),
        CONFINE_CALL(close, "messages, with descriptors"),
};

static const struct confine_list list = CONFINE_LIST(calls);

int probe_confine(void) {
        const struct confine_list *const lists[] = { &confine_program_calls, &list };
        int r = confine_drop_capabilities(CONFINE_KEEP_NONE);

        return r < 0 ? r : confine_filter_load(lists, 2, CONFINE_KILLS);
}
