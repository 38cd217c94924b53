/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peer at the other end of what is measured: the same one for all variants.
 *
 *   sink hold N    accepts; keeps the last N connections open and closes older ones
 *   sink discard   accepts one connection after the other, and answers each upload (bench_upload()) with one byte
 *   sink echo      accepts any number, and gives back what comes
 *
 * Connections are closed late because a proxy that saw its server go at once would be measured in another state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/common.h"
#include "bench/echo.h"

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

_Noreturn static void discard(int listener) {
        for (;;)
                bench_discard(accept_one(listener));
}

/* For bench_echo(). */
static int accept_next(void *data) {
        const int *listener = data;
        int fd = accept4(*listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                bench_die("accept4", errno);
        if (fd >= 0)
                bench_no_delay(fd);
        return fd;
}

_Noreturn static void echo(int listener) {
        if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0)
                bench_die("fcntl", errno);
        bench_echo(listener, accept_next, &listener);
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
        if (argc == 2 && strcmp(argv[1], "echo") == 0)
                echo(listener);
        bench_die("usage: sink hold N | sink discard | sink echo", 0);
}
