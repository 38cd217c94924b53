/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections by the cookie of their socket: what the kernel's events name them by.
 *
 * Most events are of other processes' sockets, so a look-up that finds nothing is one step in a bucket that is empty.
 */
#ifndef NB_BROKER_CONNECTION_TABLE_H
#define NB_BROKER_CONNECTION_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct connection;

struct connection_table {
        struct connection **buckets; /* chained by connection->next_in_bucket */
        size_t n_buckets;            /* a power of two; 0 before the first */
        size_t n;
};

/** Frees what the table allocated; nothing may be in it any more. */
void connection_table_deinit(struct connection_table *table);

/** Adds a connection, by its cookie. @return 0 or -ENOMEM */
int connection_table_add(struct connection_table *table, struct connection *connection);

/** Takes one out that is in it. */
void connection_table_remove(struct connection_table *table, struct connection *connection);

/** @return the connection with that cookie, or NULL. */
struct connection *connection_table_find(const struct connection_table *table, uint64_t cookie);

#endif
