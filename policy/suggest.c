/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "policy/suggest.h"

static char lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t min(size_t a, size_t b) {
        return a < b ? a : b;
}

/* The restricted Damerau-Levenshtein distance: row i holds the distances of a's first i letters to each start of b. */
size_t policy_edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
        size_t rows[POLICY_SUGGEST_MAX + 1][POLICY_SUGGEST_MAX + 1];

        if (a_length > POLICY_SUGGEST_MAX || b_length > POLICY_SUGGEST_MAX)
                return SIZE_MAX;

        for (size_t i = 0; i <= a_length; ++i)
                rows[i][0] = i;
        for (size_t j = 0; j <= b_length; ++j)
                rows[0][j] = j;
        for (size_t i = 1; i <= a_length; ++i) {
                for (size_t j = 1; j <= b_length; ++j) {
                        char x = lower(a[i - 1]), y = lower(b[j - 1]);

                        rows[i][j] = min(rows[i - 1][j - 1] + (x != y), min(rows[i - 1][j], rows[i][j - 1]) + 1);
                        if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
                                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1);
                }
        }
        return rows[a_length][b_length];
}

const char *policy_suggest(const char *word, size_t length, const char *candidate, const char *best,
                           size_t *best_distance) {
        size_t candidate_length = strlen(candidate);
        size_t distance = policy_edit_distance(word, length, candidate, candidate_length);

        if (distance > candidate_length / 3 + (candidate_length < 3)) /* a guess, no longer a misspelling */
                return best;
        if (best && distance >= *best_distance)
                return best;
        *best_distance = distance;
        return candidate;
}
