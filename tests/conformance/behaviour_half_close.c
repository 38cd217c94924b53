/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half-close
 *
 * After a shutdown for writing the peer reads the end, writes here are `pipe`, and the other direction goes on in both ways. After one
 * for reading, reads return the end. Both can be shut down, in one call or in two, and again. A hang-up is flagged on the read side once
 * the peer has ended its direction, also while there is something left to read, and on the write side once both directions are shut.
 *
 * The end of a stream is read again and again. No write raises a signal, here or in the host.
 */
#include "tests/conformance/conformance.h"

static void expect_pipe(__wasi_fd_t fd) {
        __wasi_size_t n;

        CHECK_ERRNO(send_bytes(fd, "x", 1, &n), __WASI_ERRNO_PIPE);
}

static void each_direction(const struct listener *listener, bool ours_first) {
        struct ends ends = ends_open(listener, 0);
        __wasi_fd_t first = ours_first ? ends.ours : ends.theirs;
        __wasi_fd_t second = ours_first ? ends.theirs : ends.ours;

        send_text(first, "last");
        CHECK_OK(__wasi_sock_shutdown(first, __WASI_SDFLAGS_WR));
        await_hangup(second);
        CHECK(poll_read(second, 0).nbytes == 4);
        expect_pipe(first);
        expect_text(second, "last");
        expect_end(second);
        expect_end(second);
        CHECK(!poll_write(second, 0).hangup);

        send_text(second, "answer");
        expect_text(first, "answer");
        CHECK(!poll_read(first, 0).ready);
        CHECK_OK(__wasi_sock_shutdown(second, __WASI_SDFLAGS_WR));
        expect_end(first);
        CHECK(poll_write(first, DEADLINE).hangup);
        close_fd(first);
        close_fd(second);
}

static void both(const struct listener *listener, __wasi_sdflags_t once, __wasi_sdflags_t then) {
        struct ends ends = ends_open(listener, 0);

        CHECK_OK(__wasi_sock_shutdown(ends.ours, once));
        CHECK_OK(__wasi_sock_shutdown(ends.ours, then));
        expect_pipe(ends.ours);
        expect_end(ends.ours);
        expect_end(ends.theirs);
        close_fd(ends.ours);
        close_fd(ends.theirs);
}

int main(void) {
        const __wasi_sdflags_t rd = __WASI_SDFLAGS_RD, wr = __WASI_SDFLAGS_WR;
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        struct ends ends;

        each_direction(&listener, true);
        each_direction(&listener, false);
        both(&listener, rd, wr);
        both(&listener, wr, rd);
        both(&listener, rd | wr, rd | wr);

        ends = ends_open(&listener, 0);
        CHECK_ERRNO(__wasi_sock_shutdown(ends.ours, 0), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(__wasi_sock_shutdown(ends.ours, 4), __WASI_ERRNO_INVAL);
        return 0;
}
