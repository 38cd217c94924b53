/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking and not
 *
 * Whether a descriptor waits is its flag `nonblock`: given when it is made, and switched by fd_fdstat_set_flags whenever the guest likes,
 * also between two calls for the same thing. A blocking write sends everything, however small the peer's buffers; a nonblocking one sends
 * what fits, and says `again` when nothing does. Each descriptor has a flag of its own: a stream's is not its connection's.
 *
 * fd_read and sock_recv return what there is, and wait for the first byte only.
 */
#include "tests/conformance/conformance.h"

#define PIECE 65536

static void reads(const struct listener *listener) {
        struct ends ends = ends_open(listener, __WASI_FDFLAGS_NONBLOCK);
        __wasi_fd_t stream = stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, __WASI_FDFLAGS_NONBLOCK);
        char buffer[16];
        __wasi_size_t n;
        __wasi_roflags_t flags;

        CHECK_ERRNO(receive_bytes(ends.ours, buffer, sizeof(buffer), 0, &n, &flags), __WASI_ERRNO_AGAIN);
        CHECK(read(ends.ours, buffer, sizeof(buffer)) == -1 && errno == EAGAIN);

        /* What is asked for is on its way when the read begins. */
        CHECK_OK(__wasi_fd_fdstat_set_flags(stream, 0));
        send_text(stream, "hello");
        CHECK(read(stream, buffer, sizeof(buffer)) == 5);
        CHECK_OK(__wasi_fd_fdstat_set_flags(stream, __WASI_FDFLAGS_NONBLOCK));
        CHECK(read(stream, buffer, sizeof(buffer)) == -1 && errno == EAGAIN);
        close_fd(stream);
        close_fd(ends.ours);
        close_fd(ends.theirs);
}

static void writes_what_fits(const struct listener *listener) {
        static uint8_t bytes[PIECE];
        struct ends ends = ends_open(listener, __WASI_FDFLAGS_NONBLOCK);
        uint64_t sent = 0, received = 0;
        __wasi_errno_t error;
        __wasi_size_t n;
        __wasi_roflags_t flags;

        while ((error = send_bytes(ends.ours, bytes, PIECE, &n)) == __WASI_ERRNO_SUCCESS) {
                CHECK(n > 0 && n <= PIECE);
                sent += n;
        }
        CHECK(error == __WASI_ERRNO_AGAIN);
        CHECK(!poll_write(ends.ours, 0).ready);
        while (received < sent) {
                await_readable(ends.theirs);
                CHECK_OK(receive_bytes(ends.theirs, bytes, PIECE, 0, &n, &flags));
                received += n;
        }
        CHECK(received == sent);
        CHECK(poll_write(ends.ours, DEADLINE).ready);
        close_fd(ends.ours);
        close_fd(ends.theirs);
}

/* More than both buffers hold, to a peer that reads and sends back: it is read here only when all is written, up to what buffers there hold. */
static void writes_all(void) {
        static uint8_t bytes[4 * PIECE];
        __wasi_fd_t stream = stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0);
        __wasi_size_t n;
        __wasi_roflags_t flags;

        CHECK_OK(__wasi_networking_set_option(stream, __WASI_NETWORKING_OPTION_SNDBUF, 4096));
        CHECK_OK(send_bytes(stream, bytes, sizeof(bytes), &n));
        CHECK(n == sizeof(bytes));
        CHECK_OK(receive_bytes(stream, bytes, sizeof(bytes), __WASI_RIFLAGS_RECV_WAITALL, &n, &flags));
        CHECK(n == sizeof(bytes));
        close_fd(stream);
}

static void flags(void) {
        __wasi_fd_t stream = stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0), control;
        static const __wasi_fdflags_t of_files[] = { __WASI_FDFLAGS_APPEND, __WASI_FDFLAGS_DSYNC, __WASI_FDFLAGS_RSYNC,
                                                     __WASI_FDFLAGS_SYNC };

        for (size_t i = 0; i < 4; ++i) {
                CHECK_ERRNO(__wasi_fd_fdstat_set_flags(stream, of_files[i] | __WASI_FDFLAGS_NONBLOCK),
                            __WASI_ERRNO_NOTSUP);
                CHECK_ERRNO(open_control(protocol(PROTOCOL_IP), "0.0.0.0:0", __WASI_FILETYPE_SOCKET_STREAM, of_files[i],
                                         &control),
                            __WASI_ERRNO_NOTSUP);
        }
        CHECK_ERRNO(__wasi_fd_fdstat_set_flags(stream, 0x20), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(__wasi_fd_fdstat_set_flags(stream, 0xffff), __WASI_ERRNO_INVAL);
        close_fd(stream);
}

int main(void) {
        struct listener listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");

        reads(&listener);
        writes_what_fits(&listener);
        writes_all();
        flags();
        return 0;
}
