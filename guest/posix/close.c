/* SPDX-License-Identifier: Apache-2.0 */
/*
 * close() and wasi-libc's fd_renumber(), which keep the table of sockets in step. Linked before wasi-libc, they are also what
 * its fclose() calls.
 */
#include <unistd.h>
#include <wasi/api.h>
#include <wasi/libc.h>

#include "guest/posix/host.h"
#include "guest/posix/table.h"

int close(int fd) {
        nb_posix_forget(fd);
        return nb_posix_result(__wasi_fd_close(fd));
}

int __wasilibc_fd_renumber(int from, int to) {
        __wasi_errno_t error = __wasi_fd_renumber(from, to);

        if (error)
                return nb_posix_fail(error);
        nb_posix_move(from, to);
        return 0;
}
