/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "shim/client/connection.h"
#include "shim/wasi/waiting.h"

#define WORD_BITS 64u

struct nb_shared_connection *nb_shared_connection_new(struct nb_connection *connection) {
        struct nb_shared_connection *shared = malloc(sizeof(*shared));

        if (!shared)
                return NULL;
        *shared = (struct nb_shared_connection){ .n_references = 1, .connection = connection, .stream_fd = -1 };
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
                nb_waiting_free(descriptor->waiting);
                break;
        case NB_DESCRIPTOR_STREAM:
                descriptor->connection->stream_fd = -1;
                nb_fd_close(descriptor->host_fd);
                nb_shared_connection_unref(descriptor->connection);
                break;
        case NB_DESCRIPTOR_CONNECTION:
                nb_connection_retire(descriptor->connection->connection);
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
        free(table->engine_fds);
        *table = (struct nb_table){ 0 };
}

struct nb_descriptor *nb_table_get(const struct nb_table *table, uint32_t number) {
        if (number >= table->capacity || table->slots[number].kind == NB_DESCRIPTOR_FREE)
                return NULL;
        return &table->slots[number];
}

/* How many of the engine's numbers are not above this one: behind the last that is equal to it. */
static uint32_t place_of(const struct nb_table *table, uint32_t engine_fd) {
        uint32_t low = 0;
        uint32_t high = table->n_engine_fds;

        while (low < high) {
                uint32_t middle = low + (high - low) / 2;

                if (table->engine_fds[middle] <= engine_fd)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool nb_table_holds_engine_fd(const struct nb_table *table, uint32_t engine_fd) {
        uint32_t place = place_of(table, engine_fd);

        return place > 0 && table->engine_fds[place - 1] == engine_fd;
}

/* There is room: each number belongs to a slot. */
static void note_engine_fd(struct nb_table *table, uint32_t engine_fd) {
        uint32_t place = place_of(table, engine_fd);
        uint32_t *entry = table->engine_fds + place;

        memmove(entry + 1, entry, (table->n_engine_fds - place) * sizeof(*entry));
        *entry = engine_fd;
        ++table->n_engine_fds;
}

static void forget_engine_fd(struct nb_table *table, uint32_t engine_fd) {
        uint32_t place = place_of(table, engine_fd);
        uint32_t *entry = table->engine_fds + place;

        assert(place > 0 && entry[-1] == engine_fd);
        memmove(entry - 1, entry, (table->n_engine_fds - place) * sizeof(*entry));
        --table->n_engine_fds;
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
        uint32_t *engine_fds;
        uint64_t *leaves;

        slots = realloc(table->slots, capacity * sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        table->slots = slots;
        leaves = realloc(table->leaves, capacity / WORD_BITS * sizeof(*leaves));
        if (!leaves)
                return -ENOMEM;
        table->leaves = leaves;
        engine_fds = realloc(table->engine_fds, capacity * sizeof(*engine_fds));
        if (!engine_fds)
                return -ENOMEM;
        table->engine_fds = engine_fds;
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
        if (descriptor->kind == NB_DESCRIPTOR_ENGINE)
                note_engine_fd(table, descriptor->engine_fd);
        *ret = number;
        return 0;
}

/* Empties a slot; its number is not free yet. */
static struct nb_descriptor take(struct nb_table *table, struct nb_descriptor *slot) {
        struct nb_descriptor taken = *slot;

        if (taken.kind == NB_DESCRIPTOR_ENGINE)
                forget_engine_fd(table, taken.engine_fd);
        *slot = (struct nb_descriptor){ .kind = NB_DESCRIPTOR_FREE };
        return taken;
}

struct nb_descriptor nb_table_remove(struct nb_table *table, uint32_t number) {
        struct nb_descriptor *slot = nb_table_get(table, number);

        if (!slot)
                return (struct nb_descriptor){ .kind = NB_DESCRIPTOR_FREE };
        mark_free(table, number);
        return take(table, slot);
}

struct nb_descriptor nb_table_move(struct nb_table *table, uint32_t from, uint32_t to) {
        struct nb_descriptor *source = nb_table_get(table, from);
        struct nb_descriptor *target = nb_table_get(table, to);
        struct nb_descriptor replaced;

        assert(source && target && source != target);
        replaced = take(table, target);
        *target = *source; /* the engine's number, if it has one, stays noted */
        *source = (struct nb_descriptor){ .kind = NB_DESCRIPTOR_FREE };
        mark_free(table, from);
        return replaced;
}
