/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One timer for many who wait, each for a time of its own: it is set for the first of them.
 *
 * Its owner has lists by age, and looks at the first of each. Who is heard of meanwhile is not first any more, and the timer is left: it is brought
 * forward only, and who is called too early sets it again. So it is not touched for every packet.
 */
#ifndef NB_LOOP_EXPIRY_H
#define NB_LOOP_EXPIRY_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "loop/deadline.h"

/** All zero is one that is not set. */
struct expiry {
        struct deadline *deadline; /* owned; NULL: nobody can expire */
        uint64_t at_ms;            /* by uv_now() */
};

/** @return the least of `n` times; UINT64_MAX without any */
uint64_t expiry_first(const uint64_t *left_ms, size_t n);

/**
 * Has the function called after that time, unless it will be before. Without memory nothing is set: the next call tries again.
 * @param left_ms   milliseconds from now; UINT64_MAX: nobody can expire
 * @param function  begins with expiry_unset(), and sets it again for who is left
 */
void expiry_set(struct expiry *expiry, uv_loop_t *loop, uint64_t left_ms, deadline_function function, void *data);

/** The function is not called until it is set again. Harmless when it was not. */
void expiry_unset(struct expiry *expiry);

#endif
