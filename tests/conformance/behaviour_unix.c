/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets
 *
 * An address is a path from the root, or an abstract name behind an `@`; a client opens its control with the empty address. Streams work
 * as those of TCP. A path exists from `open` on and until the control ends, when it is removed; a path where something is already is
 * `addrinuse`, and what is there is left alone. Whoever connected stays connected.
 *
 * No `..` and no symbolic link leads out of what the policy grants: a link is `loop`, and what no pattern grants is `access`. What is no
 * path and no name is `inval`, also when it is longer than the 107 bytes that a socket's name has room for.
 */
#include "tests/conformance/conformance.h"

static void talk(const struct ends *ends) {
        send_text(ends->ours, "hello");
        expect_text(ends->theirs, "hello");
        CHECK_OK(__wasi_sock_shutdown(ends->theirs, __WASI_SDFLAGS_WR));
        expect_end(ends->ours);
        send_text(ends->ours, "bye");
        expect_text(ends->theirs, "bye");
        close_fd(ends->ours);
        expect_end(ends->theirs);
        close_fd(ends->theirs);
}

static const char *path(const char *name, char buffer[ADDRESS_MAX + 1]) {
        snprintf(buffer, ADDRESS_MAX + 1, "%s/%s", setting(FOLDER), name);
        return buffer;
}

static __wasi_errno_t try_open(const char *address) {
        __wasi_fd_t control;
        __wasi_errno_t error =
                open_control(protocol(PROTOCOL_UNIX), address, __WASI_FILETYPE_SOCKET_STREAM, 0, &control);

        if (!error)
                close_fd(control);
        return error;
}

static __wasi_errno_t try_connect(const char *address) {
        __wasi_fd_t control, connection;
        __wasi_errno_t error;

        CHECK_OK(open_control(protocol(PROTOCOL_UNIX), "", __WASI_FILETYPE_SOCKET_STREAM, 0, &control));
        error = guest_connect(control, address, &connection);
        close_fd(control);
        if (!error)
                close_fd(connection);
        return error;
}

/* The broker removes the path a moment after the control has ended. */
static void await_free(const char *address) {
        __wasi_timestamp_t start, now;

        CHECK_OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &start));
        do {
                CHECK_OK(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now));
                CHECK(now - start < DEADLINE);
        } while (try_connect(address) != __WASI_ERRNO_NOENT);
}

static void named(void) {
        char address[ADDRESS_MAX + 1];
        struct listener listener = listener_open(PROTOCOL_UNIX, path("named.sock", address));
        struct ends ends = ends_open(&listener, 0);

        CHECK(try_open(address) == __WASI_ERRNO_ADDRINUSE);
        close_fd(listener.control);
        await_free(address);
        talk(&ends);
        CHECK(try_open(setting(PEER_UNIX)) == __WASI_ERRNO_ADDRINUSE);
        CHECK(try_connect(setting(PEER_UNIX)) == __WASI_ERRNO_SUCCESS);
}

static void abstract(void) {
        struct listener listener = listener_open(PROTOCOL_UNIX, setting(ABSTRACT));
        struct ends ends = ends_open(&listener, 0);

        CHECK(strcmp(listener.address, setting(ABSTRACT)) == 0);
        talk(&ends);
        CHECK(try_open(setting(ABSTRACT)) == __WASI_ERRNO_ADDRINUSE);
        close_fd(listener.control);
}

static void long_names(void) {
        char address[ADDRESS_MAX + 1];

        snprintf(address, sizeof(address), "%s/%0*d.sock", setting(FOLDER), (int)(102 - strlen(setting(FOLDER)) - 1),
                 0);
        CHECK(strlen(address) == 107);
        CHECK(try_open(address) == __WASI_ERRNO_SUCCESS);
        await_free(address);
        snprintf(address, sizeof(address), "%s/%0*d.sock", setting(FOLDER), (int)(102 - strlen(setting(FOLDER))), 0);
        CHECK(try_open(address) == __WASI_ERRNO_INVAL);
        CHECK(try_connect(address) == __WASI_ERRNO_INVAL);
}

static void refused(void) {
        char address[ADDRESS_MAX + 1];

        CHECK(try_connect(path("nobody.sock", address)) == __WASI_ERRNO_NOENT);
        CHECK(try_connect(path("not-granted", address)) == __WASI_ERRNO_ACCES);
        CHECK(try_open(path("not-granted", address)) == __WASI_ERRNO_ACCES);
        CHECK(try_connect("@not-granted") == __WASI_ERRNO_ACCES);
        CHECK_ERRNO(try_connect(path("../peer.sock", address)), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(try_connect(path("../session.sock", address)), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(try_open(path("../new.sock", address)), __WASI_ERRNO_INVAL);
        CHECK(try_connect(path("link.sock", address)) == __WASI_ERRNO_LOOP);
        CHECK(try_open(path("link.sock", address)) == __WASI_ERRNO_ADDRINUSE);
        CHECK(try_connect("relative.sock") == __WASI_ERRNO_INVAL);
        CHECK(try_open("relative.sock") == __WASI_ERRNO_INVAL);
        CHECK(try_connect("") == __WASI_ERRNO_INVAL);
        CHECK_ERRNO(try_connect(setting(PEER_ECHO)), __WASI_ERRNO_AFNOSUPPORT);
}

int main(void) {
        named();
        abstract();
        long_names();
        refused();
        return 0;
}
