/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read() and readv() in the place of wasi-libc's, for sockets that have a timeout or no connection yet. A descriptor that the library
 * knows nothing of goes to the host as it would without it.
 */
#include <sys/uio.h>
#include <unistd.h>
#include <wasi/api.h>

#include "guest/posix/host.h"
#include "guest/posix/table.h"
#include "guest/posix/transfer.h"

static ssize_t read_parts(int fd, const struct iovec *parts, size_t n_parts) {
        __wasi_size_t size;
        __wasi_errno_t error;
        ssize_t n;

        if (nb_posix_peek(fd)) {
                if (nb_posix_is_empty(parts, n_parts) && nb_posix_find(fd)) /* as Linux: no datagram is lost */
                        return 0;
                n = nb_posix_receive(fd, parts, n_parts, 0, NULL);
                if (n >= 0 || nb_posix_find(fd)) /* otherwise the number is something else by now */
                        return n;
        }
        error = __wasi_fd_read(fd, (const __wasi_iovec_t *)parts, n_parts, &size);
        return error ? nb_posix_fail(error) : (ssize_t)size;
}

ssize_t read(int fd, void *buffer, size_t size) {
        struct iovec part = { .iov_base = buffer, .iov_len = size };

        return read_parts(fd, &part, 1);
}

ssize_t readv(int fd, const struct iovec *parts, int n_parts) {
        return n_parts < 0 ? nb_posix_fail(__WASI_ERRNO_INVAL) : read_parts(fd, parts, (size_t)n_parts);
}
