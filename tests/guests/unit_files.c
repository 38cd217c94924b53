/* SPDX-License-Identifier: Apache-2.0 */
/* unit_files: files of a preopened directory, through wasi-libc, in the same space of descriptors as all else. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/guests/guest.h"

static void numbers_are_the_lowest_free(void) {
        int first = open("/a", O_CREAT | O_RDWR, 0600);
        int second = open("/a", O_RDONLY);

        CHECK(first >= 4);
        CHECK(second == first + 1);
        CHECK(close(first) == 0);
        CHECK(open("/a", O_RDONLY) == first);
        CHECK(close(first) == 0);
        CHECK(close(second) == 0);
        CHECK(close(second) < 0 && errno == EBADF);
}

static void bytes_go_and_come(void) {
        char bytes[8] = "";
        int out = open("/b", O_CREAT | O_WRONLY, 0600);
        int in = open("/b", O_RDONLY);
        struct stat st;

        CHECK(write(out, "hello", 5) == 5);
        CHECK(read(in, bytes, sizeof(bytes)) == 5);
        CHECK(memcmp(bytes, "hello", 5) == 0);
        CHECK(lseek(in, 1, SEEK_SET) == 1);
        CHECK(read(in, bytes, 1) == 1 && bytes[0] == 'e');
        CHECK(fstat(out, &st) == 0 && st.st_size == 5);
        CHECK(close(in) == 0 && close(out) == 0);
}

static void paths_work(void) {
        DIR *directory;
        int n = 0;

        CHECK(mkdir("/d", 0700) == 0);
        CHECK(rename("/b", "/d/c") == 0);
        directory = opendir("/d");
        CHECK(directory);
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
                n += strcmp(entry->d_name, "c") == 0;
        CHECK(n == 1);
        CHECK(closedir(directory) == 0);
        CHECK(unlink("/d/c") == 0 && rmdir("/d") == 0 && unlink("/a") == 0);
}

/* The engine's monotonic clock has an epoch of its own; poll_oneoff must mean the same. */
static void an_absolute_time_is_the_engines(clockid_t clock) {
        struct timespec until, now;

        CHECK(clock_gettime(clock, &until) == 0);
        until.tv_nsec += 2000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                ++until.tv_sec;
        }
        CHECK(clock_nanosleep(clock, TIMER_ABSTIME, &until, NULL) == 0);
        CHECK(clock_gettime(clock, &now) == 0);
        CHECK(now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
}

/* How much a poll says that there is to read; the second subscription is there so that its event's place gives the host room to ask. */
static __wasi_filesize_t poll_file(int fd) {
        __wasi_subscription_t subscriptions[2] = { { .u = { .tag = __WASI_EVENTTYPE_FD_READ } },
                                                   { .u = { .tag = __WASI_EVENTTYPE_FD_WRITE } } };
        __wasi_event_t events[2];
        __wasi_size_t n;

        subscriptions[0].u.u.fd_read.file_descriptor = fd;
        subscriptions[1].u.u.fd_write.file_descriptor = fd;
        CHECK(__wasi_poll_oneoff(subscriptions, events, 2, &n) == 0 && n == 2);
        CHECK(events[0].type == __WASI_EVENTTYPE_FD_READ && events[0].error == 0);
        return events[0].fd_readwrite.nbytes;
}

static void a_poll_says_what_is_left(void) {
        char bytes[8];
        int fd = open("/e", O_CREAT | O_RDWR, 0600);
        int directory = open("/", O_RDONLY | O_DIRECTORY);

        CHECK(poll_file(fd) == 0);
        CHECK(write(fd, "hello", 5) == 5 && lseek(fd, 0, SEEK_SET) == 0);
        CHECK(poll_file(fd) == 5);
        CHECK(read(fd, bytes, 2) == 2);
        CHECK(poll_file(fd) == 3);
        CHECK(lseek(fd, 10, SEEK_SET) == 10);
        CHECK(poll_file(fd) == 0);
        CHECK(poll_file(directory) == 1);
        CHECK(close(fd) == 0 && close(directory) == 0 && unlink("/e") == 0);
}

int main(void) {
        numbers_are_the_lowest_free();
        bytes_go_and_come();
        paths_work();
        a_poll_says_what_is_left();
        an_absolute_time_is_the_engines(CLOCK_MONOTONIC);
        an_absolute_time_is_the_engines(CLOCK_REALTIME);
        return 0;
}
