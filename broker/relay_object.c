/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_object.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "broker/relay.h"

#define N_BUCKETS_FIRST 64

/* Numbers are counted up by us: their low bits spread well. */
static struct relay_object **bucket_of(struct relay_object **buckets, size_t n_buckets, uint64_t number) {
        return &buckets[number & (n_buckets - 1)];
}

static void put(struct relay_object **bucket, struct relay_object *object) {
        object->next_in_bucket = *bucket;
        *bucket = object;
}

/* Doubles it when there are as many objects as buckets. */
static int make_room(struct relay_object_table *table) {
        size_t n_buckets = table->n_buckets > 0 ? 2 * table->n_buckets : N_BUCKETS_FIRST;
        struct relay_object **buckets;

        if (table->n < table->n_buckets)
                return 0;
        buckets = calloc(n_buckets, sizeof(*buckets));
        if (!buckets)
                return -ENOMEM;
        for (size_t i = 0; i < table->n_buckets; ++i) {
                struct relay_object *object, *next;

                for (object = table->buckets[i]; object; object = next) {
                        next = object->next_in_bucket;
                        put(bucket_of(buckets, n_buckets, object->number), object);
                }
        }
        free(table->buckets);
        table->buckets = buckets;
        table->n_buckets = n_buckets;
        return 0;
}

int relay_object_table_add(struct relay_object_table *table, struct relay_object *object) {
        int r = make_room(table);

        if (r < 0)
                return r;
        put(bucket_of(table->buckets, table->n_buckets, object->number), object);
        table->n++;
        return 0;
}

void relay_object_table_remove(struct relay_object_table *table, struct relay_object *object) {
        struct relay_object **place = bucket_of(table->buckets, table->n_buckets, object->number);

        while (*place != object)
                place = &(*place)->next_in_bucket;
        *place = object->next_in_bucket;
        object->next_in_bucket = NULL;
        table->n--;
}

struct relay_object *relay_object_table_find(const struct relay_object_table *table, uint64_t number) {
        struct relay_object *object;

        if (table->n == 0)
                return NULL;
        object = *bucket_of(table->buckets, table->n_buckets, number);
        while (object && object->number != number)
                object = object->next_in_bucket;
        return object;
}

void relay_object_table_deinit(struct relay_object_table *table) {
        assert(table->n == 0);
        free(table->buckets);
        *table = (struct relay_object_table){ 0 };
}
