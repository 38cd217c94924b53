/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peer at the other end of what is measured: the same one for all variants.
 *
 *   sink hold N    accepts; keeps the last N connections open and closes older ones
 *   sink discard   accepts one connection after the other, and answers each upload (bench_upload()) with one byte
 *
 * Connections are closed late because a proxy that saw its server go at once would be measured in another state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"

#define READ_SIZE ((size_t)256 * 1024)
#define HOLD_MAX 65536

static int accept_one(int listener) {
        int fd;

        do
                fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
        if (fd < 0)
                bench_die("accept4", errno);
        return fd;
}

_Noreturn static void hold(int listener, size_t n) {
        int *ring = calloc(n, sizeof(*ring));

        if (!ring)
                bench_die("calloc", ENOMEM);
        for (size_t i = 0; i < n; ++i)
                ring[i] = accept_one(listener);
        for (size_t i = 0;; i = (i + 1) % n) {
                int fd = accept_one(listener);

                bench_reset(ring[i]);
                ring[i] = fd;
        }
}

/* Whether they came before the end of the connection. */
static bool discard_bytes(int fd, uint8_t *buffer, uint64_t count) {
        while (count > 0) {
                ssize_t n = read(fd, buffer, count < READ_SIZE ? (size_t)count : READ_SIZE);

                if (n == 0 || (n < 0 && errno != EINTR))
                        return false;
                if (n > 0)
                        count -= (uint64_t)n;
        }
        return true;
}

static void discard_all(int fd, uint8_t *buffer) {
        struct bench_upload_header header;

        while (recv(fd, &header, sizeof(header), MSG_WAITALL) == (ssize_t)sizeof(header)) {
                if (!discard_bytes(fd, buffer, (uint64_t)ntohl(header.high) << 32 | ntohl(header.low)))
                        break;
                if (write(fd, "", 1) != 1)
                        break;
        }
        bench_reset(fd);
}

_Noreturn static void discard(int listener) {
        uint8_t *buffer = malloc(READ_SIZE);

        if (!buffer)
                bench_die("malloc", ENOMEM);
        for (;;)
                discard_all(accept_one(listener), buffer);
}

int main(int argc, char **argv) {
        struct sockaddr_in address;
        char text[32];
        int listener;

        bench_init();
        listener = bench_listen(&address);
        bench_address_format(&address, text, sizeof(text));
        bench_ready(text);
        if (argc == 3 && strcmp(argv[1], "hold") == 0)
                hold(listener, bench_number(argv[2], HOLD_MAX));
        if (argc == 2 && strcmp(argv[1], "discard") == 0)
                discard(listener);
        bench_die("usage: sink hold N | sink discard", 0);
}
