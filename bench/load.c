/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load on an acceptor: keeps N connections under way, and replaces each when the acceptor has closed it.
 *
 *   load ADDRESS N
 *
 * A closed loop: it can never be ahead by more than N, so what is measured is what the acceptor really served.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"

#define EVENTS_MAX 64

static void start_one(int epoll_fd, const struct sockaddr_in *address) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };

        if (fd < 0)
                bench_die("socket", errno);
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno != EINPROGRESS)
                bench_die("connect", errno);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                bench_die("epoll_ctl", errno);
}

_Noreturn static void keep_up(int epoll_fd, const struct sockaddr_in *address) {
        for (;;) {
                struct epoll_event events[EVENTS_MAX];
                int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

                if (n < 0 && errno != EINTR)
                        bench_die("epoll_wait", errno);
                for (int i = 0; i < n; ++i) {
                        (void)close(events[i].data.fd);
                        start_one(epoll_fd, address);
                }
        }
}

int main(int argc, char **argv) {
        struct sockaddr_in address;
        int epoll_fd;

        bench_init();
        if (argc != 3)
                bench_die("usage: load ADDRESS N", 0);
        bench_address(argv[1], &address);
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_fd < 0)
                bench_die("epoll_create1", errno);
        for (uint64_t n = bench_number(argv[2], 4096); n > 0; --n)
                start_one(epoll_fd, &address);
        bench_ready(NULL);
        keep_up(epoll_fd, &address);
}
