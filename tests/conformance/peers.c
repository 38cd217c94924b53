/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/peers.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG 1024
#define EVENTS_MAX 64

/* ---- the process ---- */

/* What is behind a descriptor of the loop: it travels in the event, beside the number. */
enum role {
        ROLE_LISTENER,
        ROLE_CROWD, /* a listener as well */
        ROLE_STREAM,
        ROLE_DATAGRAMS,
};

static void watch(int epoll_fd, int fd, enum role role) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)role << 32 | (uint32_t)fd };

        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                _exit(1);
}

static void serve_listener(int epoll_fd, int fd, bool crowd) {
        const struct linger reset = { .l_onoff = 1 };
        int stream = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (stream < 0)
                _exit(1);
        if (crowd && setsockopt(stream, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
                _exit(1);
        watch(epoll_fd, stream, ROLE_STREAM);
}

/* Blocks where the guest does not read: there is one guest at a time. */
static void serve_stream(int fd) {
        char buffer[65536];
        ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

        for (ssize_t sent = 0; sent < n;) {
                ssize_t m = send(fd, buffer + sent, (size_t)(n - sent), MSG_NOSIGNAL);

                if (m < 0)
                        n = -1;
                else
                        sent += m;
        }
        if (n <= 0)
                close(fd);
}

static void serve_datagrams(int fd) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);
        char buffer[65536];
        ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&peer, &length);

        if (n >= 0)
                (void)sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&peer, length);
}

static void serve(int epoll_fd, const struct epoll_event *event) {
        int fd = (int)(uint32_t)event->data.u64;

        switch ((enum role)(event->data.u64 >> 32)) {
        case ROLE_LISTENER:
                serve_listener(epoll_fd, fd, false);
                return;
        case ROLE_CROWD:
                serve_listener(epoll_fd, fd, true);
                return;
        case ROLE_STREAM:
                serve_stream(fd);
                return;
        case ROLE_DATAGRAMS:
                serve_datagrams(fd);
                return;
        }
}

/* A crowd comes, whatever the soft limit is. */
static void raise_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                _exit(1);
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                _exit(1);
}

static _Noreturn void run(const struct peers *peers) {
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event events[EVENTS_MAX];

        raise_limit();
        watch(epoll_fd, peers->echo.fd, ROLE_LISTENER);
        watch(epoll_fd, peers->echo6.fd, ROLE_LISTENER);
        watch(epoll_fd, peers->unix_fd, ROLE_LISTENER);
        watch(epoll_fd, peers->crowd.fd, ROLE_CROWD);
        watch(epoll_fd, peers->datagrams.fd, ROLE_DATAGRAMS);
        watch(epoll_fd, peers->datagrams6.fd, ROLE_DATAGRAMS);
        for (;;) {
                int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

                if (n < 0 && errno != EINTR)
                        _exit(1);
                for (int i = 0; i < n; ++i)
                        serve(epoll_fd, &events[i]);
        }
}

/* ---- the sockets ---- */

static struct peer bind_datagrams(const char *ip) {
        struct peer peer = { .fd = -1 };
        struct sockaddr_storage sa = { 0 };
        socklen_t length;

        ck_assert_int_eq(nb_ip_parse(ip, strlen(ip), &peer.address.ip), 0);
        peer.fd = socket(peer.address.ip.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(peer.fd, 0);
        length = nb_address_to_sockaddr(&peer.address, &sa);
        ck_assert_int_eq(bind(peer.fd, (struct sockaddr *)&sa, length), 0);
        ck_assert_int_eq(getsockname(peer.fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &peer.address), 0);
        (void)nb_address_format(&peer.address, peer.text);
        return peer;
}

/* A socket that takes datagrams from itself only: the kernel tells all others that nobody is there, and the port is taken. */
static struct peer refuse_datagrams(void) {
        struct peer peer = bind_datagrams("127.0.0.1");
        struct sockaddr_storage sa = { 0 };
        socklen_t length = nb_address_to_sockaddr(&peer.address, &sa);

        ck_assert_int_eq(connect(peer.fd, (struct sockaddr *)&sa, length), 0);
        return peer;
}

/* Linux: a listener that is shut down refuses, and keeps its port. */
static struct peer refuse(void) {
        struct peer peer = peer_listen("127.0.0.1", 1);

        ck_assert_int_eq(shutdown(peer.fd, SHUT_RD), 0);
        return peer;
}

static void listen_unix(struct peers *peers, const char *folder) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        ck_assert_int_lt(snprintf(peers->unix_path, sizeof(peers->unix_path), "%s/peer.sock", folder),
                         (int)sizeof(sa.sun_path));
        memcpy(sa.sun_path, peers->unix_path, strlen(peers->unix_path) + 1);
        peers->unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(peers->unix_fd, 0);
        ck_assert_int_eq(bind(peers->unix_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(peers->unix_fd, BACKLOG), 0);
}

static void require_descriptors(void) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_msg(limit.rlim_max >= PEERS_DESCRIPTORS,
                      "the hard limit of open files is %llu: ten thousand streams take %d",
                      (unsigned long long)limit.rlim_max, PEERS_DESCRIPTORS);
}

void peers_start(struct peers *peers, const char *folder) {
        require_descriptors();
        *peers = (struct peers){
                .echo = peer_listen("127.0.0.1", BACKLOG),
                .echo6 = peer_listen("::1", BACKLOG),
                .crowd = peer_listen("127.0.0.1", BACKLOG),
                .silent = peer_listen("127.0.0.1", BACKLOG),
                .refused = refuse(),
                .black_hole = peer_listen("127.0.0.1", 0),
                .datagrams = bind_datagrams("127.0.0.1"),
                .datagrams6 = bind_datagrams("::1"),
                .refused_datagrams = refuse_datagrams(),
        };
        peers->n_filling = peer_fill_backlog(&peers->black_hole, peers->filling, PEERS_BLACK_HOLE_MAX);
        listen_unix(peers, folder);
        peers->pid = fork();
        ck_assert_int_ge(peers->pid, 0);
        if (peers->pid == 0)
                run(peers);
}

void peers_end(struct peers *peers) {
        struct peer *const all[] = { &peers->echo,      &peers->echo6,      &peers->crowd,
                                     &peers->silent,    &peers->refused,    &peers->black_hole,
                                     &peers->datagrams, &peers->datagrams6, &peers->refused_datagrams };

        ck_assert_int_eq(kill(peers->pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(peers->pid, NULL, 0), peers->pid);
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i)
                peer_close(all[i]);
        for (size_t i = 0; i < peers->n_filling; ++i)
                close(peers->filling[i]);
        close(peers->unix_fd);
        ck_assert_int_eq(unlink(peers->unix_path), 0);
}
