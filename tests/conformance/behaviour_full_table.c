/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No number left
 *
 * When a guest has as many descriptors as it may have, every function that would make one is `mfile`, before anything else is done: no
 * peer is taken and lost, nothing is connected, and a connection keeps its stream. As soon as a number is free, the same calls succeed.
 */
#include <fcntl.h>

#include "tests/conformance/conformance.h"

static __wasi_fd_t open_file(void) {
        return open(DIRECTORY "/full", O_RDWR | O_CREAT, 0600);
}

/* @return the last number that there is */
static __wasi_fd_t fill(void) {
        __wasi_fd_t last = -1;

        for (__wasi_fd_t fd = open_file(); fd >= 0; fd = open_file())
                last = fd;
        CHECK(errno == EMFILE);
        return last;
}

struct parts {
        struct listener listener; /* two peers wait */
        __wasi_fd_t client;
        __wasi_fd_t first; /* connections */
        __wasi_fd_t second;
};

static __wasi_errno_t try_open(const struct parts *parts, __wasi_fd_t *ret) {
        (void)parts;
        return open_control(protocol(PROTOCOL_IP), "127.0.0.1:0", __WASI_FILETYPE_SOCKET_STREAM, 0, ret);
}

static __wasi_errno_t try_connect(const struct parts *parts, __wasi_fd_t *ret) {
        return guest_connect(parts->client, setting(PEER_ECHO), ret);
}

static __wasi_errno_t try_accept(const struct parts *parts, __wasi_fd_t *ret) {
        return __wasi_networking_accept(parts->listener.control, ret);
}

static __wasi_errno_t try_sock_accept(const struct parts *parts, __wasi_fd_t *ret) {
        return __wasi_sock_accept(parts->listener.control, 0, ret);
}

static __wasi_errno_t try_stream_create(const struct parts *parts, __wasi_fd_t *ret) {
        return __wasi_networking_stream_create(parts->first, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, ret);
}

static __wasi_errno_t try_stream_accept(const struct parts *parts, __wasi_fd_t *ret) {
        return __wasi_networking_stream_accept(parts->second, ret);
}

static __wasi_errno_t (*const tries[])(const struct parts *parts, __wasi_fd_t *ret) = {
        try_open, try_connect, try_accept, try_sock_accept, try_stream_create, try_stream_accept,
};

int main(void) {
        struct parts parts = { .listener = listener_open(PROTOCOL_IP, "127.0.0.1:0") };
        __wasi_fd_t last, fd;

        parts.client = client_open(setting(PEER_ECHO), __WASI_FILETYPE_SOCKET_STREAM, 0);
        parts.first = connection_open(parts.listener.address, __WASI_FILETYPE_SOCKET_STREAM);
        parts.second = connection_open(parts.listener.address, __WASI_FILETYPE_SOCKET_STREAM);
        await_readable(parts.listener.control);
        last = fill();
        for (int round = 0; round < 3; ++round) {
                for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); ++i)
                        CHECK_ERRNO(tries[i](&parts, &fd), __WASI_ERRNO_MFILE);
        }
        for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); ++i) {
                close_fd(last - (__wasi_fd_t)i);
                CHECK_OK(tries[i](&parts, &fd));
                CHECK(fd == last - (__wasi_fd_t)i);
        }
        CHECK(unlink(DIRECTORY "/full") == 0);
        return 0;
}
