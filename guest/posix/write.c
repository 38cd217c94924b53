/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write() and writev() in the place of wasi-libc's, as read() is.
 */
#include <sys/uio.h>
#include <unistd.h>
#include <wasi/api.h>

#include "guest/posix/host.h"
#include "guest/posix/table.h"
#include "guest/posix/transfer.h"

static ssize_t write_parts(int fd, const struct iovec *parts, size_t n_parts) {
        __wasi_size_t size;
        __wasi_errno_t error;
        ssize_t n;

        if (nb_posix_peek(fd)) {
                n = nb_posix_send(fd, parts, n_parts, 0);
                if (n >= 0 || nb_posix_find(fd)) /* otherwise the number is something else by now */
                        return n;
        }
        error = __wasi_fd_write(fd, (const __wasi_ciovec_t *)parts, n_parts, &size);
        return error ? nb_posix_fail(error) : (ssize_t)size;
}

ssize_t write(int fd, const void *bytes, size_t size) {
        struct iovec part = { .iov_base = (void *)bytes, .iov_len = size }; /* nothing is written there */

        return write_parts(fd, &part, 1);
}

ssize_t writev(int fd, const struct iovec *parts, int n_parts) {
        if (n_parts < 0)
                return nb_posix_fail(__WASI_ERRNO_INVAL);
        if (nb_posix_peek(fd) && nb_posix_is_empty(parts, (size_t)n_parts) && nb_posix_find(fd))
                return 0; /* as Linux, where write() of nothing is an empty datagram, and this is none */
        return write_parts(fd, parts, (size_t)n_parts);
}
