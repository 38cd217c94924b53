/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sock_recv: peek and waitall
 *
 * A peek leaves what it reads. waitall fills the buffers, however many pieces the bytes come in, and returns less only at the end of the
 * stream, on an error, or on a nonblocking stream. With both flags it waits as well, and leaves what it reads; on a Unix socket it returns
 * what is there, as Linux does. A read into nothing returns 0 bytes at once.
 *
 * Buffers are filled in their order, an empty one among them does not matter. More than 1024 of them are `inval`, as of IOV_MAX in POSIX,
 * and so are more than 2147483647 bytes in all.
 */
#include "tests/conformance/conformance.h"

#define BOTH (__WASI_RIFLAGS_RECV_PEEK | __WASI_RIFLAGS_RECV_WAITALL)

static void expect_received(__wasi_fd_t fd, size_t length, __wasi_riflags_t flags, const char *expected) {
        __wasi_roflags_t roflags = 0xffff;
        __wasi_size_t n = 0;
        char buffer[64];

        CHECK(length <= sizeof(buffer));
        CHECK_OK(receive_bytes(fd, buffer, length, flags, &n, &roflags));
        CHECK(n == strlen(expected) && memcmp(buffer, expected, n) == 0);
        CHECK(roflags == 0);
}

static void peeks(const struct ends *ends) {
        send_text(ends->theirs, "abc");
        await_readable(ends->ours);
        expect_received(ends->ours, 2, __WASI_RIFLAGS_RECV_PEEK, "ab");
        expect_received(ends->ours, 16, __WASI_RIFLAGS_RECV_PEEK, "abc");
        expect_received(ends->ours, 3, BOTH, "abc");
        CHECK(poll_read(ends->ours, 0).nbytes == 3);
        expect_received(ends->ours, 16, 0, "abc");
        CHECK(!poll_read(ends->ours, 0).ready);
}

/* Half of it is there when the call begins, and the peer is another process, which answers what it gets in one piece. */
static void waits_for_all(void) {
        __wasi_fd_t stream = stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0);

        send_text(stream, "abc");
        await_readable(stream);
        send_text(stream, "def");
        expect_received(stream, 6, BOTH, "abcdef");
        expect_received(stream, 6, __WASI_RIFLAGS_RECV_WAITALL, "abcdef");
        CHECK(!poll_read(stream, 0).ready);
        close_fd(stream);
}

static void not_all(const struct ends *ends) {
        __wasi_size_t n;
        __wasi_roflags_t flags;
        char byte;

        send_text(ends->theirs, "abc");
        await_readable(ends->ours);
        CHECK_OK(__wasi_fd_fdstat_set_flags(ends->ours, __WASI_FDFLAGS_NONBLOCK));
        expect_received(ends->ours, 16, BOTH, "abc");
        expect_received(ends->ours, 16, __WASI_RIFLAGS_RECV_WAITALL, "abc");
        CHECK_ERRNO(receive_bytes(ends->ours, &byte, 1, __WASI_RIFLAGS_RECV_WAITALL, &n, &flags), __WASI_ERRNO_AGAIN);
        CHECK_OK(__wasi_fd_fdstat_set_flags(ends->ours, 0));
        expect_received(ends->ours, 0, 0, "");

        send_text(ends->theirs, "last");
        CHECK_OK(__wasi_sock_shutdown(ends->theirs, __WASI_SDFLAGS_WR));
        expect_received(ends->ours, 16, BOTH, "last");
        expect_received(ends->ours, 16, __WASI_RIFLAGS_RECV_WAITALL, "last");
        expect_received(ends->ours, 16, __WASI_RIFLAGS_RECV_WAITALL, "");
        expect_received(ends->ours, 16, __WASI_RIFLAGS_RECV_PEEK, "");
}

static void vectors(const struct ends *ends) {
        static uint8_t large[1 << 21];
        static __wasi_iovec_t many[1025];
        char first[2], third[8];
        uint8_t bytes[1025];
        __wasi_iovec_t iovecs[] = { { (uint8_t *)first, 2 }, { NULL, 0 }, { (uint8_t *)third, 8 } };
        __wasi_ciovec_t parts[] = { { (const uint8_t *)"he", 2 }, { NULL, 0 }, { (const uint8_t *)"llo", 3 } };
        __wasi_size_t n;

        CHECK_OK(__wasi_fd_write(ends->theirs, parts, 3, &n));
        CHECK(n == 5);
        await_readable(ends->ours);
        CHECK_OK(__wasi_fd_read(ends->ours, iovecs, 3, &n));
        CHECK(n == 5 && memcmp(first, "he", 2) == 0 && memcmp(third, "llo", 3) == 0);

        for (size_t i = 0; i < 1025; ++i)
                many[i] = (__wasi_iovec_t){ .buf = &bytes[i], .buf_len = 1 };
        CHECK_ERRNO(__wasi_fd_read(ends->ours, many, 1025, &n), __WASI_ERRNO_INVAL);
        send_text(ends->theirs, "abc");
        await_readable(ends->ours);
        CHECK_OK(__wasi_fd_read(ends->ours, many, 1024, &n));
        CHECK(n == 3 && memcmp(bytes, "abc", 3) == 0);
        for (size_t i = 0; i < 1024; ++i)
                many[i] = (__wasi_iovec_t){ .buf = large, .buf_len = sizeof(large) };
        CHECK_ERRNO(__wasi_fd_read(ends->ours, many, 1024, &n), __WASI_ERRNO_INVAL);
        --many[0].buf_len;
        send_text(ends->theirs, "abc");
        await_readable(ends->ours);
        CHECK_OK(__wasi_fd_read(ends->ours, many, 1024, &n));
        CHECK(n == 3 && memcmp(large, "abc", 3) == 0);
        CHECK_OK(__wasi_fd_write(ends->theirs, NULL, 0, &n));
        CHECK(n == 0);
}

int main(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        struct ends ends = ends_open(&listener, 0);

        peeks(&ends);
        waits_for_all();
        vectors(&ends);
        not_all(&ends);
        return 0;
}
