/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_select HOST PORT: select() and pselect(). PORT echoes.
 */
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>

#include "tests/guests/posix.h"

static void show(const char *what, int n, int fd, const fd_set *readable, const fd_set *writable) {
        printf("%s: %s%s%s\n", what,
               n < 0    ? error_name(errno)
               : n == 0 ? "0"
               : n == 1 ? "1"
                        : "2",
               readable && FD_ISSET(fd, readable) ? " in" : "", writable && FD_ISSET(fd, writable) ? " out" : "");
}

static void both(const char *what, int fd, int n_fds, long timeout_ms) {
        struct timeval timeout = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
        fd_set readable, writable, except;
        int n;

        FD_ZERO(&readable);
        FD_ZERO(&writable);
        FD_ZERO(&except);
        FD_SET(fd, &readable);
        FD_SET(fd, &writable);
        FD_SET(fd, &except);
        n = select(n_fds, &readable, &writable, &except, timeout_ms < 0 ? NULL : &timeout);
        show(what, n, fd, &readable, &writable);
        if (n >= 0)
                CHECK(!FD_ISSET(fd, &except));
}

static void reading(const char *what, int fd, long timeout_ms) {
        struct timespec timeout = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000 };
        fd_set readable;
        int n;

        FD_ZERO(&readable);
        FD_SET(fd, &readable);
        n = pselect(fd + 1, &readable, NULL, NULL, &timeout, NULL);
        show(what, n, fd, n >= 0 ? &readable : NULL, NULL);
}

/* What is left of the time is told, as on Linux. */
static void time_left(int fd) {
        struct timeval timeout = { .tv_sec = 100 };
        fd_set set;

        FD_ZERO(&set);
        FD_SET(fd, &set);
        SHOW(select(fd + 1, NULL, &set, NULL, &timeout));
        CHECK(timeout.tv_sec >= 1 && timeout.tv_sec < 100);
        timeout = (struct timeval){ .tv_usec = 20000 };
        SHOW(select(fd + 1, &set, NULL, NULL, &timeout));
        CHECK(timeout.tv_sec == 0 && timeout.tv_usec == 0);
        SHOW(select(-1, NULL, NULL, NULL, &timeout));
}

int main(int argc, char **argv) {
        struct timeval none = { 0 }, bad = { .tv_usec = -1 };
        fd_set set;
        int fd;
        char text[4];

        CHECK(argc == 3);
        fd = dial(argv[1], argv[2], SOCK_STREAM);
        both("idle", fd, fd + 1, -1);
        both("not below the number", fd, fd, 10);
        reading("idle", fd, 10);
        time_left(fd);
        CHECK(write(fd, "abc", 3) == 3);
        reading("readable", fd, WAIT_MS);
        both("readable", fd, fd + 1, WAIT_MS);
        CHECK(read(fd, text, sizeof(text)) == 3);
        CHECK(shutdown(fd, SHUT_WR) == 0);
        reading("hung up", fd, WAIT_MS);
        SHOW(select(0, NULL, NULL, NULL, &none));
        SHOW(select(0, NULL, NULL, NULL, &bad));
        SHOW(select(-1, NULL, NULL, NULL, &none));
        CHECK(close(fd) == 0);
        FD_ZERO(&set);
        FD_SET(fd, &set);
        SHOW(select(fd + 1, &set, NULL, NULL, &none));
        FD_ZERO(&set);
        FD_SET(fd, &set);
        SHOW(select(fd + 1, NULL, NULL, &set, &none));
        return 0;
}
