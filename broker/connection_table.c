/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/connection_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/connection.h"

#define N_BUCKETS_FIRST 256

/* The kernel counts cookies up, in runs for each processor: their low bits alone spread well. Nobody else can choose them. */
static struct connection **bucket_of(struct connection **buckets, size_t n_buckets, uint64_t cookie) {
        return &buckets[cookie & (n_buckets - 1)];
}

static void move_all(const struct connection_table *table, struct connection **buckets, size_t n_buckets) {
        for (size_t i = 0; i < table->n_buckets; ++i) {
                struct connection *connection, *next;

                for (connection = table->buckets[i]; connection; connection = next) {
                        struct connection **bucket = bucket_of(buckets, n_buckets, connection->cookie);

                        next = connection->next_in_bucket;
                        connection->next_in_bucket = *bucket;
                        *bucket = connection;
                }
        }
}

/* Doubles it when there are as many connections as buckets. It does not shrink: its size is bounded by what tenants may have at once. */
static int make_room(struct connection_table *table) {
        size_t n_buckets = table->n_buckets > 0 ? 2 * table->n_buckets : N_BUCKETS_FIRST;
        struct connection **buckets;

        if (table->n < table->n_buckets)
                return 0;
        buckets = calloc(n_buckets, sizeof(*buckets));
        if (!buckets)
                return -ENOMEM;
        move_all(table, buckets, n_buckets);
        free(table->buckets);
        table->buckets = buckets;
        table->n_buckets = n_buckets;
        return 0;
}

void connection_table_deinit(struct connection_table *table) {
        assert(table->n == 0);
        free(table->buckets);
        *table = (struct connection_table){ 0 };
}

int connection_table_add(struct connection_table *table, struct connection *connection) {
        struct connection **bucket;
        int r = make_room(table);

        if (r < 0)
                return r;
        bucket = bucket_of(table->buckets, table->n_buckets, connection->cookie);
        connection->next_in_bucket = *bucket;
        *bucket = connection;
        table->n++;
        return 0;
}

void connection_table_remove(struct connection_table *table, struct connection *connection) {
        struct connection **place = bucket_of(table->buckets, table->n_buckets, connection->cookie);

        while (*place != connection)
                place = &(*place)->next_in_bucket;
        *place = connection->next_in_bucket;
        table->n--;
}

struct connection *connection_table_find(const struct connection_table *table, uint64_t cookie) {
        struct connection *connection;

        if (table->n == 0)
                return NULL;
        connection = *bucket_of(table->buckets, table->n_buckets, cookie);
        while (connection && connection->cookie != cookie)
                connection = connection->next_in_bucket;
        return connection;
}
