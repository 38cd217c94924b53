/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams
 *
 * A stream of a datagram control keeps the borders of messages, over IPv4 and IPv6: a write is one datagram, a read returns one, an empty
 * one too. What does not fit the buffers is lost, and sock_recv flags it (`data_truncated`); fd_read has no flags and says nothing. A
 * peek leaves the datagram; waitall means nothing. nbytes of a poll is the size of the next datagram.
 *
 * A connect fixes the peer, and only its datagrams are received. That nobody is there shows at a later call, as `connrefused`; what is
 * larger than a datagram can be is `msgsize`. To listen takes a grant for the address that the control is bound to, as it does for streams.
 */
#include "tests/conformance/conformance.h"

#define TRUNCATED __WASI_ROFLAGS_RECV_DATA_TRUNCATED

static void expect_datagram(__wasi_fd_t fd, size_t size, __wasi_riflags_t flags, const char *expected,
                            __wasi_roflags_t expected_flags) {
        __wasi_roflags_t roflags = 0xffff;
        __wasi_size_t n = 1000;
        char buffer[64];

        CHECK(size <= sizeof(buffer));
        CHECK_OK(receive_bytes(fd, buffer, size, flags, &n, &roflags));
        CHECK(n == strlen(expected) && memcmp(buffer, expected, n) == 0);
        CHECK(roflags == expected_flags);
}

static void borders(const char *address) {
        __wasi_fd_t stream = stream_open(address, __WASI_FILETYPE_SOCKET_DGRAM, 0);
        __wasi_size_t n = 0;
        char buffer[4];

        send_text(stream, "one");
        await_readable(stream);
        CHECK(poll_read(stream, 0).nbytes == 3);
        expect_datagram(stream, 16, __WASI_RIFLAGS_RECV_PEEK, "one", 0);
        send_text(stream, "");
        send_text(stream, "three");
        expect_datagram(stream, 16, __WASI_RIFLAGS_RECV_WAITALL, "one", 0);
        expect_datagram(stream, 16, 0, "", 0);
        expect_datagram(stream, 16, 0, "three", 0);

        send_text(stream, "too long");
        expect_datagram(stream, 3, __WASI_RIFLAGS_RECV_PEEK, "too", TRUNCATED);
        expect_datagram(stream, 3, 0, "too", TRUNCATED);
        send_text(stream, "too long");
        send_text(stream, "next");
        CHECK_OK(__wasi_fd_read(stream, &(__wasi_iovec_t){ (uint8_t *)buffer, 4 }, 1, &n));
        CHECK(n == 4 && memcmp(buffer, "too ", 4) == 0);
        expect_datagram(stream, 16, 0, "next", 0);
        close_fd(stream);
}

static void errors(void) {
        __wasi_fd_t stream = stream_open(setting(PEER_REFUSED_DATAGRAMS), __WASI_FILETYPE_SOCKET_DGRAM, 0);
        static uint8_t large[65536];
        __wasi_roflags_t flags;
        __wasi_size_t n;
        char byte;

        CHECK_ERRNO(send_bytes(stream, large, sizeof(large), &n), __WASI_ERRNO_MSGSIZE);
        send_text(stream, "anybody?");
        await_readable(stream);
        CHECK_ERRNO(receive_bytes(stream, &byte, 1, 0, &n, &flags), __WASI_ERRNO_CONNREFUSED);
        close_fd(stream);
}

/* Who sends to us and is not our peer, is not heard, and is told that nobody is there. */
static void strangers(void) {
        __wasi_fd_t stream = stream_open(setting(PEER_DATAGRAMS), __WASI_FILETYPE_SOCKET_DGRAM, 0), stranger;
        char address[ADDRESS_MAX + 1];
        __wasi_size_t n;

        stranger = stream_open(local_address(stream, address), __WASI_FILETYPE_SOCKET_DGRAM, 0);
        send_text(stranger, "stranger");
        await_readable(stranger);
        CHECK_ERRNO(send_bytes(stranger, "x", 1, &n), __WASI_ERRNO_CONNREFUSED);
        CHECK(!poll_read(stream, 0).ready);
        send_text(stream, "hello");
        expect_text(stream, "hello");
        close_fd(stranger);
        close_fd(stream);
}

/* A gathering write is one datagram, a scattering read takes one. */
static void vectors(void) {
        __wasi_fd_t stream = stream_open(setting(PEER_DATAGRAMS), __WASI_FILETYPE_SOCKET_DGRAM, 0);
        __wasi_ciovec_t parts[] = { { (const uint8_t *)"he", 2 }, { (const uint8_t *)"llo", 3 } };
        char first[1], second[16];
        __wasi_iovec_t iovecs[] = { { (uint8_t *)first, 1 }, { (uint8_t *)second, 16 } };
        __wasi_size_t n;

        CHECK_OK(__wasi_fd_write(stream, parts, 2, &n));
        CHECK(n == 5);
        CHECK_OK(__wasi_fd_read(stream, iovecs, 2, &n));
        CHECK(n == 5 && first[0] == 'h' && memcmp(second, "ello", 4) == 0);
        close_fd(stream);
}

static void refused(void) {
        __wasi_fd_t control = client_open(setting(PEER_DATAGRAMS), __WASI_FILETYPE_SOCKET_DGRAM, 0), connection;

        CHECK_ERRNO(__wasi_networking_listen(control, 1), __WASI_ERRNO_ACCES);
        CHECK_ERRNO(open_control(protocol(PROTOCOL_UNIX), "", __WASI_FILETYPE_SOCKET_DGRAM, 0, &connection),
                    __WASI_ERRNO_NOTSUP);
        CHECK_ERRNO(guest_connect(control, setting(DENIED), &connection), __WASI_ERRNO_ACCES);
        close_fd(control);
}

int main(void) {
        borders(setting(PEER_DATAGRAMS));
        borders(setting(PEER_DATAGRAMS6));
        errors();
        strangers();
        vectors();
        refused();
        return 0;
}
