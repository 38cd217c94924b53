/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preopened serve NAME N: says that it is there, and sends back what N peers of the preopened listener send, one peer after the other.
 * preopened talk NAME: says hello on the preopened connection, and prints the answer.
 *
 * Written against wasi-libc alone, as a program that knows nothing of sockets but accept(), read() and write(). It imports no function of
 * module `networking`; the header is for the checks only.
 */
#include <poll.h>
#include <sys/socket.h>

#include "tests/guests/guest.h"

/* "http=4:db=5" */
static int find(const char *name) {
        const char *pair = getenv("NETWORKING_PREOPENS");
        size_t length = strlen(name);

        while (pair && *pair) {
                if (strncmp(pair, name, length) == 0 && pair[length] == '=')
                        return (int)strtol(pair + length + 1, NULL, 10);
                pair = strchr(pair, ':');
                if (pair)
                        ++pair;
        }
        FAIL("there is no %s", name);
}

/* A listener does not block, unless its policy says so. */
static int wait_for_peer(int listener) {
        struct pollfd ready = { .fd = listener, .events = POLLIN };
        int fd = accept(listener, NULL, NULL);

        while (fd < 0 && errno == EAGAIN) {
                CHECK(poll(&ready, 1, -1) == 1);
                fd = accept(listener, NULL, NULL);
        }
        CHECK(fd >= 0);
        return fd;
}

static void echo(int stream) {
        static char buffer[65536];
        ssize_t n;

        while ((n = read(stream, buffer, sizeof(buffer))) > 0)
                guest_write_all(stream, buffer, (size_t)n);
        CHECK(n == 0);
}

static void serve(int listener, long n_peers) {
        puts("serving");
        fflush(stdout);
        for (; n_peers > 0; --n_peers) {
                int stream = wait_for_peer(listener);

                echo(stream);
                CHECK(close(stream) == 0);
        }
}

static void talk(int stream) {
        char answer[64];
        ssize_t n;

        guest_write_all(stream, "hello", 5);
        while ((n = read(stream, answer, sizeof(answer))) > 0)
                CHECK(fwrite(answer, 1, (size_t)n, stdout) == (size_t)n);
        CHECK(n == 0);
}

int main(int argc, char **argv) {
        CHECK(argc >= 3);
        if (strcmp(argv[1], "serve") == 0)
                serve(find(argv[2]), argc > 3 ? strtol(argv[3], NULL, 10) : 1);
        else
                talk(find(argv[2]));
        return 0;
}
