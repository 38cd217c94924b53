/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other ends that guests of the conformance suite find: one process of its own that sends back what it gets, over TCP, UDP and a Unix
 * socket, and addresses where nobody is, or nobody answers. The guests' names for them are in conformance.h.
 *
 * As in the harness, what fails here fails the test.
 */
#ifndef NB_TESTS_CONFORMANCE_PEERS_H
#define NB_TESTS_CONFORMANCE_PEERS_H

#include <sys/types.h>

#include "tests/support/harness.h"
#include "tests/support/peer.h"

#define PEERS_BLACK_HOLE_MAX 8

/** What RLIMIT_NOFILE must allow: a guest gets three quarters of it, and has 10,000 streams. */
#define PEERS_DESCRIPTORS 13500

struct peers {
        pid_t pid;           /* of the process that sends back */
        struct peer echo;    /* TCP over IPv4 */
        struct peer echo6;   /* over IPv6 */
        struct peer crowd;   /* as `echo`, for many: it resets who leaves, so that no address is taken for a minute */
        struct peer silent;  /* connects, and says nothing */
        struct peer refused; /* nobody listens, and nobody else gets the port */
        struct peer black_hole; /* a backlog that is full */
        struct peer datagrams;  /* UDP over IPv4 */
        struct peer datagrams6; /* over IPv6 */
        struct peer refused_datagrams;
        int unix_fd;
        char unix_path[HARNESS_PATH_MAX];
        int filling[PEERS_BLACK_HOLE_MAX]; /* the backlog */
        size_t n_filling;
};

/** Makes all of them. @param folder  of the Unix socket */
void peers_start(struct peers *peers, const char *folder);

/** Ends the process and closes all. */
void peers_end(struct peers *peers);

#endif
