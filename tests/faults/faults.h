/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which call of a program fails next, as the test says it and the preloaded library reads it.
 *
 * Both have the same file mapped (tests/support/faults.h), so that the program under test makes no system call for it: it may be behind a filter. The
 * test writes `error` and `call` first and `countdown` last, which arms it; the call for which the countdown comes to zero fails once.
 *
 * The library counts calls, and memory that is allocated and not freed: equal numbers before and after mean that nothing was leaked, also where no
 * sanitizer looks.
 */
#ifndef NB_TESTS_FAULTS_FAULTS_H
#define NB_TESTS_FAULTS_FAULTS_H

#include <stdatomic.h>

/** The file's name, in the environment of the program under test. */
#define FAULTS_VARIABLE "NETBROKER_FAULTS_FILE"

/** In the environment of one that such a program has started, and that is the same program. */
#define FAULTS_CHILD "NETBROKER_FAULTS_CHILD"

/** For an errno: the call moves one byte, where it could move more. Only bytes of a stream can be moved so. */
#define FAULTS_SHORT 4095

/** How deep the place of a failure is told. */
#define FAULTS_DEPTH 24

/** Calls that can fail; each is one of the C library, but for memory, which stands for all that allocate. */
#define FAULTS_CALLS(X)                                                                                                \
        X(memory)                                                                                                      \
        X(accept4)                                                                                                     \
        X(bind)                                                                                                        \
        X(connect)                                                                                                     \
        X(dup)                                                                                                         \
        X(epoll_create1)                                                                                               \
        X(epoll_ctl)                                                                                                   \
        X(epoll_wait)                                                                                                  \
        X(eventfd)                                                                                                     \
        X(fcntl)                                                                                                       \
        X(fork)                                                                                                        \
        X(getpeername)                                                                                                 \
        X(getsockname)                                                                                                 \
        X(getsockopt)                                                                                                  \
        X(ioctl)                                                                                                       \
        X(listen)                                                                                                      \
        X(memfd_create)                                                                                                \
        X(mmap)                                                                                                        \
        X(open)                                                                                                        \
        X(pipe2)                                                                                                       \
        X(poll)                                                                                                        \
        X(posix_spawn)                                                                                                 \
        X(read)                                                                                                        \
        X(recv)                                                                                                        \
        X(recvfrom)                                                                                                    \
        X(recvmmsg)                                                                                                    \
        X(recvmsg)                                                                                                     \
        X(send)                                                                                                        \
        X(sendmmsg)                                                                                                    \
        X(sendmsg)                                                                                                     \
        X(sendto)                                                                                                      \
        X(setsockopt)                                                                                                  \
        X(shutdown)                                                                                                    \
        X(socket)                                                                                                      \
        X(socketpair)                                                                                                  \
        X(splice)                                                                                                      \
        X(timerfd_create)                                                                                              \
        X(write)                                                                                                       \
        X(writev)

enum faults_call {
#define FAULTS_ENTRY(name) FAULTS_##name,
        FAULTS_CALLS(FAULTS_ENTRY)
#undef FAULTS_ENTRY
                FAULTS_N_CALLS,
};

/** A return address. */
struct faults_place {
        char file[32];
        unsigned long offset;
};

struct faults {
        atomic_uint call;                 /* enum faults_call */
        atomic_int error;                 /* the errno */
        atomic_uint countdown;            /* 0: nothing fails; 1: the next one */
        atomic_uint n_failed;             /* since the program was started */
        atomic_int only;                  /* the process whose calls fail and are counted; 0: each that has the file */
        atomic_uint seen[FAULTS_N_CALLS]; /* how often each was called */
        atomic_long
                live; /* blocks of memory that are allocated and not freed, none of a child's that is the same program */
        atomic_uint depth;                        /* of `places` */
        struct faults_place places[FAULTS_DEPTH]; /* of the last failure, innermost first */
        char child_preload[512];                  /* "LD_PRELOAD=..." for programs that this one starts; empty: none */
        char child_file[512];                     /* their FAULTS_VARIABLE, with its name */
};

#endif
