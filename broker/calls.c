/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/calls.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "base/sanitized.h"

static const struct confine_call of_loop[] = {
        CONFINE_CALL(epoll_wait, "loop/watch.c waits"),
        CONFINE_CALL(epoll_pwait, "so does libuv"),
        CONFINE_CALL(epoll_pwait2, "so does libuv"),
        CONFINE_CALL(epoll_ctl, "loop/watch.c and libuv begin to watch"),
        CONFINE_CALL(epoll_create1, "a tenant has its own set of watches"),
        CONFINE_CALL(poll, "libraries wait for an answer, and the start for the keeper"),
        CONFINE_CALL(ppoll, "libraries wait for an answer"),
        CONFINE_CALL(read, "signals come through libuv's pipe"),
        CONFINE_CALL(clock_gettime, "timers, where the vDSO has no clock"),
        CONFINE_CALL(clock_getres, "libuv asks how exact a clock is"),
        CONFINE_CALL(restart_syscall, "a wait goes on after a stop"),
        CONFINE_CALL(timer_settime, "loop/nudge.c interrupts waits"),
        CONFINE_CALL(timer_delete, "loop/nudge.c, at the end"),
        CONFINE_CALL(rt_sigreturn, "the end of a signal"),
        CONFINE_CALL(rt_sigaction, "signals that are waited for no longer"),
        CONFINE_CALL(rt_sigprocmask, "signals that are waited for no longer, and an assertion that fails"),
        CONFINE_CALL(signalfd4, "libraries that wait"),
};
const struct confine_list broker_loop_calls = CONFINE_LIST(of_loop);

static const struct confine_call of_process[] = {
        CONFINE_CALL(brk, "memory"),
        CONFINE_CALL(mmap, "memory"),
        CONFINE_CALL(munmap, "memory"),
        CONFINE_CALL(mremap, "memory"),
        CONFINE_CALL(madvise, "memory that is given back"),
        CONFINE_CALL(mprotect, "the allocator's heaps, and modules for names of users"),
        CONFINE_CALL(mlock, "memory for secrets"),
        CONFINE_CALL(munlock, "memory for secrets"),
        CONFINE_CALL(futex, "locks of the C library"),
        CONFINE_CALL(getrandom, "questions of DNS, reset secrets, hash tables"),
        CONFINE_CALL(close, "whatever was opened"),
        CONFINE_CALL(close_range, "libraries"),
        CONFINE_CALL(fcntl, "flags of descriptors, and seals of memory"),
        CONFINE_CALL(dup, "libraries"),
        CONFINE_CALL(pipe2, "libuv"),
        CONFINE_CALL(eventfd2, "libuv and libmicrohttpd"),
        CONFINE_CALL(write, "messages for the operator"),
        CONFINE_CALL(writev, "messages for the operator"),
        CONFINE_CALL(getpid, "who we are"),
        CONFINE_CALL(gettid, "who we are, and an assertion that fails"),
        CONFINE_CALL(getppid, "who has started us"),
        CONFINE_CALL(getuid, "who we are"),
        CONFINE_CALL(geteuid, "who we are"),
        CONFINE_CALL(getgid, "who we are"),
        CONFINE_CALL(getegid, "who we are"),
        CONFINE_CALL(getrusage, "metrics"),
        CONFINE_CALL(getrlimit, "metrics"),
        CONFINE_CALL(prlimit64, "metrics"),
        CONFINE_CALL(times, "metrics"),
        CONFINE_CALL(sysinfo, "the C library asks how much memory there is"),
        CONFINE_CALL(uname, "libraries ask which system it is"),
        CONFINE_CALL(gettimeofday, "the time, where the vDSO has no clock"),
        CONFINE_CALL(time, "the time, where the vDSO has no clock"),
        CONFINE_CALL(sched_yield, "locks of the C library"),
        CONFINE_CALL(sched_getaffinity, "libraries ask how many processors there are"),
        CONFINE_CALL(sigaltstack, "the end, where sanitizers watch"),
        CONFINE_CALL(exit, "the end"),
        CONFINE_CALL(exit_group, "the end"),
};
const struct confine_list broker_process_calls = CONFINE_LIST(of_process);

/* Which module finds the names of users the machine's administrator decides (nsswitch.conf(5)): some read files, some ask a process. */
static const struct confine_call of_policy[] = {
        CONFINE_CALL(open, "files of the policy"),
        CONFINE_CALL(openat, "files of the policy, of users, of DNS"),
        CONFINE_CALL(pread64, "modules for names of users"),
        CONFINE_CALL(readv, "modules for names of users"),
        CONFINE_CALL(lseek, "files of users"),
        CONFINE_CALL(stat, "whether files have changed"),
        CONFINE_CALL(lstat, "whether files have changed"),
        CONFINE_CALL(fstat, "whether files have changed"),
        CONFINE_CALL(newfstatat, "whether files have changed"),
        CONFINE_CALL(statx, "whether files have changed"),
        CONFINE_CALL(fstatfs, "modules for names of users"),
        CONFINE_CALL(statfs, "modules for names of users"),
        CONFINE_CALL(access, "files of users"),
        CONFINE_CALL(faccessat, "files of users"),
        CONFINE_CALL(faccessat2, "files of users"),
        CONFINE_CALL(readlink, "links among them"),
        CONFINE_CALL(readlinkat, "links among them"),
        CONFINE_CALL(getdents64, "folders of the policy, and of descriptors"),
        CONFINE_CALL(getcwd, "paths for messages"),
        CONFINE_CALL(fadvise64, "files of users"),
};
const struct confine_list broker_policy_calls = CONFINE_LIST(of_policy);

#if NB_SANITIZED
/* Leaks are looked for at the end, by a process that stops this one and looks into it. */
static const struct confine_call of_sanitizers[] = {
        CONFINE_CALL(clone, "the process that looks"),
        CONFINE_CALL(ptrace, "looking"),
        CONFINE_CALL(prctl, "letting it look"),
        CONFINE_CALL(wait4, "its end"),
        CONFINE_CALL(getpgrp, "messages"),
        CONFINE_CALL(getdents, "threads of this process"),
        CONFINE_CALL(kill, "its end"),
        CONFINE_CALL(tgkill, "stopping"),
        CONFINE_CALL(set_robust_list, "the process that looks"),
        CONFINE_CALL(process_vm_readv, "looking"),
        CONFINE_CALL(personality, "the layout of memory"),
        CONFINE_CALL(arch_prctl, "the process that looks"),
        CONFINE_CALL(sched_setscheduler, "sanitizers' threads"),
        CONFINE_CALL_WHERE(ioctl, 1, TCGETS, "whether messages may have colours"),
};
const struct confine_list broker_sanitizer_calls = CONFINE_LIST(of_sanitizers);
#else
const struct confine_list broker_sanitizer_calls = { NULL, 0 };
#endif
