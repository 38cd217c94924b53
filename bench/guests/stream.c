/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of bench_upload(), inside Wasm: sends on a stream, and measures that itself, so that neither the start of
 * the runtime nor the compilation of the module counts.
 *
 *   stream.wasm ADDRESS WARM TOTAL CHUNK
 *
 * Sends WARM bytes, then TOTAL; prints the nanoseconds from the first write of the latter to the sink's receipt.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <wasi/networking.h>

#define ANY_PORT "0.0.0.0:0"

_Noreturn static void die(const char *what, __wasi_errno_t error) {
        fprintf(stderr, "stream: %s: %s\n", what, wasi_networking_errno_name(error));
        exit(EXIT_FAILURE);
}

static int connect_stream(const char *address) {
        __wasi_fd_t protocol = wasi_networking_find_protocol(NULL);
        __wasi_fd_t control, connection, stream;
        __wasi_errno_t error;

        error = __wasi_networking_open(protocol, ANY_PORT, strlen(ANY_PORT), __WASI_FILETYPE_SOCKET_STREAM,
                                       WASI_NETWORKING_RIGHTS_CLIENT,
                                       WASI_NETWORKING_RIGHTS_CONNECTION | WASI_NETWORKING_RIGHTS_STREAM, 0, &control);
        if (error != __WASI_ERRNO_SUCCESS)
                die("open", error);
        error = __wasi_networking_connect(control, address, strlen(address), &connection);
        if (error != __WASI_ERRNO_SUCCESS)
                die("connect", error);
        error = __wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream);
        if (error != __WASI_ERRNO_SUCCESS)
                die("stream_create", error);
        return stream;
}

static uint64_t now(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void write_all(int stream, const void *buffer, uint64_t total, size_t chunk) {
        while (total > 0) {
                ssize_t n = write(stream, buffer, total < chunk ? (size_t)total : chunk);

                if (n < 0)
                        die("write", __WASI_ERRNO_IO);
                total -= (uint64_t)n;
        }
}

static void upload(int stream, uint64_t total, size_t chunk) {
        /* bench_upload_header */
        const uint32_t header[] = { htonl((uint32_t)(total >> 32)), htonl((uint32_t)total) };
        uint8_t *buffer = calloc(1, chunk);
        uint8_t receipt;

        if (!buffer)
                die("calloc", __WASI_ERRNO_NOMEM);
        write_all(stream, header, sizeof(header), sizeof(header));
        write_all(stream, buffer, total, chunk);
        free(buffer);
        if (read(stream, &receipt, 1) != 1)
                die("no receipt", __WASI_ERRNO_PIPE);
}

int main(int argc, char **argv) {
        uint64_t warm, total, start;
        size_t chunk;
        int stream;

        if (argc != 5)
                die("usage: stream.wasm ADDRESS WARM TOTAL CHUNK", __WASI_ERRNO_INVAL);
        warm = strtoull(argv[2], NULL, 10);
        total = strtoull(argv[3], NULL, 10);
        chunk = (size_t)strtoul(argv[4], NULL, 10);
        stream = connect_stream(argv[1]);
        upload(stream, warm, chunk);
        start = now();
        upload(stream, total, chunk);
        printf("%" PRIu64 "\n", now() - start);
        return 0;
}
