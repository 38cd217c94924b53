/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_timeout HOST SILENT HOLE: SO_RCVTIMEO and SO_SNDTIMEO. SILENT takes connections and does nothing with them; HOLE takes none.
 */
#include <sys/time.h>
#include <time.h>

#include "tests/guests/posix.h"

#define TIMEOUT_MS 40

static long now_ms(void) {
        struct timespec now;

        CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void set_timeout(int fd, int name, long ms) {
        struct timeval timeout = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

        CHECK(setsockopt(fd, SOL_SOCKET, name, &timeout, sizeof(timeout)) == 0);
}

static void values(int fd) {
        struct timeval timeout = { .tv_sec = 1, .tv_usec = 1000000 };
        socklen_t length = sizeof(timeout);

        SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
        SHOW(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, 1));
        set_timeout(fd, SO_SNDTIMEO, 1500);
        SHOW(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &length));
        printf("%ld s %ld us\n", (long)timeout.tv_sec, (long)timeout.tv_usec);
        set_timeout(fd, SO_SNDTIMEO, 0);
}

/* Prints what a call says, which must take the time. */
#define SHOW_TIMED(call)                                                                                               \
        do {                                                                                                           \
                long start_ = now_ms();                                                                                \
                printf("%s: %s\n", #call, (call) < 0 ? error_name(errno) : "ok");                                      \
                CHECK(now_ms() - start_ >= TIMEOUT_MS - 5);                                                            \
        } while (0)

static void receiving(int fd) {
        char text[4];

        set_timeout(fd, SO_RCVTIMEO, TIMEOUT_MS);
        SHOW_TIMED(read(fd, text, sizeof(text)));
        SHOW_TIMED(recv(fd, text, sizeof(text), 0));
        SHOW_TIMED(recv(fd, text, sizeof(text), MSG_WAITALL));
        SHOW(recv(fd, text, sizeof(text), MSG_DONTWAIT));
        CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
}

/* Nobody reads: at some point nothing goes any more, and what went is told. */
static void sending(int fd) {
        static char block[65536];
        ssize_t n;
        int size = 8192;

        CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
        set_timeout(fd, SO_SNDTIMEO, TIMEOUT_MS);
        do {
                n = send(fd, block, sizeof(block), 0);
        } while (n > 0);
        printf("full: %s\n", error_name(errno));
}

static void connecting(const char *host, const char *port) {
        struct sockaddr_storage address;
        socklen_t length = numeric_address(host, port, SOCK_STREAM, &address);
        int fd = socket(address.ss_family, SOCK_STREAM, 0);

        CHECK(fd >= 0);
        set_timeout(fd, SO_SNDTIMEO, TIMEOUT_MS);
        SHOW_TIMED(connect(fd, (struct sockaddr *)&address, length));
        SHOW_TIMED(connect(fd, (struct sockaddr *)&address, length));
        CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
        show_poll("under way", fd, POLLOUT, 0);
        SHOW(close(fd));
}

int main(int argc, char **argv) {
        int fd;

        CHECK(argc == 4);
        fd = dial(argv[1], argv[2], SOCK_STREAM);
        values(fd);
        receiving(fd);
        sending(fd);
        SHOW(close(fd));
        connecting(argv[1], argv[3]);
        return 0;
}
