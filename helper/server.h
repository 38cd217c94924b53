/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving few clients, in one loop and without an allocation: a table of slots, a request at a time from each.
 *
 * Who a client is the kernel says, once, when it is accepted (SO_PEERCRED). A message that is not a request ends its connection, and so does a
 * client that does not read its answers.
 */
#ifndef NB_HELPER_SERVER_H
#define NB_HELPER_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/log.h"

/** The most clients at once; who comes then waits. One netbrokerd has one connection. */
#define SERVER_CLIENTS_MAX 8

struct server_client {
        int fd; /* -1: the slot is free */
        uid_t uid;
        bool was_refused; /* said once */
};

struct server {
        const struct nb_log *log; /* borrowed */
        int listen_fd;            /* borrowed; non-blocking */
        int diag_fd;              /* borrowed, of nb_sock_diag_open() */
        bool has_user;            /* only `user` may ask */
        uid_t user;
        struct server_client clients[SERVER_CLIENTS_MAX];
};

/** Frees all slots. The other members are the caller's to set. */
void server_init(struct server *server);

/** Waits for events and handles them, once. @return 0, or -errno when waiting is impossible */
int server_turn(struct server *server);

#endif
