/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses
 *
 * local_address and remote_address tell the same of a connection and of its stream, and the two ends of a connection agree. Addresses are
 * written in one way: IPv6 in brackets and as RFC 5952 has it, a Unix socket as its path or name, and as the empty text when it has none.
 * They are written without a NUL; a buffer that is too small is `nametoolong`, and the length is told.
 */
#include "tests/conformance/conformance.h"

static bool begins_with(const char *text, const char *begin) {
        return strncmp(text, begin, strlen(begin)) == 0;
}

static void expect_same(__wasi_fd_t a, __wasi_fd_t b) {
        char of_a[ADDRESS_MAX + 1], of_b[ADDRESS_MAX + 1];

        CHECK(strcmp(local_address(a, of_a), local_address(b, of_b)) == 0);
        CHECK(strcmp(remote_address(a, of_a), remote_address(b, of_b)) == 0);
}

static void both_ends(const char *ip, const char *bind) {
        struct listener listener = listener_open(PROTOCOL_IP, bind);
        __wasi_fd_t control = client_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0);
        __wasi_fd_t ours, our_stream, theirs, their_stream;
        char address[ADDRESS_MAX + 1], other[ADDRESS_MAX + 1];

        CHECK_OK(guest_connect(control, listener.address, &ours));
        CHECK_OK(__wasi_networking_accept(listener.control, &theirs));
        CHECK(begins_with(listener.address, ip));
        CHECK(strcmp(remote_address(ours, address), listener.address) == 0);
        CHECK(strcmp(local_address(theirs, address), listener.address) == 0);
        CHECK(strcmp(local_address(ours, address), remote_address(theirs, other)) == 0);
        CHECK(begins_with(address, ip) && strcmp(address, listener.address) != 0);

        CHECK_OK(__wasi_networking_stream_accept(ours, &our_stream));
        CHECK_OK(__wasi_networking_stream_accept(theirs, &their_stream));
        expect_same(ours, our_stream);
        expect_same(theirs, their_stream);
}

static void datagrams(const char *peer, const char *ip) {
        __wasi_fd_t stream = stream_open(peer, __WASI_FILETYPE_SOCKET_DGRAM, 0);
        char address[ADDRESS_MAX + 1];

        CHECK(strcmp(remote_address(stream, address), peer) == 0);
        CHECK(begins_with(local_address(stream, address), ip) && strcmp(address, peer) != 0);
}

static void unix_sockets(void) {
        struct listener listener = listener_open(PROTOCOL_UNIX, setting(ABSTRACT));
        struct ends ends = ends_open(&listener, 0);
        char address[ADDRESS_MAX + 1];

        CHECK(strcmp(remote_address(ends.ours, address), setting(ABSTRACT)) == 0);
        CHECK(strcmp(local_address(ends.theirs, address), setting(ABSTRACT)) == 0);
        CHECK(strcmp(local_address(ends.ours, address), "") == 0);
        CHECK(strcmp(remote_address(ends.theirs, address), "") == 0);
}

static void buffers(void) {
        __wasi_fd_t stream = stream_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0);
        size_t expected = strlen(setting(PEER_ECHO));
        char buffer[ADDRESS_MAX];
        __wasi_size_t length = 0;

        memset(buffer, '?', sizeof(buffer));
        CHECK_ERRNO(__wasi_networking_remote_address(stream, buffer, expected - 1, &length), __WASI_ERRNO_NAMETOOLONG);
        CHECK(length == expected && buffer[0] == '?');
        CHECK_OK(__wasi_networking_remote_address(stream, buffer, expected, &length));
        CHECK(length == expected && memcmp(buffer, setting(PEER_ECHO), expected) == 0 && buffer[expected] == '?');
        length = 0;
        CHECK_ERRNO(__wasi_networking_local_address(stream, NULL, 0, &length), __WASI_ERRNO_NAMETOOLONG);
        CHECK(length > 0);
}

int main(void) {
        both_ends("127.0.0.1:", "127.0.0.1:0");
        both_ends("[::1]:", "[::1]:0");
        datagrams(setting(PEER_DATAGRAMS), "127.0.0.1:");
        datagrams(setting(PEER_DATAGRAMS6), "[::1]:");
        unix_sockets();
        buffers();
        return 0;
}
