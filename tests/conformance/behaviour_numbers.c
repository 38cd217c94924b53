/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of descriptors
 *
 * A new descriptor gets the lowest number that is free, as POSIX has it, whatever function makes it and whether it is a file or a socket:
 * 0 to 2, the directories, the protocols, the preopened sockets, and then the guest's own, without a hole. Numbers of closed files and
 * sockets are used again for either.
 */
#include <fcntl.h>

#include "tests/conformance/conformance.h"

static __wasi_fd_t open_file(void) {
        __wasi_fd_t fd = open(DIRECTORY "/numbered", O_RDWR | O_CREAT, 0600);

        CHECK(fd >= 0);
        return fd;
}

int main(void) {
        __wasi_fd_t first = lowest_free(), control, connection, stream;
        struct listener listener;

        CHECK(protocol(PROTOCOL_IP) == 4); /* behind 0 to 2 and one directory */
        CHECK(preopened(PREOPENED_CONNECTION) == first - 1);

        listener = listener_open(PROTOCOL_IP, "127.0.0.1:0");
        CHECK(listener.control == first);
        CHECK(open_file() == first + 1);
        control = client_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0);
        CHECK(control == first + 2);
        CHECK_OK(guest_connect(control, listener.address, &connection));
        CHECK(connection == first + 3);
        CHECK_OK(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream));
        CHECK(stream == first + 4);

        close_fd(first + 1);
        close_fd(control);
        CHECK_OK(__wasi_sock_accept(listener.control, 0, &stream));
        CHECK(stream == first + 1);
        CHECK(open_file() == first + 2);
        close_fd(STDIN_FILENO);
        close_fd(connection);
        CHECK(open_file() == STDIN_FILENO);
        CHECK(client_open(listener.address, __WASI_FILETYPE_SOCKET_STREAM, 0) == connection);
        CHECK(open_file() == first + 5);
        CHECK(unlink(DIRECTORY "/numbered") == 0);
        return 0;
}
