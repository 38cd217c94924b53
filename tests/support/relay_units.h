/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays as systemd starts them: a socket with Accept=yes, and an instance of the real netbroker-relay for each connection (environment NETBROKER_RELAY). They outlive
 * the daemon, and end with their channels.
 *
 * Functions fail the test (ck_abort) instead of returning errors.
 */
#ifndef NB_TESTS_SUPPORT_RELAY_UNITS_H
#define NB_TESTS_SUPPORT_RELAY_UNITS_H

#include <stddef.h>
#include <sys/types.h>

struct relay_units {
        char path[108]; /* for --relay-socket */
        pid_t pid;      /* of the process whose children the instances are */
};

/** Starts serving in a folder. */
void relay_units_start(struct relay_units *units, const char *folder);

/** Ends the serving, and the instances that are there. */
void relay_units_stop(struct relay_units *units);

/** @return the instances that run, in the order in which they began: the number of them that were put into `ret` */
size_t relay_units_list(const struct relay_units *units, pid_t *ret, size_t max);

/** Waits until there are so many. */
void relay_units_wait(const struct relay_units *units, size_t n);

#endif
