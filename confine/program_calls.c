/* SPDX-License-Identifier: Apache-2.0 */
#include "confine/program_calls.h"

#include <seccomp.h>

static const struct confine_call calls[] = {
        CONFINE_CALL(poll, "the loop"),
        CONFINE_CALL(ppoll, "the loop"),
        CONFINE_CALL(restart_syscall, "the loop"),
        CONFINE_CALL(rt_sigreturn, "the loop"),
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
const struct confine_list confine_program_calls = CONFINE_LIST(calls);
