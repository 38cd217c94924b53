/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a text to a number: how tenants are found by name, and whose a socket is.
 *
 * Filled while a policy is read and only asked afterwards. Slots are probed one after the other from the text's hash on, and
 * half of them stay empty. The texts are the operator's, so the hash needs no secret.
 */
#ifndef NB_POLICY_TABLE_H
#define NB_POLICY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** All zeros is an empty one. */
struct policy_table {
        struct policy_table_slot *slots;
        size_t n_slots; /* a power of two, or 0 */
        size_t n_used;
};

/** Frees the table, not the texts. */
void policy_table_deinit(struct policy_table *table);

/**
 * Adds a text that is not there yet.
 * @param text  borrowed for the life of the table
 * @return 0, or -ENOMEM.
 */
int policy_table_add(struct policy_table *table, const char *text, size_t number);

/** @return whether the text is there; `ret` is untouched if not. */
bool policy_table_find(const struct policy_table *table, const char *text, size_t *ret);

#endif
