/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/text.h"

#include <string.h>

/* Enough for the digits of any unsigned. */
#define DIGITS_MAX 10

struct policy_text policy_text_begin(char *buffer, size_t size) {
        buffer[0] = '\0';
        return (struct policy_text){ .buffer = buffer, .size = size };
}

void policy_text_add(struct policy_text *text, const char *piece) {
        size_t length = strlen(piece), room = text->size - text->used - 1;

        if (length > room)
                length = room;
        memcpy(text->buffer + text->used, piece, length);
        text->used += length;
        text->buffer[text->used] = '\0';
}

void policy_text_add_number(struct policy_text *text, unsigned number) {
        char digits[DIGITS_MAX + 1];
        size_t at = DIGITS_MAX;

        digits[at] = '\0';
        do {
                digits[--at] = (char)('0' + number % 10);
                number /= 10;
        } while (number > 0);
        policy_text_add(text, digits + at);
}
