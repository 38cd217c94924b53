/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 16

struct policy_table_slot {
        const char *text; /* NULL: empty */
        size_t number;
};

/* FNV-1a. */
static uint64_t hash(const char *text) {
        uint64_t value = 0xcbf29ce484222325;

        for (; *text; ++text)
                value = (value ^ (unsigned char)*text) * 0x100000001b3;
        return value;
}

/** The slot that has the text, or the empty one where it would go. There is always an empty one. */
static struct policy_table_slot *find_slot(const struct policy_table *table, const char *text) {
        size_t i = hash(text) & (table->n_slots - 1);

        while (table->slots[i].text && strcmp(table->slots[i].text, text) != 0)
                i = (i + 1) & (table->n_slots - 1);
        return &table->slots[i];
}

static int grow(struct policy_table *table) {
        struct policy_table larger = { .n_slots = table->n_slots > 0 ? table->n_slots * 2 : SLOTS_FIRST,
                                       .n_used = table->n_used };

        larger.slots = calloc(larger.n_slots, sizeof(*larger.slots));
        if (!larger.slots)
                return -ENOMEM;
        for (size_t i = 0; i < table->n_slots; ++i)
                if (table->slots[i].text)
                        *find_slot(&larger, table->slots[i].text) = table->slots[i];
        free(table->slots);
        *table = larger;
        return 0;
}

void policy_table_deinit(struct policy_table *table) {
        free(table->slots);
        *table = (struct policy_table){ 0 };
}

int policy_table_add(struct policy_table *table, const char *text, size_t number) {
        if (2 * (table->n_used + 1) > table->n_slots) {
                int r = grow(table);

                if (r < 0)
                        return r;
        }
        *find_slot(table, text) = (struct policy_table_slot){ .text = text, .number = number };
        ++table->n_used;
        return 0;
}

bool policy_table_find(const struct policy_table *table, const char *text, size_t *ret) {
        const struct policy_table_slot *slot;

        if (table->n_slots == 0)
                return false;
        slot = find_slot(table, text);
        if (!slot->text)
                return false;
        *ret = slot->number;
        return true;
}
