/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...) {
        va_list arguments;

        fprintf(stderr, "%s:%d: %s does not hold: ", file, line, condition);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        abort();
}

char *fuzz_text(const uint8_t *data, size_t size) {
        char *text = malloc(size + 1);

        FUZZ_CHECK(text, "no memory for %zu bytes", size);
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        return text;
}

int fuzz_next_line(const char **rest, size_t *rest_length, struct fuzz_line *ret) {
        const char *end;

        if (*rest_length == 0)
                return 0;
        end = memchr(*rest, '\n', *rest_length);
        ret->text = *rest;
        ret->length = end ? (size_t)(end - *rest) : *rest_length;
        *rest += ret->length + (end != NULL);
        *rest_length -= ret->length + (end != NULL);
        return 1;
}

uint8_t fuzz_take_byte(const uint8_t **data, size_t *size) {
        if (*size == 0)
                return 0;
        --*size;
        return *(*data)++;
}

const uint8_t *fuzz_take_bytes(const uint8_t **data, size_t *size, size_t *ret_length) {
        size_t length = (size_t)fuzz_take_byte(data, size) << 8;
        const uint8_t *bytes;

        length |= fuzz_take_byte(data, size);
        if (length > *size)
                length = *size;
        bytes = *data;
        *data += length;
        *size -= length;
        *ret_length = length;
        return bytes;
}
