/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in the relay's queue: who has more to do than one turn lets is run again after the others.
 */
#ifndef NB_RELAY_TURN_H
#define NB_RELAY_TURN_H

#include "base/list.h"

/** A member of whoever has turns. */
struct turn {
        struct nb_list in_queue;
        void (*run)(struct turn *turn); /* may free what the turn is a member of */
};

static inline void turn_init(struct turn *turn, void (*run)(struct turn *turn)) {
        nb_list_init(&turn->in_queue);
        turn->run = run;
}

/** Puts it at the end of `queue`. Harmless where it is on one. */
static inline void turn_ask(struct turn *turn, struct nb_list *queue) {
        if (nb_list_is_empty(&turn->in_queue))
                nb_list_append(queue, &turn->in_queue);
}

/** Takes it off. Harmless where it is on none. */
static inline void turn_cancel(struct turn *turn) {
        nb_list_remove(&turn->in_queue);
}

#endif
