/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/seen.h"

#include <stdlib.h>
#include <string.h>

/* Twice as many as there are entries, and a power of two: there is always a free one to end a search. */
#define SLOTS (2 * SEEN_MAX)

struct kept {
        uint32_t hash;
        enum policy_verb verb;
        char *protocol; /* owned, in one allocation with the target */
        const char *target;
        uint64_t n;
        uint64_t n_denied;
};

struct seen {
        struct kept entries[SEEN_MAX]; /* in the order in which they came */
        size_t n_entries;
        uint16_t slots[SLOTS]; /* by hash: the number of an entry, from 1; 0 is a free slot */
        uint64_t n_left_out;
};

struct seen *seen_new(void) {
        return calloc(1, sizeof(struct seen));
}

struct seen *seen_free(struct seen *seen) {
        if (!seen)
                return NULL;
        for (size_t i = 0; i < seen->n_entries; ++i)
                free(seen->entries[i].protocol);
        free(seen);
        return NULL;
}

/* FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo), over the text and its NUL. Who makes all collide makes a search of SEEN_MAX numbers. */
static uint32_t hash_text(uint32_t hash, const char *text) {
        do
                hash = (hash ^ (uint8_t)*text) * UINT32_C(16777619);
        while (*text++);
        return hash;
}

static uint32_t hash_of(const char *protocol, enum policy_verb verb, const char *target) {
        return hash_text(hash_text(UINT32_C(2166136261) ^ (uint32_t)verb, protocol), target);
}

static bool is_same(const struct kept *kept, uint32_t hash, const char *protocol, enum policy_verb verb,
                    const char *target) {
        return kept->hash == hash && kept->verb == verb && strcmp(kept->target, target) == 0 &&
               strcmp(kept->protocol, protocol) == 0;
}

static int keep(struct kept *kept, const char *protocol, const char *target) {
        size_t protocol_size = strlen(protocol) + 1, target_size = strlen(target) + 1;
        char *texts = malloc(protocol_size + target_size);

        if (!texts)
                return -1;
        memcpy(texts, protocol, protocol_size);
        memcpy(texts + protocol_size, target, target_size);
        kept->protocol = texts;
        kept->target = texts + protocol_size;
        return 0;
}

/* @return the entry, made if there is room; NULL if there is none */
static struct kept *find_or_keep(struct seen *seen, const char *protocol, enum policy_verb verb, const char *target) {
        uint32_t hash = hash_of(protocol, verb, target);
        size_t slot = hash % SLOTS;
        struct kept *kept;

        for (; seen->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
                kept = &seen->entries[seen->slots[slot] - 1];
                if (is_same(kept, hash, protocol, verb, target))
                        return kept;
        }
        if (seen->n_entries == SEEN_MAX || strlen(target) > SEEN_TARGET_MAX)
                return NULL;
        kept = &seen->entries[seen->n_entries];
        if (keep(kept, protocol, target) < 0)
                return NULL;
        kept->hash = hash;
        kept->verb = verb;
        seen->slots[slot] = (uint16_t)++seen->n_entries;
        return kept;
}

void seen_note(struct seen *seen, const char *protocol, enum policy_verb verb, const char *target, bool denied) {
        struct kept *kept;

        if (!seen || verb == POLICY_ACCEPT)
                return;
        kept = find_or_keep(seen, protocol, verb, target);
        if (!kept) {
                seen->n_left_out++;
                return;
        }
        kept->n++;
        kept->n_denied += denied;
}

uint64_t seen_each(const struct seen *seen, seen_function function, void *data) {
        if (!seen)
                return 0;
        for (size_t i = 0; i < seen->n_entries; ++i) {
                const struct kept *kept = &seen->entries[i];
                struct seen_entry entry = {
                        .protocol = kept->protocol,
                        .verb = kept->verb,
                        .target = kept->target,
                        .n = kept->n,
                        .n_denied = kept->n_denied,
                };

                function(data, &entry);
        }
        return seen->n_left_out;
}
