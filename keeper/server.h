/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving one broker at a time: its messages go into the store, and the store goes to it when it asks.
 *
 *      nobody ──accept──► a broker ──its channel ends, and everything that it sent is read──► nobody ──timeout──► all is forgotten
 *
 * While the store is sent nothing is read, so that it does not change under the walk. A message that makes no sense ends the connection; entries stay.
 *
 * To close a descriptor can wait for others, where it is the last of a file, or has such in its queue (loop/nudge.h). So a timer of the kernel's
 * interrupts such waits for as long as something is being done.
 */
#ifndef NB_KEEPER_SERVER_H
#define NB_KEEPER_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/channel.h"
#include "base/log.h"
#include "keeper/store.h"

struct server {
        const struct nb_log *log; /* borrowed */
        struct store store;
        int listen_fd;       /* borrowed; non-blocking */
        uid_t user;          /* who may ask, beside root */
        uint64_t timeout_ms; /* entries are forgotten when no broker has come for so long; 0: never */
        int client_fd;       /* owned; -1: nobody */
        bool begun;          /* it has fetched, or reset */
        bool sending;
        bool has_refused; /* which is said once for each broker */
        bool crowded;     /* so many descriptors are on their way that the kernel takes no more of this user's */
        struct nb_list *next_sent; /* the entry that is sent next; the head: End is */
        uint64_t left_ms;          /* since when nobody is there, by the monotonic clock */
        uint8_t message[NB_CHANNEL_MESSAGE_MAX];
};

/** Makes one that serves nobody yet. `log`, `listen_fd`, `user` and `timeout_ms` are the caller's to set. @return 0 or -errno */
int server_init(struct server *server, const struct store_limits *limits);

/** Waits for events and handles them, once. @return 0, or -errno when waiting is impossible */
int server_turn(struct server *server);

/** Ends the connection, and forgets all. */
void server_deinit(struct server *server);

#endif
