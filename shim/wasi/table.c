/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define WORD_BITS 64u

struct nb_shared_connection *nb_shared_connection_new(struct nb_connection *connection) {
        struct nb_shared_connection *shared = malloc(sizeof(*shared));

        if (!shared)
                return NULL;
        *shared = (struct nb_shared_connection){ .n_references = 1, .connection = connection };
        return shared;
}

struct nb_shared_connection *nb_shared_connection_ref(struct nb_shared_connection *shared) {
        ++shared->n_references;
        return shared;
}

struct nb_shared_connection *nb_shared_connection_unref(struct nb_shared_connection *shared) {
        if (!shared || --shared->n_references > 0)
                return NULL;
        nb_connection_free(shared->connection);
        free(shared);
        return NULL;
}

void nb_descriptor_deinit(struct nb_descriptor *descriptor) {
        switch (descriptor->kind) {
        case NB_DESCRIPTOR_PROTOCOL:
                nb_protocol_unref(descriptor->protocol);
                break;
        case NB_DESCRIPTOR_CONTROL:
                nb_control_free(descriptor->control);
                break;
        case NB_DESCRIPTOR_STREAM:
                nb_fd_close(descriptor->host_fd);
                nb_shared_connection_unref(descriptor->connection);
                break;
        case NB_DESCRIPTOR_CONNECTION:
                nb_shared_connection_unref(descriptor->connection);
                break;
        case NB_DESCRIPTOR_FREE:
        case NB_DESCRIPTOR_STDIO:
        case NB_DESCRIPTOR_ENGINE:
                break;
        }
        *descriptor = (struct nb_descriptor){ .kind = NB_DESCRIPTOR_FREE };
}

void nb_table_init(struct nb_table *table, uint32_t limit) {
        assert(limit <= NB_TABLE_LIMIT_MAX);
        *table = (struct nb_table){ .limit = limit };
}

void nb_table_deinit(struct nb_table *table) {
        for (uint32_t i = 0; i < table->capacity; ++i)
                nb_descriptor_deinit(&table->slots[i]);
        free(table->slots);
        free(table->leaves);
        *table = (struct nb_table){ 0 };
}

struct nb_descriptor *nb_table_get(const struct nb_table *table, uint32_t number) {
        if (number >= table->capacity || table->slots[number].kind == NB_DESCRIPTOR_FREE)
                return NULL;
        return &table->slots[number];
}

bool nb_table_holds_engine_fd(const struct nb_table *table, uint32_t engine_fd) {
        for (uint32_t i = 0; i < table->capacity; ++i) {
                if (table->slots[i].kind == NB_DESCRIPTOR_ENGINE && table->slots[i].engine_fd == engine_fd)
                        return true;
        }
        return false;
}

static void mark_free(struct nb_table *table, uint32_t number) {
        uint32_t leaf = number / WORD_BITS;
        uint32_t middle = leaf / WORD_BITS;

        table->leaves[leaf] |= UINT64_C(1) << (number % WORD_BITS);
        table->middle[middle] |= UINT64_C(1) << (leaf % WORD_BITS);
        table->top |= UINT64_C(1) << middle;
}

static void mark_used(struct nb_table *table, uint32_t number) {
        uint32_t leaf = number / WORD_BITS;
        uint32_t middle = leaf / WORD_BITS;

        table->leaves[leaf] &= ~(UINT64_C(1) << (number % WORD_BITS));
        if (table->leaves[leaf])
                return;
        table->middle[middle] &= ~(UINT64_C(1) << (leaf % WORD_BITS));
        if (table->middle[middle])
                return;
        table->top &= ~(UINT64_C(1) << middle);
}

/* Only when `top` is not zero. */
static uint32_t lowest_free(const struct nb_table *table) {
        uint32_t middle = (uint32_t)__builtin_ctzll(table->top);
        uint32_t leaf = middle * WORD_BITS + (uint32_t)__builtin_ctzll(table->middle[middle]);

        return leaf * WORD_BITS + (uint32_t)__builtin_ctzll(table->leaves[leaf]);
}

static int grow(struct nb_table *table) {
        uint32_t capacity = table->capacity ? 2 * table->capacity : WORD_BITS;
        uint32_t end = capacity < table->limit ? capacity : table->limit;
        struct nb_descriptor *slots;
        uint64_t *leaves;

        slots = realloc(table->slots, capacity * sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        table->slots = slots;
        leaves = realloc(table->leaves, capacity / WORD_BITS * sizeof(*leaves));
        if (!leaves)
                return -ENOMEM;
        table->leaves = leaves;
        memset(slots + table->capacity, 0, (capacity - table->capacity) * sizeof(*slots));
        memset(leaves + table->capacity / WORD_BITS, 0, (capacity - table->capacity) / WORD_BITS * sizeof(*leaves));
        for (uint32_t i = table->capacity; i < end; ++i)
                mark_free(table, i);
        table->capacity = capacity;
        return 0;
}

int nb_table_reserve(struct nb_table *table) {
        if (table->top)
                return 0;
        if (table->capacity >= table->limit)
                return -EMFILE;
        return grow(table);
}

int nb_table_add(struct nb_table *table, const struct nb_descriptor *descriptor, uint32_t *ret) {
        uint32_t number;
        int r;

        assert(descriptor->kind != NB_DESCRIPTOR_FREE);
        r = nb_table_reserve(table);
        if (r < 0)
                return r;
        number = lowest_free(table);
        mark_used(table, number);
        table->slots[number] = *descriptor;
        *ret = number;
        return 0;
}

struct nb_descriptor nb_table_remove(struct nb_table *table, uint32_t number) {
        struct nb_descriptor *slot = nb_table_get(table, number);
        struct nb_descriptor removed = { .kind = NB_DESCRIPTOR_FREE };

        if (!slot)
                return removed;
        removed = *slot;
        *slot = (struct nb_descriptor){ .kind = NB_DESCRIPTOR_FREE };
        mark_free(table, number);
        return removed;
}
