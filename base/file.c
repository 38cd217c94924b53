/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Reads to the end of the file, which must come before `size`. */
static int read_all(int fd, uint8_t *buffer, size_t size, size_t *ret) {
        size_t length = 0;

        while (length < size) {
                ssize_t n = read(fd, buffer + length, size - length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0) {
                        *ret = length;
                        return 0;
                }
                length += (size_t)n;
        }
        return -EFBIG;
}

int nb_file_read_at(int folder_fd, const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_length) {
        NB_CLEANUP_FD int fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        NB_CLEANUP_FREE uint8_t *bytes = NULL;
        struct stat st;
        size_t size;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -ESPIPE;
        if ((uintmax_t)st.st_size > max)
                return -EFBIG;

        size = (size_t)st.st_size + 1; /* one more shows whether it grew meanwhile */
        bytes = malloc(size);
        if (!bytes)
                return -ENOMEM;
        r = read_all(fd, bytes, size, ret_length);
        if (r < 0)
                return r;
        *ret_bytes = nb_steal_ptr(bytes);
        return 0;
}

int nb_file_read(const char *path, size_t max, uint8_t **ret_bytes, size_t *ret_length) {
        return nb_file_read_at(AT_FDCWD, path, max, ret_bytes, ret_length);
}

int nb_file_reserve(int fd, off_t offset, off_t length) {
        int r;

        do
                r = fallocate(fd, 0, offset, length);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}
