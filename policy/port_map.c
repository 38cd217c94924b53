/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/port_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"

/** Ports from `first` to `last` are `rule`'s. */
struct port_interval {
        uint16_t first;
        uint16_t last;
        uint32_t rule;
};

/** The entries of one place while they are swept in the order of their first ports. */
struct sweep {
        const struct port_entry *entries;
        size_t n, next;                 /* how many there are; which is the next to begin */
        const struct port_entry **heap; /* those that have begun, the first rule of the file on top */
        size_t n_heap;
        struct port_interval *intervals; /* what comes of it */
        size_t n_intervals;
};

static int compare(const void *a, const void *b) {
        const struct port_entry *x = a, *y = b;

        if (x->place != y->place)
                return x->place < y->place ? -1 : 1;
        if (x->ports.first != y->ports.first)
                return x->ports.first < y->ports.first ? -1 : 1;
        return x->rule < y->rule ? -1 : x->rule > y->rule;
}

/* ---- the heap ---- */

static void swap(struct sweep *s, size_t i, size_t j) {
        const struct port_entry *entry = s->heap[i];

        s->heap[i] = s->heap[j];
        s->heap[j] = entry;
}

static void push(struct sweep *s, const struct port_entry *entry) {
        size_t at = s->n_heap++;

        s->heap[at] = entry;
        while (at > 0 && s->heap[at]->rule < s->heap[(at - 1) / 2]->rule) {
                swap(s, at, (at - 1) / 2);
                at = (at - 1) / 2;
        }
}

static void pop(struct sweep *s) {
        size_t at = 0;

        s->heap[0] = s->heap[--s->n_heap];
        for (;;) {
                size_t child = 2 * at + 1;

                if (child + 1 < s->n_heap && s->heap[child + 1]->rule < s->heap[child]->rule)
                        ++child;
                if (child >= s->n_heap || s->heap[at]->rule < s->heap[child]->rule)
                        return;
                swap(s, at, child);
                at = child;
        }
}

/* ---- the sweep ---- */

/** Ports that follow each other and are one rule's are one interval. */
static void emit(struct sweep *s, uint32_t first, uint32_t last, uint32_t rule) {
        struct port_interval *before = s->n_intervals > 0 ? &s->intervals[s->n_intervals - 1] : NULL;

        if (before && before->rule == rule && before->last + 1u == first) {
                before->last = (uint16_t)last;
                return;
        }
        s->intervals[s->n_intervals++] = (struct port_interval){ (uint16_t)first, (uint16_t)last, rule };
}

/** Cuts one place. Each round begins an entry or ends one, so there are at most twice as many intervals as entries. */
static void sweep(struct sweep *s) {
        uint32_t port = 0;

        while (s->next < s->n || s->n_heap > 0) {
                uint32_t last;

                if (s->n_heap == 0)
                        port = s->entries[s->next].ports.first;
                while (s->next < s->n && s->entries[s->next].ports.first <= port)
                        push(s, &s->entries[s->next++]);
                while (s->n_heap > 0 && s->heap[0]->ports.last < port)
                        pop(s);
                if (s->n_heap == 0)
                        continue;
                last = s->heap[0]->ports.last;
                if (s->next < s->n && s->entries[s->next].ports.first <= last)
                        last = s->entries[s->next].ports.first - 1u;
                emit(s, port, last, s->heap[0]->rule);
                port = last + 1;
        }
}

static void fill(const struct port_entry *entries, size_t n, uint32_t n_places, const struct port_entry **heap,
                 struct port_map *map) {
        size_t from = 0, used = 0;

        for (uint32_t place = 0; place < n_places; ++place) {
                size_t to = from;

                while (to < n && entries[to].place == place)
                        ++to;
                map->begins[place] = (uint32_t)used;
                if (to == from)
                        continue;

                struct sweep s = {
                        .entries = entries + from,
                        .n = to - from,
                        .heap = heap,
                        .intervals = map->intervals + used, /* nothing joins what another place has */
                };

                sweep(&s);
                used += s.n_intervals;
                from = to;
        }
        map->begins[n_places] = (uint32_t)used;
}

int port_map_init(struct port_entry *entries, size_t n_entries, uint32_t n_places, struct port_map *ret) {
        NB_CLEANUP_FREE const struct port_entry **heap = calloc(n_entries + 1, sizeof(*heap));
        NB_CLEANUP_FREE struct port_interval *intervals = calloc(2 * n_entries + 1, sizeof(*intervals));
        NB_CLEANUP_FREE uint32_t *begins = calloc((size_t)n_places + 1, sizeof(*begins));

        if (!heap || !intervals || !begins)
                return -ENOMEM;
        if (n_entries > 0)
                qsort(entries, n_entries, sizeof(*entries), compare);

        ret->intervals = nb_steal_ptr(intervals);
        ret->begins = nb_steal_ptr(begins);
        fill(entries, n_entries, n_places, heap, ret);
        return 0;
}

void port_map_deinit(struct port_map *map) {
        free(map->intervals);
        free(map->begins);
        *map = (struct port_map){ 0 };
}

uint32_t port_map_find(const struct port_map *map, uint32_t place, uint16_t port) {
        size_t from = map->begins[place], to = map->begins[place + 1];

        while (from < to) {
                size_t middle = from + (to - from) / 2;

                if (map->intervals[middle].last < port)
                        from = middle + 1;
                else
                        to = middle;
        }
        if (from == map->begins[place + 1] || map->intervals[from].first > port)
                return PORT_MAP_NONE;
        return map->intervals[from].rule;
}
