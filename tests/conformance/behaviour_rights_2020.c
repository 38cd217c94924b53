/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights in the proposal's numbering
 *
 * The proposal was written against the snapshot of mid-2020, whose numbers differ from preview 1's from bit 21 on, and in which nothing
 * governs listen, accept, connect and bind. Descriptors carry preview 1's numbers, and those of WASIX for what that lacks: sock_accept
 * 29, sock_connect 30, sock_listen 31, sock_bind 32.
 *
 * A guest that passes the old numbers works: poll_fd_readwrite and sock_shutdown are never demanded, since their old numbers are others'
 * now; and a control that is asked for with fd_read or fd_write, which no control can use, but with neither listen nor bind, which have
 * no old number, gets every verb that the protocol can give.
 */
#include "tests/conformance/conformance.h"

/* Numbers of 2020. */
#define OLD_FD_READ (UINT64_C(1) << 1)
#define OLD_FD_WRITE (UINT64_C(1) << 6)
#define OLD_POLL_FD_READWRITE (UINT64_C(1) << 29)
#define OLD_SOCK_SHUTDOWN (UINT64_C(1) << 30)
#define OLD_ALL (OLD_FD_READ | OLD_FD_WRITE | OLD_POLL_FD_READWRITE | OLD_SOCK_SHUTDOWN)

static __wasi_fd_t open_old(const char *address) {
        __wasi_fd_t control;

        CHECK_OK(__wasi_networking_open(protocol(PROTOCOL_IP), address, strlen(address), __WASI_FILETYPE_SOCKET_STREAM,
                                        OLD_ALL, OLD_ALL, 0, &control));
        return control;
}

int main(void) {
        __wasi_fd_t server = open_old("127.0.0.1:0"), client = open_old("0.0.0.0:0"), connection, ours, theirs;
        char address[ADDRESS_MAX + 1];

        CHECK_OK(__wasi_networking_listen(server, 8));
        CHECK_OK(guest_connect(client, local_address(server, address), &connection));
        CHECK_OK(__wasi_networking_stream_create(connection, OLD_ALL, OLD_ALL, 0, &ours));
        await_readable(server);
        CHECK_OK(__wasi_networking_accept(server, &connection));
        CHECK_OK(__wasi_networking_stream_accept(connection, &theirs));

        send_text(ours, "hello");
        expect_text(theirs, "hello");
        CHECK_OK(__wasi_sock_shutdown(ours, __WASI_SDFLAGS_WR));
        expect_end(theirs);
        return 0;
}
