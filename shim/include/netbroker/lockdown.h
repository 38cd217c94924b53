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
 *   1. no_new_privs, so that no program that is executed later gains a privilege.
 *   2. Landlock: files only below the directories that are granted; no TCP bind or connect (from Landlock ABI 4, Linux
 *      6.7); no abstract Unix socket and no signal out of the process's own domain (ABI 6, Linux 6.12).
 *   3. seccomp, for all threads: EPERM for what makes a socket or turns one into another: socket, socketpair
 *      but for Unix stream and seqpacket pairs, connect, bind, listen, sendto with an address, sendmmsg,
 *      MSG_FASTOPEN, every setsockopt but the harmless ones of a stream (buffer sizes, timeouts, linger,
 *      keepalive, TCP_NODELAY and its like), ioctls of sockets and network devices, io_uring; and for the
 *      ways around the walls: ptrace, other processes' memory and descriptors, namespaces, mounts, bpf,
 *      userfaultfd, perf events, keys, modules, kexec, input pushed into a terminal. clone3 is ENOSYS, so
 *      that libc uses clone, whose flags can be seen. System calls of another ABI (i386, x32) kill the process.
 *
 * What goes on working: recv, send, read, write, recvmsg, sendmsg, shutdown, poll, epoll and close on what is
 * open, accept on a listener made before, memory that is written and then executed (a JIT), threads, clocks,
 * files in granted directories, and every file that is open already.
 *
 * What it does not stop: sendmsg with an address on a UDP socket (the address is in memory, where seccomp cannot look);
 * passing a descriptor over a Unix socket that is open already to a process that is not locked down; what was
 * done before. It is no sandbox against faults of the kernel.
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
        NB_LOCKDOWN_READ = 1, /* open and list */
        NB_LOCKDOWN_READ_WRITE =
                2, /* also create, write, truncate, rename, link, remove; not devices, sockets, pipes */
};

struct nb_lockdown_directory {
        const char *path; /* NULL: `fd` is the directory */
        int fd;           /* borrowed; O_PATH is enough */
        enum nb_lockdown_access access;
};

/** Walls that the kernel lacks are left out, instead of failing. */
#define NB_LOCKDOWN_BEST_EFFORT 0x1u

struct nb_lockdown_options {
        size_t size; /* sizeof(struct nb_lockdown_options), so that fields can be added */
        const struct nb_lockdown_directory *directories;
        size_t n_directories;
        uint32_t flags; /* 0 or NB_LOCKDOWN_BEST_EFFORT */
};

/** Defaults for all fields: no directory. */
#define NB_LOCKDOWN_OPTIONS_INIT                                                                                       \
        { .size = sizeof(struct nb_lockdown_options) }

/* Which walls stand, as bits of the result. */
#define NB_WALL_SECCOMP 0x1
#define NB_WALL_FILES 0x2  /* Landlock, any ABI */
#define NB_WALL_TCP 0x4    /* Landlock, ABI 4 */
#define NB_WALL_SCOPES 0x8 /* Landlock, ABI 6 */

/**
 * Locks down the calling process, for good, and what it forks and executes later.
 *
 * Call it when sessions are open and modules are loaded, for neither can be done afterwards, and before threads are
 * made: seccomp reaches threads that exist, Landlock restricts the calling thread and those it makes later only.
 *
 * @param options  borrowed; NULL for the defaults
 * @return NB_WALL_ bits, of which NB_WALL_SECCOMP and NB_WALL_FILES are always set without
 *         NB_LOCKDOWN_BEST_EFFORT; or a negative errno: -EOPNOTSUPP or -ENOSYS when the kernel has no
 *         Landlock or no seccomp; -ENOENT, -ENOTDIR, -EACCES, -EBADF for a directory; -EINVAL for options
 *         that are none; -ENOMEM. Some walls may stand after an error: end the process.
 */
NB_EXPORT int nb_lockdown(const struct nb_lockdown_options *options);

#ifdef __cplusplus
}
#endif

#endif
