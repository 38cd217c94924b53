/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers for property tests: the same in every run. */
#ifndef NB_TESTS_SUPPORT_RANDOM_H
#define NB_TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

/** xorshift64 (G. Marsaglia, 2003). @param state  not 0 */
static inline uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state >> 11;
}

/** A random element of an array. */
#define PICK(state, array) ((array)[next_random(state) % (sizeof(array) / sizeof((array)[0]))])

#endif
