/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

/* The length of the sequence that `lead` starts, and the bounds of its second byte (RFC 3629, section 4); 0 if none. */
static size_t sequence(uint8_t lead, uint8_t *low, uint8_t *high) {
        *low = 0x80;
        *high = 0xbf;
        if (lead >= 0x01 && lead <= 0x7f)
                return 1;
        if (lead >= 0xc2 && lead <= 0xdf)
                return 2;
        if (lead >= 0xe0 && lead <= 0xef) {
                if (lead == 0xe0)
                        *low = 0xa0;
                if (lead == 0xed)
                        *high = 0x9f;
                return 3;
        }
        if (lead >= 0xf0 && lead <= 0xf4) {
                if (lead == 0xf0)
                        *low = 0x90;
                if (lead == 0xf4)
                        *high = 0x8f;
                return 4;
        }
        return 0;
}

bool nb_utf8_is_text(const uint8_t *bytes, size_t length) {
        for (size_t i = 0; i < length;) {
                uint8_t low, high;
                size_t n = sequence(bytes[i], &low, &high);

                if (n == 0 || n > length - i)
                        return false;
                if (n > 1 && (bytes[i + 1] < low || bytes[i + 1] > high))
                        return false;
                for (size_t k = 2; k < n; ++k) {
                        if ((bytes[i + k] & 0xc0) != 0x80)
                                return false;
                }
                i += n;
        }
        return true;
}
