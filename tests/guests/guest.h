/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test guests share: checks that say where they failed, and the few lines that each of them starts with.
 *
 * A guest ends with 0 when all it looked at was as expected; otherwise with 1 and one line on standard error.
 */
#ifndef NB_TESTS_GUEST_H
#define NB_TESTS_GUEST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wasi/networking.h>

#define GUEST_RIGHTS_INHERITING (WASI_NETWORKING_RIGHTS_CONNECTION | WASI_NETWORKING_RIGHTS_STREAM)

#define FAIL(...)                                                                                                      \
        do {                                                                                                           \
                fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                        \
                fprintf(stderr, __VA_ARGS__);                                                                          \
                fputc('\n', stderr);                                                                                   \
                exit(1);                                                                                               \
        } while (0)

#define CHECK(condition)                                                                                               \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        FAIL("not so: %s", #condition);                                                                \
        } while (0)

#define CHECK_ERRNO(call, expected)                                                                                    \
        do {                                                                                                           \
                __wasi_errno_t error_ = (call), expected_ = (expected);                                                \
                if (error_ != expected_)                                                                               \
                        FAIL("%s is %s (%d), not %s (%d)", #call, wasi_networking_errno_name(error_), error_,          \
                             wasi_networking_errno_name(expected_), expected_);                                        \
        } while (0)

#define CHECK_OK(call) CHECK_ERRNO(call, __WASI_ERRNO_SUCCESS)

/** The host's only protocol. */
static inline __wasi_fd_t guest_protocol(void) {
        __wasi_fd_t protocol = wasi_networking_find_protocol(NULL);

        CHECK(protocol >= 3);
        return protocol;
}

static inline __wasi_errno_t guest_open(const char *address, __wasi_rights_t rights, __wasi_fdflags_t flags,
                                        __wasi_fd_t *ret) {
        return __wasi_networking_open(guest_protocol(), address, strlen(address), __WASI_FILETYPE_SOCKET_STREAM, rights,
                                      GUEST_RIGHTS_INHERITING, flags, ret);
}

/** A control that can connect to `address`. */
static inline __wasi_fd_t guest_client(const char *address, __wasi_fdflags_t flags) {
        __wasi_fd_t control;

        CHECK_OK(
                guest_open(address[0] == '[' ? "[::]:0" : "0.0.0.0:0", WASI_NETWORKING_RIGHTS_CLIENT, flags, &control));
        return control;
}

/** A control that listens on `address`. */
static inline __wasi_fd_t guest_listener(const char *address, __wasi_fdflags_t flags) {
        __wasi_fd_t control;

        CHECK_OK(guest_open(address, WASI_NETWORKING_RIGHTS_SERVER, flags, &control));
        CHECK_OK(__wasi_networking_listen(control, 8));
        return control;
}

static inline __wasi_errno_t guest_connect(__wasi_fd_t control, const char *address, __wasi_fd_t *ret) {
        return __wasi_networking_connect(control, address, strlen(address), ret);
}

/** A stream to `address`; control and connection are closed. */
static inline int guest_dial(const char *address) {
        __wasi_fd_t control = guest_client(address, 0), connection, stream;

        CHECK_OK(guest_connect(control, address, &connection));
        CHECK_OK(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream));
        CHECK(close(control) == 0);
        CHECK(close(connection) == 0);
        return stream;
}

/** The stream of a listener's next peer; the connection is closed. */
static inline int guest_accept(__wasi_fd_t control) {
        __wasi_fd_t connection, stream;

        CHECK_OK(__wasi_networking_accept(control, &connection));
        CHECK_OK(__wasi_networking_stream_accept(connection, &stream));
        CHECK(close(connection) == 0);
        return stream;
}

static inline void guest_write_all(int fd, const void *bytes, size_t length) {
        const char *next = bytes;

        while (length > 0) {
                ssize_t n = write(fd, next, length);

                if (n < 0)
                        FAIL("write: %s", strerror(errno));
                next += n;
                length -= (size_t)n;
        }
}

#endif
