/* SPDX-License-Identifier: Apache-2.0 */
#include "run/module.h"

#include <errno.h>
#include <string.h>

int module_check_header(const uint8_t *bytes, size_t length) {
        static const uint8_t magic[] = { 0x00, 'a', 's', 'm' };

        /* Behind the magic are two bytes of version and two of layer: 0 for modules, 1 for components. */
        if (length < 8 || memcmp(bytes, magic, sizeof(magic)) != 0)
                return -ENOEXEC;
        return bytes[6] == 1 && bytes[7] == 0 ? -EPROTONOSUPPORT : 0;
}
