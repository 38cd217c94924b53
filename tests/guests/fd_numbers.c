/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd_numbers ADDRESS: files and network descriptors are numbers of one space, the lowest free one first, as POSIX has it.
 * It expects one directory, /tmp, and one protocol behind it.
 */
#include <fcntl.h>
#include <poll.h>

#include "tests/guests/guest.h"

int main(int argc, char **argv) {
        __wasi_fd_t protocol = guest_protocol(), control, connection, stream;
        int file, again;

        CHECK(argc == 2);
        CHECK(protocol == 4); /* behind 0 to 2 and the directory */

        control = guest_client(argv[1], 0);
        CHECK(control == 5);
        file = open("/tmp/file", O_RDWR | O_CREAT, 0600);
        CHECK(file == 6);
        CHECK_OK(guest_connect(control, argv[1], &connection));
        CHECK(connection == 7);

        CHECK(close(control) == 0);
        CHECK_OK(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream));
        CHECK(stream == 5);
        CHECK(close(file) == 0);
        CHECK(close(connection) == 0);
        again = open("/tmp/file", O_RDWR);
        CHECK(again == 6);

        /* What was a network descriptor, is none any more; and the other way round. */
        CHECK(close(7) == -1 && errno == EBADF);
        CHECK_ERRNO(__wasi_networking_listen(again, 1), __WASI_ERRNO_NOTSOCK);
        CHECK_ERRNO(__wasi_networking_listen(7, 1), __WASI_ERRNO_BADF);

        /* One poll over both. */
        {
                struct pollfd pollfds[] = { { .fd = again, .events = POLLIN }, { .fd = stream, .events = POLLOUT } };

                CHECK(poll(pollfds, 2, 30000) == 2);
                CHECK(pollfds[0].revents & POLLIN);
                CHECK(pollfds[1].revents & POLLOUT);
        }

        /* fd_renumber moves a stream onto a file's number; the file is closed. */
        guest_write_all(again, "x", 1);
        CHECK_OK(__wasi_fd_renumber(stream, again));
        CHECK(write(again, "hello\n", 6) == 6);
        CHECK(close(stream) == -1 && errno == EBADF);
        return 0;
}
