/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/echo.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"

#define EVENTS_MAX 64
#define READ_SIZE 65536u

static void watch(int epoll_fd, int fd) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                bench_die("epoll_ctl", errno);
}

/* A closed loop asks little at once, so that what cannot be written at once is a mistake of the bench's. */
static void answer(int fd, void *buffer) {
        ssize_t n = recv(fd, buffer, READ_SIZE, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0)
                (void)close(fd);
        else if (send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n && errno != EPIPE && errno != ECONNRESET)
                bench_die("send", errno);
}

static void take_all(int epoll_fd, bench_accept_function accept, void *data) {
        for (int fd = accept(data); fd >= 0; fd = accept(data))
                watch(epoll_fd, fd);
}

_Noreturn void bench_echo(int fd, bench_accept_function accept, void *data) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        void *buffer = malloc(READ_SIZE);

        if (epoll_fd < 0 || !buffer)
                bench_die("epoll_create1", errno);
        watch(epoll_fd, fd);
        for (;;) {
                struct epoll_event events[EVENTS_MAX];
                int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

                if (n < 0 && errno != EINTR)
                        bench_die("epoll_wait", errno);
                for (int i = 0; i < n; ++i) {
                        if (events[i].data.fd == fd)
                                take_all(epoll_fd, accept, data);
                        else
                                answer(events[i].data.fd, buffer);
                }
        }
}
