/* SPDX-License-Identifier: Apache-2.0 */
/* many ADDRESS N: opens N streams to a peer that echoes, uses each, and closes them. Their numbers are the lowest that are free. */
#include "tests/guests/guest.h"

static __wasi_fd_t stream_to(__wasi_fd_t control, const char *address) {
        __wasi_fd_t connection, stream;

        CHECK_OK(guest_connect(control, address, &connection));
        CHECK_OK(__wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM,
                                                 WASI_NETWORKING_RIGHTS_STREAM, 0, &stream));
        CHECK(close(connection) == 0);
        return stream;
}

static void exchange(int stream) {
        char byte = 'x';

        guest_write_all(stream, &byte, 1);
        CHECK(read(stream, &byte, 1) == 1 && byte == 'x');
}

int main(int argc, char **argv) {
        __wasi_fd_t control, *streams;
        long n;

        CHECK(argc == 3);
        n = strtol(argv[2], NULL, 10);
        streams = calloc((size_t)n, sizeof(*streams));
        CHECK(streams);
        control = guest_client(argv[1], 0);
        /* Each connection has the same number for the while, in front of all streams. */
        for (long i = 0; i < n; ++i) {
                streams[i] = stream_to(control, argv[1]);
                CHECK(streams[i] == streams[0] + (__wasi_fd_t)i);
        }
        for (long i = 0; i < n; ++i)
                exchange((int)streams[i]);
        for (long i = 0; i < n; ++i)
                CHECK(close((int)streams[i]) == 0);
        printf("%ld streams\n", n);
        return 0;
}
