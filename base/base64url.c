/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64url.h"

#include <errno.h>
#include <string.h>

/* @return the value of a digit, or -1 */
static int value_of(char digit) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const char *place = memchr(digits, digit, sizeof(digits) - 1);

        return place ? (int)(place - digits) : -1;
}

int nb_base64url_decode(const char *text, size_t length, uint8_t *buffer, size_t *ret_length) {
        unsigned bits = 0, n_bits = 0;
        size_t used = 0;

        if (length % 4 == 1)
                return -EINVAL;
        for (size_t i = 0; i < length; ++i) {
                int value = value_of(text[i]);

                if (value < 0)
                        return -EINVAL;
                bits = (bits << 6 | (unsigned)value) & 0x3fff;
                n_bits += 6;
                if (n_bits < 8)
                        continue;
                n_bits -= 8;
                buffer[used++] = (uint8_t)(bits >> n_bits);
        }
        if ((bits & ((1u << n_bits) - 1)) != 0)
                return -EINVAL;
        *ret_length = used;
        return 0;
}
