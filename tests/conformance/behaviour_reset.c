/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset
 *
 * What a peer resets is readable and writable for poll, with a hang-up on both sides. The first read or write tells `connreset`, once;
 * then reads return the end, and writes are `pipe`. The option `error` tells it as well, in place of the first read or write.
 */
#include "tests/conformance/conformance.h"

static __wasi_errno_t receive_one(__wasi_fd_t fd, __wasi_size_t *ret) {
        __wasi_roflags_t flags;
        char byte;

        return receive_bytes(fd, &byte, 1, 0, ret, &flags);
}

static __wasi_fd_t reset(const struct listener *listener) {
        struct ends ends = ends_open(listener, 0);

        ends_reset(&ends);
        CHECK(poll_read(ends.ours, 0).hangup);
        CHECK(poll_write(ends.ours, 0).hangup);
        return ends.ours;
}

int main(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        __wasi_fd_t stream = reset(&listener);
        __wasi_size_t n = 1;
        uint32_t error;

        CHECK_ERRNO(receive_one(stream, &n), __WASI_ERRNO_CONNRESET);
        CHECK_OK(receive_one(stream, &n));
        CHECK(n == 0);
        CHECK_ERRNO(send_bytes(stream, "x", 1, &n), __WASI_ERRNO_PIPE);

        stream = reset(&listener);
        CHECK_ERRNO(send_bytes(stream, "x", 1, &n), __WASI_ERRNO_CONNRESET);
        CHECK_ERRNO(send_bytes(stream, "x", 1, &n), __WASI_ERRNO_PIPE);

        stream = reset(&listener);
        CHECK_OK(__wasi_networking_get_option(stream, __WASI_NETWORKING_OPTION_ERROR, &error));
        CHECK(error == __WASI_ERRNO_CONNRESET);
        CHECK_OK(__wasi_networking_get_option(stream, __WASI_NETWORKING_OPTION_ERROR, &error));
        CHECK(error == __WASI_ERRNO_SUCCESS);
        CHECK_OK(receive_one(stream, &n));
        CHECK(n == 0);
        return 0;
}
