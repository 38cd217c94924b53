/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that is put together from pieces, and cut where its buffer ends. Denials are written for every refusal, also in a flood of them, and
 * for this printf(3) costs several times the decision.
 */
#ifndef NB_POLICY_TEXT_H
#define NB_POLICY_TEXT_H

#include <stddef.h>

struct policy_text {
        char *buffer; /* borrowed; ends in NUL at any time */
        size_t size;
        size_t used;
};

/** An empty text. @param size  at least 1 */
struct policy_text policy_text_begin(char *buffer, size_t size);

void policy_text_add(struct policy_text *text, const char *piece);

/** In decimal digits. */
void policy_text_add_number(struct policy_text *text, unsigned number);

#endif
