/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nb_lockdown(): a hostile child on real sockets and folders, behind the walls or in front of them.
 *
 * Each escape is tried twice: without the walls, where it must work (or the test could not fail), and behind them.
 */
#ifndef NB_TESTS_UNIT_WALLED_H
#define NB_TESTS_UNIT_WALLED_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* What a child tells by its exit status: an errno, or one of these. */
#define WORKED 0
#define SETUP_FAILED 250
#define KILLED_BY_SIGSYS 251
#define KILLED_BY_SIGABRT 252

/* What a broker would have handed out, and what the network around it looks like. */
struct walled {
        int listener;     /* stays behind, in the broker */
        int tcp;          /* connected to `listener` */
        int peer;         /* its other end */
        int tcp6;         /* like tcp, over IPv6 */
        int udp;          /* connected to `udp_peer` */
        int udp_peer;     /* bound */
        int udp_stranger; /* bound, and connected to by nobody */
        struct sockaddr_in listener_address;
        struct sockaddr_in stranger_address;
        int pidfd; /* of the process itself, if it is prepared */
        int ring;  /* of io_uring, if it is prepared, and what it is to send */
        struct msghdr ring_message;
        pid_t neighbour;   /* a child that lives until its end of a pipe is closed, if it is prepared */
        char root[64];     /* of the folders below */
        char readable[80]; /* granted for reading: holds `file` */
        char writable[80]; /* granted for writing */
        char hidden[80];   /* not granted: holds `file` */
};

/** In a child: ends it unless what the test needs could be prepared. */
#define REQUIRE(condition)                                                                                             \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));           \
                        _exit(SETUP_FAILED);                                                                           \
                }                                                                                                      \
        } while (0)

/** In a child: returns 1 unless what a host needs works. */
#define MUST(condition)                                                                                                \
        do {                                                                                                           \
                if (!(condition)) {                                                                                    \
                        fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno));           \
                        return 1;                                                                                      \
                }                                                                                                      \
        } while (0)

/** What is tried, and what it gives: WORKED, an errno, or how the child was killed. */
struct escape {
        const char *name;
        void (*prepare)(struct walled *walled); /* before the walls; may be NULL */
        int (*attempt)(struct walled *walled);
        int before;
        int after;
};

/** Fails unless the escape gives what it should, both times. */
void walled_check_escape(const struct escape *escape);

/**
 * Runs `attempt` in a child, behind the walls or not.
 * @param prepare  runs before; may be NULL
 * @return what `attempt` returns, WORKED or an errno, or how the child was killed
 */
int walled_run(void (*prepare)(struct walled *walled), int (*attempt)(struct walled *walled), bool locked);

/** In a child: raises the walls, with `readable` and `writable` granted. @return as nb_lockdown() */
int walled_lock_down(const struct walled *walled);

/** What a system call that returned `r` gives: WORKED, or its errno. */
int walled_result(long r);

/** The path of a file that is not granted. @return `ret` */
const char *walled_hidden_file(const struct walled *walled, char ret[static 128]);

/** In a child: plays a kernel where these system calls fail with `error`. */
void walled_fail_calls(const int *numbers, size_t n_numbers, int error);

#endif
