/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NB_POLICY_SUGGEST_H
#define NB_POLICY_SUGGEST_H

#include <stddef.h>

/** Words longer than this are never near to one of ours. */
#define POLICY_SUGGEST_MAX 32

/**
 * How many letters must be changed, added, dropped or swapped with their neighbour to make one word of the other; upper and
 * lower case are the same.
 * @return the distance, or a large number for words longer than POLICY_SUGGEST_MAX.
 */
size_t policy_edit_distance(const char *a, size_t a_length, const char *b, size_t b_length);

/**
 * Keeps the better of two guesses at what a misspelt word was meant to be.
 * @param best           the guess so far, or NULL
 * @param best_distance  its distance; updated
 * @return `candidate` where it is near to the word and nearer than `best`, otherwise `best`.
 */
const char *policy_suggest(const char *word, size_t length, const char *candidate, const char *best,
                           size_t *best_distance);

#endif
