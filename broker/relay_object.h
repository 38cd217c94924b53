/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay's objects by their numbers.
 */
#ifndef NB_BROKER_RELAY_OBJECT_H
#define NB_BROKER_RELAY_OBJECT_H

#include <stddef.h>
#include <stdint.h>

struct relay_object;

struct relay_object_table {
        struct relay_object **buckets; /* owned */
        size_t n_buckets;
        size_t n;
};

/** Adds one by its number. @return 0 or -ENOMEM */
int relay_object_table_add(struct relay_object_table *table, struct relay_object *object);

/** Takes one out that is in it. */
void relay_object_table_remove(struct relay_object_table *table, struct relay_object *object);

/** @return the object of that number, or NULL */
struct relay_object *relay_object_table_find(const struct relay_object_table *table, uint64_t number);

/** Frees an empty one. */
void relay_object_table_deinit(struct relay_object_table *table);

#endif
