/* SPDX-License-Identifier: Apache-2.0 */
#include "run/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* @return the number of bytes read, fewer than `size` only at the end of the file; or -errno. */
static ssize_t read_all(int fd, uint8_t *buffer, size_t size) {
        size_t length = 0;

        while (length < size) {
                ssize_t n = read(fd, buffer + length, size - length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                length += (size_t)n;
        }
        return (ssize_t)length;
}

int module_read(const char *path, uint8_t **ret_bytes, size_t *ret_length) {
        /* Without O_NONBLOCK a FIFO would keep us here. */
        NB_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        struct stat st;
        ssize_t length;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -ESPIPE;
        if (st.st_size > (off_t)MODULE_SIZE_MAX)
                return -EFBIG;

        bytes = malloc((size_t)st.st_size + 1); /* never 0 */
        if (!bytes)
                return -ENOMEM;
        length = read_all(fd, bytes, (size_t)st.st_size);
        if (length < 0)
                return (int)length;

        *ret_bytes = nb_steal_ptr(bytes);
        *ret_length = (size_t)length;
        return 0;
}

int module_check_header(const uint8_t *bytes, size_t length) {
        static const uint8_t magic[] = { 0x00, 'a', 's', 'm' };

        /* Behind the magic are two bytes of version and two of layer: 0 for modules, 1 for components. */
        if (length < 8 || memcmp(bytes, magic, sizeof(magic)) != 0)
                return -ENOEXEC;
        return bytes[6] == 1 && bytes[7] == 0 ? -EPROTONOSUPPORT : 0;
}
