/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/escape.h"

#define ELLIPSIS "..."
#define ELLIPSIS_LENGTH (sizeof(ELLIPSIS) - 1)

static const char hex[] = "0123456789abcdef";

/** The safe form of one byte in `ret`. @return its length, 1 to 4. */
static size_t escape_byte(unsigned char byte, char ret[static 4]) {
        if (byte == '\\') {
                memcpy(ret, "\\\\", 2);
                return 2;
        }
        if (byte >= ' ' && byte <= '~') {
                ret[0] = (char)byte;
                return 1;
        }
        ret[0] = '\\';
        ret[1] = 'x';
        ret[2] = hex[byte >> 4];
        ret[3] = hex[byte & 15];
        return 4;
}

const char *nb_escape(const char *text, size_t length, char *buffer, size_t size) {
        size_t used = 0;
        size_t keep = 0; /* how much still leaves room for the ellipsis, never in the middle of an escape */

        for (size_t i = 0; i < length; ++i) {
                char piece[4];
                size_t n = escape_byte((unsigned char)text[i], piece);

                if (used + n > size - 1) {
                        memcpy(buffer + keep, ELLIPSIS, ELLIPSIS_LENGTH + 1);
                        return buffer;
                }
                memcpy(buffer + used, piece, n);
                used += n;
                if (used + ELLIPSIS_LENGTH <= size - 1)
                        keep = used;
        }
        buffer[used] = '\0';
        return buffer;
}
