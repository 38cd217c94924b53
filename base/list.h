/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked lists: a link inside each element, and one as the list's head.
 */
#ifndef NB_BASE_LIST_H
#define NB_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct nb_list {
        struct nb_list *next;
        struct nb_list *prev;
};

/** Makes an empty list, or an element that is in none. */
static inline void nb_list_init(struct nb_list *list) {
        list->next = list;
        list->prev = list;
}

static inline bool nb_list_is_empty(const struct nb_list *list) {
        return list->next == list;
}

static inline void nb_list_append(struct nb_list *list, struct nb_list *element) {
        element->prev = list->prev;
        element->next = list;
        list->prev->next = element;
        list->prev = element;
}

/** Harmless on an element that is in no list. */
static inline void nb_list_remove(struct nb_list *element) {
        element->prev->next = element->next;
        element->next->prev = element->prev;
        nb_list_init(element);
}

/** The struct of `type` whose `member` this points to. */
#define nb_container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/** Walks a list from whose current element may be removed and freed in the body, but no other. */
#define nb_list_foreach_safe(element, list)                                                                            \
        for (struct nb_list *element = (list)->next, *next_ = element->next; element != (list);                        \
             element = next_, next_ = element->next)

#endif
