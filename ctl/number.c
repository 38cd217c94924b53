/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/number.h"

#include <errno.h>

/* One more would overflow, times ten. */
#define LARGEST (INT64_MAX / 10)

int number_parse(const char *text, uint64_t *ret) {
        uint64_t number = 0;

        if (*text < '1' || *text > '9')
                return -EINVAL;
        for (; *text; ++text) {
                if (*text < '0' || *text > '9' || number >= LARGEST)
                        return -EINVAL;
                number = number * 10 + (uint64_t)(*text - '0');
        }
        *ret = number;
        return 0;
}
