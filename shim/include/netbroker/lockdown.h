/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second wall: a host process gives up what a received socket could be turned into.
 *
 * A connected socket that the broker handed out still belongs, to the kernel, to the broker's network
 * namespace. Code that has taken over the host could disconnect it and connect it elsewhere, listen with it,
 * or name another peer. Where the broker's seal does not forbid that at the socket, the process that holds it
 * can forbid it to itself, before it runs what it does not trust. The broker cannot see whether that was
 * done; it is the host's own protection.
 *
 * What it does, in this order:
 *   1. no_new_privs.
 *   2. Landlock: files only below the directories that are granted; no TCP bind or connect (from Landlock ABI 4, Linux
 *      6.7); no abstract Unix socket and no signal out of the process's own domain (ABI 6, Linux 6.12).
 *   3. seccomp, for all threads: EPERM for what makes a socket or turns one into another: socket, socketpair
 *      but for Unix stream and seqpacket pairs, connect, bind, listen, sendto with an address or MSG_FASTOPEN, every
 *      sendmsg and sendmmsg, every setsockopt but the harmless ones of a stream (buffer sizes, timeouts, keepalive,
 *      TCP_NODELAY and its like; not SO_LINGER), ioctls of sockets and network devices, io_uring. The address, the flags and
 *      the descriptors of a sendmsg are in memory, where a filter cannot look; so a UDP socket sends to the peer that it is
 *      connected to and to no other, and no descriptor is passed on to another process.
 *      EPERM for what Landlock does not look at: modes, owners, flags and extended attributes of files, watching them
 *      (inotify, fanotify), truncate by a path (open with O_TRUNC and ftruncate stay).
 *      EPERM for what reaches other processes: signals, resource limits, priorities, scheduling, ptrace, their memory and
 *      descriptors, System V and POSIX queues, semaphores and shared memory, signals on I/O (F_SETOWN, F_SETSIG).
 *      EPERM for execve, namespaces, mounts, bpf, userfaultfd, perf events, keys, modules, kexec, the clock and the
 *      names of the machine, input pushed into a terminal.
 *      ENOSYS for clone3, so that libc uses clone, whose flags can be seen; for every call of a kernel later than this
 *      source; and for openat2 where Landlock's ABI is below 3. System calls of another ABI (i386, x32) kill the process.
 *
 * What goes on working: recv, recvmsg, send, read, write, readv, writev, shutdown, getsockname, getsockopt, poll, epoll
 * and close on what is open, accept on a listener made before, memory that is written and then executed (a JIT), threads,
 * clocks, files in granted directories, and every file that is open already. A process signals itself and its threads, by kill and
 * tgkill with its own id, which is what raise and abort do; and it sets its own limits and the calling thread's
 * processors, naming them as 0. No thread's priority or policy can be changed, nor another thread's processors.
 *
 * Children that are forked afterwards are locked down alike, and further: the id that may be signalled is that of the
 * process that called nb_lockdown(), so that in a child raise() fails, and abort() ends by another signal.
 *
 * What it does not stop: looking at files' status (stat, access, readlink, chdir) and setting their times (utimensat,
 * which WASI needs) by paths outside the granted directories, as far as the process's user may; what was done before, such
 * as a ring of io_uring that a thread of the kernel serves. It is no sandbox against faults of the kernel.
 */
#ifndef NETBROKER_LOCKDOWN_H
#define NETBROKER_LOCKDOWN_H

#include <stddef.h>
#include <stdint.h>

#include "netbroker/client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What may be done below a directory. */
enum nb_lockdown_access {
        NB_LOCKDOWN_READ = 1, /**< open and list */
        /** Also create, write, truncate, rename, link, remove; not devices, sockets, pipes. */
        NB_LOCKDOWN_READ_WRITE = 2,
};

/** A directory that stays open to the process, and all below it. */
struct nb_lockdown_directory {
        const char *path; /**< NULL: `fd` is the directory */
        int fd;           /**< borrowed; O_PATH is enough */
        enum nb_lockdown_access access;
};

/** Walls that the kernel lacks, or that would not stand around all threads, are left out, instead of failing. */
#define NB_LOCKDOWN_BEST_EFFORT 0x1u

/** What nb_lockdown() leaves. NB_LOCKDOWN_OPTIONS_INIT sets the defaults; all is borrowed for the call. */
struct nb_lockdown_options {
        size_t size; /**< sizeof(struct nb_lockdown_options), so that fields can be added */
        const struct nb_lockdown_directory *directories; /**< `n_directories` of them; NULL: none */
        size_t n_directories;                            /**< how many */
        uint32_t flags;                                  /**< 0 or NB_LOCKDOWN_BEST_EFFORT */
};

/** Defaults for all fields: no directory. */
#define NB_LOCKDOWN_OPTIONS_INIT                                                                                       \
        { .size = sizeof(struct nb_lockdown_options) }

/* Which walls stand, as bits of the result. */
#define NB_WALL_SECCOMP 0x1 /**< the filter of system calls, around all threads */
#define NB_WALL_FILES 0x2   /**< Landlock, any ABI */
#define NB_WALL_TCP 0x4     /**< Landlock, ABI 4: no bind and connect; seccomp refuses them as well */
#define NB_WALL_SCOPES 0x8  /**< Landlock, ABI 6: no signals and no abstract Unix sockets outside */

/**
 * Locks down the calling process, for good, and what it forks later.
 *
 * Call it when sessions are open and modules are loaded, for neither can be done afterwards, and before threads are
 * made: seccomp reaches threads that exist, Landlock restricts the calling thread and those it makes later only.
 * With NB_LOCKDOWN_BEST_EFFORT it can be called when there are other threads; Landlock's walls are not reported then,
 * though they stand around the calling thread. The threads are counted in /proc, or else, where there is none, by
 * unshare(2); when neither tells, there are taken to be several.
 *
 * @param options  borrowed; NULL for the defaults
 * @return NB_WALL_ bits, of which NB_WALL_SECCOMP and NB_WALL_FILES are always set without
 *         NB_LOCKDOWN_BEST_EFFORT; or a negative errno: -EOPNOTSUPP or -ENOSYS when the kernel has no
 *         Landlock or no seccomp; -EBUSY when there is more than one thread (nothing was done then); -ENOENT,
 *         -ENOTDIR, -EACCES, -EBADF for a directory; -EINVAL for options that are none; -ENOMEM. Some walls may
 *         stand after an error other than -EBUSY and -EINVAL: end the process.
 */
NB_EXPORT int nb_lockdown(const struct nb_lockdown_options *options);

#ifdef __cplusplus
}
#endif

#endif
