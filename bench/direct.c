/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base line: the same work by plain socket calls, in one process.
 *
 *   direct connect ADDRESS       a round connects and closes
 *   direct accept                a round accepts and closes
 *   direct stream ADDRESS CHUNK  a round sends that many bytes in writes of CHUNK
 *   direct ping ADDRESS SIZE     a round sends SIZE bytes and waits for as many, on one connection
 *   direct touch ADDRESS         a round connects, has a byte echoed, and closes
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/common.h"

struct stream {
        struct sockaddr_in address;
        size_t chunk;
        int fd; /* -1 between rounds */
};

static void round_connect(void *data, uint64_t count) {
        const struct sockaddr_in *address = data;

        while (count-- > 0)
                bench_reset(bench_connect(address));
}

/* The peer's address is asked for, because the broker reports it as well. */
static void round_accept(void *data, uint64_t count) {
        const int *listener = data;

        while (count-- > 0) {
                struct sockaddr_storage peer;
                socklen_t length = sizeof(peer);
                int fd = accept4(*listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);

                if (fd < 0)
                        bench_die("accept4", errno);
                bench_reset(fd);
        }
}

/*
 * Of the two calls that make a round, the first connects and the second closes, so that neither is timed.
 * Non-blocking, as the broker's streams are.
 */
static void round_stream(void *data, uint64_t count) {
        struct stream *stream = data;
        bool first = stream->fd < 0;

        if (first)
                stream->fd = bench_connect(&stream->address);
        if (first && fcntl(stream->fd, F_SETFL, O_NONBLOCK) < 0)
                bench_die("fcntl", errno);
        bench_upload(stream->fd, count, stream->chunk);
        if (first)
                return;
        bench_reset(stream->fd);
        stream->fd = -1;
}

static void round_ping(void *data, uint64_t count) {
        const struct stream *stream = data;

        bench_ping(stream->fd, count, stream->chunk);
}

/* Who is behind a proxy is reached when a byte has come back, not when the proxy has accepted. */
static void round_touch(void *data, uint64_t count) {
        const struct sockaddr_in *address = data;

        while (count-- > 0) {
                int fd = bench_connect(address);

                bench_ping(fd, 1, 1);
                bench_reset(fd);
        }
}

static void main_ping(const char *text, const char *size) {
        struct stream stream = { .chunk = bench_number(size, BENCH_PING_MAX) };

        bench_address(text, &stream.address);
        stream.fd = bench_connect(&stream.address);
        bench_no_delay(stream.fd);
        bench_ready(NULL);
        bench_rounds(round_ping, &stream);
}

static void main_touch(const char *text) {
        struct sockaddr_in address;

        bench_address(text, &address);
        bench_ready(NULL);
        bench_rounds(round_touch, &address);
}

static void main_accept(void) {
        struct sockaddr_in address;
        int listener = bench_listen(&address);
        char text[32];

        bench_address_format(&address, text, sizeof(text));
        bench_ready(text);
        bench_rounds(round_accept, &listener);
}

static void main_connect(const char *text) {
        struct sockaddr_in address;

        bench_address(text, &address);
        bench_ready(NULL);
        bench_rounds(round_connect, &address);
}

static void main_stream(const char *text, const char *chunk) {
        struct stream stream = { .fd = -1 };

        bench_address(text, &stream.address);
        stream.chunk = bench_number(chunk, BENCH_CHUNK_MAX);
        bench_ready(NULL);
        bench_rounds(round_stream, &stream);
}

int main(int argc, char **argv) {
        bench_init();
        if (argc == 3 && strcmp(argv[1], "connect") == 0)
                main_connect(argv[2]);
        else if (argc == 2 && strcmp(argv[1], "accept") == 0)
                main_accept();
        else if (argc == 4 && strcmp(argv[1], "stream") == 0)
                main_stream(argv[2], argv[3]);
        else if (argc == 4 && strcmp(argv[1], "ping") == 0)
                main_ping(argv[2], argv[3]);
        else if (argc == 3 && strcmp(argv[1], "touch") == 0)
                main_touch(argv[2]);
        else
                bench_die("usage: direct connect ADDRESS | accept | stream ADDRESS CHUNK | ping ADDRESS SIZE | touch "
                          "ADDRESS",
                          0);
        return 0;
}
