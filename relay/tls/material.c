/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/material.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_SIZE 16384u

void tls_material_wipe(struct tls_material *material) {
        if (material->bytes)
                explicit_bzero(material->bytes, material->length);
        free(material->bytes);
        *material = (struct tls_material){ NULL, 0 };
}

/* Not realloc(3), which would leave a copy behind. */
static int grow(struct tls_material *material, size_t size) {
        struct tls_material larger = { malloc(size), size };

        if (!larger.bytes)
                return -ENOMEM;
        if (material->bytes)
                memcpy(larger.bytes, material->bytes, material->length);
        tls_material_wipe(material);
        *material = larger;
        return 0;
}

/* Until the end of the file or of the room. @return how many bytes, or -errno */
static ssize_t fill(int fd, uint8_t *bytes, size_t from, size_t size) {
        while (from < size) {
                ssize_t n = pread(fd, bytes + from, size - from, (off_t)from);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                from += (size_t)n;
        }
        return (ssize_t)from;
}

int tls_material_read(struct tls_material *material, int fd, size_t max) {
        TLS_MATERIAL read = { NULL, 0 };
        size_t have = 0;

        while (have == read.length) {
                ssize_t n;
                int error;

                if (have > max)
                        return -EFBIG;
                error = grow(&read, have > 0 ? 2 * have : FIRST_SIZE);
                if (error < 0)
                        return error;
                n = fill(fd, read.bytes, have, read.length);
                if (n < 0)
                        return (int)n;
                have = (size_t)n;
        }
        if (have > max)
                return -EFBIG;
        *material = (struct tls_material){ read.bytes, have };
        read.bytes = NULL;
        return 0;
}
