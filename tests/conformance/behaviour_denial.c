/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals
 *
 * What the policy does not grant is `access`, for connecting, binding and listening alike, and changes nothing: the control can go on
 * with what is granted. last_denial says why the guest was last refused something, where the policy explains it, and is empty before;
 * other errors leave it as it is. A host name that is not granted is `access`; what is neither an address nor a name is
 * `inval`; an address of a family that the protocol does not have is `afnosupport`.
 *
 * A text that does not fit the buffer is `nametoolong`; the length is told either way, and nothing else is written.
 */
#include "tests/conformance/conformance.h"

static __wasi_size_t denial(char buffer[WASI_NETWORKING_REASON_MAX + 1]) {
        __wasi_size_t length = 0;

        CHECK_OK(__wasi_networking_last_denial(buffer, WASI_NETWORKING_REASON_MAX, &length));
        CHECK(length <= WASI_NETWORKING_REASON_MAX);
        buffer[length] = '\0';
        return length;
}

static void too_small(const char *expected) {
        __wasi_size_t length = 0;
        char small[2] = "??";

        CHECK_ERRNO(__wasi_networking_last_denial(small, 1, &length), __WASI_ERRNO_NAMETOOLONG);
        CHECK(length == strlen(expected));
        CHECK(memcmp(small, "??", 2) == 0);
        CHECK_ERRNO(__wasi_networking_last_denial(NULL, 0, &length), __WASI_ERRNO_NAMETOOLONG);
}

static __wasi_errno_t try_open(const char *protocol_name, const char *address, __wasi_filetype_t type) {
        __wasi_fd_t control;

        return open_control(protocol(protocol_name), address, type, 0, &control);
}

int main(void) {
        char reason[WASI_NETWORKING_REASON_MAX + 1], later[WASI_NETWORKING_REASON_MAX + 1];
        __wasi_fd_t control = client_open(setting(DENIED), __WASI_FILETYPE_SOCKET_STREAM, 0), connection;

        CHECK(denial(reason) == 0);
        CHECK_ERRNO(guest_connect(control, setting(DENIED), &connection), __WASI_ERRNO_ACCES);
        CHECK(denial(reason) > 0);
        CHECK(strstr(reason, setting(DENIED)));
        too_small(reason);
        CHECK_ERRNO(guest_connect(control, setting(PEER_REFUSED), &connection), __WASI_ERRNO_CONNREFUSED);
        CHECK(denial(later) > 0 && strcmp(reason, later) == 0);
        CHECK_OK(guest_connect(control, setting(PEER_ECHO), &connection));

        CHECK(try_open(PROTOCOL_IP, "127.0.0.2:0", __WASI_FILETYPE_SOCKET_STREAM) == __WASI_ERRNO_ACCES);
        CHECK(denial(later) > 0 && strcmp(reason, later) != 0);
        CHECK_ERRNO(guest_connect(control, "host.example:80", &connection), __WASI_ERRNO_ACCES);
        CHECK(denial(later) > 0 && strstr(later, "host.example:80"));

        CHECK_ERRNO(guest_connect(control, "127.0.0.1", &connection), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(guest_connect(control, "127.1:80", &connection), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(guest_connect(control, "127.0.0.1:80 ", &connection), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(guest_connect(control, "127.0.0.1:65536", &connection), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(guest_connect(control, "[::1%lo]:80", &connection), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(guest_connect(control, "", &connection), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(__wasi_networking_connect(control, "127.0.0.1:80\0", 13, &connection), __WASI_ERRNO_INVAL);
        CHECK_ERRNO(__wasi_networking_connect(control, "\xff\xfe:80", 5, &connection), __WASI_ERRNO_INVAL);
        CHECK(try_open(PROTOCOL_UNIX, "127.0.0.1:0", __WASI_FILETYPE_SOCKET_STREAM) == __WASI_ERRNO_AFNOSUPPORT);
        CHECK(try_open(PROTOCOL_IP, setting(ABSTRACT), __WASI_FILETYPE_SOCKET_STREAM) == __WASI_ERRNO_AFNOSUPPORT);
        CHECK_ERRNO(guest_connect(control, setting(PEER_UNIX), &connection), __WASI_ERRNO_AFNOSUPPORT);
        CHECK(try_open(PROTOCOL_IP, "127.0.0.1:0", __WASI_FILETYPE_REGULAR_FILE) == __WASI_ERRNO_INVAL);
        return 0;
}
