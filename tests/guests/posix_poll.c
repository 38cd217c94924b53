/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_poll HOST PORT: poll() and ppoll() over sockets, a file and standard input, with and without time. PORT echoes.
 */
#include <time.h>

#include "tests/guests/posix.h"

#define MANY 200

static long elapsed_ms(const struct timespec *start) {
        struct timespec now;

        CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
        return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

/* Without anything to wait for, poll() is a clock. */
static void time_alone(void) {
        struct pollfd ignored = { .fd = -1, .events = POLLIN, .revents = POLLIN };
        struct timespec start, timeout = { .tv_nsec = 30000000 };

        CHECK(clock_gettime(CLOCK_MONOTONIC, &start) == 0);
        SHOW(poll(NULL, 0, 0));
        SHOW(poll(NULL, 0, 30));
        CHECK(elapsed_ms(&start) >= 29);
        SHOW(poll(&ignored, 1, 30));
        CHECK(ignored.revents == 0);
        CHECK(elapsed_ms(&start) >= 59);
        SHOW(ppoll(&ignored, 1, &timeout, NULL));
        CHECK(elapsed_ms(&start) >= 89);
        timeout.tv_nsec = -1;
        SHOW(ppoll(&ignored, 1, &timeout, NULL));
}

static void bad_descriptors(int fd) {
        struct pollfd fds[] = {
                { .fd = 999, .events = POLLIN },
                { .fd = -3, .events = POLLIN },
                { .fd = fd, .events = POLLOUT },
                { .fd = 998 },
        };
        int n = poll(fds, 4, -1);

        for (size_t i = 0; i < 4; ++i)
                show_events("bad", n, fds[i].revents);
}

static void file_and_stdin(void) {
        int fd = open("/dir/file", O_RDWR | O_CREAT, 0600);

        if (fd < 0) /* where the program runs for itself, there is no such folder */
                fd = open("/dev/null", O_RDWR);
        CHECK(fd >= 0);
        show_poll("file", fd, POLLIN | POLLOUT, -1);
        show_poll("stdin at its end", STDIN_FILENO, POLLIN, -1);
        CHECK(close(fd) == 0);
}

static void stream(int fd) {
        char text[8];

        show_poll("idle", fd, POLLIN | POLLOUT, -1);
        show_poll("idle, for reading", fd, POLLIN, 0);
        show_poll("idle, for nothing", fd, 0, 30);
        CHECK(write(fd, "abc", 3) == 3);
        show_poll("readable", fd, POLLIN, WAIT_MS);
        show_poll("readable, for both", fd, POLLIN | POLLOUT, WAIT_MS);
        show_poll("readable, for nothing", fd, 0, 30);
        CHECK(read(fd, text, sizeof(text)) == 3);
        show_poll("read", fd, POLLIN, 0);
}

/* The peer closes when we have shut down; then both directions are at their end. */
static void hang_up(int fd) {
        struct pollfd twice[] = { { .fd = fd, .events = POLLIN }, { .fd = fd, .events = POLLOUT } };
        char byte;

        CHECK(shutdown(fd, SHUT_WR) == 0);
        show_poll("hung up, for nothing", fd, 0, WAIT_MS);
        show_poll("hung up, for reading", fd, POLLIN, WAIT_MS);
        CHECK(poll(twice, 2, -1) == 2);
        show_events("the same twice", 2, twice[0].revents);
        CHECK(read(fd, &byte, 1) == 0);
}

/* The end of what the peer sends is no hang-up as long as it can be sent to. */
static void half_close(const char *host) {
        struct sockaddr_storage address;
        socklen_t length;
        int listener = serve(host, &address, &length);
        int client = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int server;

        CHECK(connect(client, (struct sockaddr *)&address, length) == 0 || errno == EINPROGRESS);
        wait_readable(listener);
        server = accept(listener, NULL, NULL);
        CHECK(server >= 0);
        show_poll("connected", client, POLLOUT, WAIT_MS);
        CHECK(shutdown(server, SHUT_WR) == 0);
        show_poll("half closed", client, POLLIN | POLLOUT, WAIT_MS);
        show_poll("half closed, for reading", client, POLLIN, WAIT_MS);
        show_poll("half closed, for nothing", client, 0, 30);
        CHECK(close(server) == 0);
        CHECK(close(client) == 0);
        CHECK(close(listener) == 0);
}

static void many(int fd) {
        struct pollfd fds[MANY];

        for (size_t i = 0; i < MANY; ++i)
                fds[i] = (struct pollfd){ .fd = i % 2 ? -1 : fd, .events = i % 4 ? POLLOUT : POLLIN };
        SHOW(poll(fds, MANY, 1000));
}

int main(int argc, char **argv) {
        int fd;

        CHECK(argc == 3);
        fd = dial(argv[1], argv[2], SOCK_STREAM);
        time_alone();
        bad_descriptors(fd);
        file_and_stdin();
        stream(fd);
        many(fd);
        hang_up(fd);
        half_close(argv[1]);
        CHECK(close(fd) == 0);
        show_poll("closed", fd, POLLIN, -1);
        return 0;
}
