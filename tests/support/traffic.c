/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/traffic.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define EVENTS_MAX 64

static bool must_wait(ssize_t r) {
        return r < 0 && (errno == EAGAIN || errno == EINTR);
}

/* @return 0 or -errno */
static int move_word(int fd, uint64_t *word, bool is_write, int patience_ms) {
        char *bytes = (char *)word;
        size_t n = 0;

        while (n < sizeof(*word)) {
                ssize_t r = is_write ? send(fd, bytes + n, sizeof(*word) - n, MSG_NOSIGNAL | MSG_DONTWAIT)
                                     : recv(fd, bytes + n, sizeof(*word) - n, MSG_DONTWAIT);
                struct pollfd event = { .fd = fd, .events = is_write ? POLLOUT : POLLIN };

                if (r == 0)
                        return -ENODATA;
                if (r < 0 && !must_wait(r))
                        return -errno;
                if (r < 0 && poll(&event, 1, patience_ms) == 0)
                        return -ETIMEDOUT;
                n += r > 0 ? (size_t)r : 0;
        }
        return 0;
}

int traffic_exchange(int fd, uint64_t word, int patience_ms) {
        uint64_t answer = 0;
        int r = move_word(fd, &word, true, patience_ms);

        if (r == 0)
                r = move_word(fd, &answer, false, patience_ms);
        if (r < 0)
                return r;
        return answer == word ? 0 : -EBADMSG;
}

/* Consumes the connection where that fails, or nobody wants it. */
static int take_stream(struct nb_connection *connection, struct nb_connection **ret_connection, int *ret_fd) {
        struct nb_stream stream;
        int r = nb_stream_create(connection, 0, &stream);

        if (r < 0 || !ret_connection)
                connection = nb_connection_free(connection);
        if (r < 0)
                return r;
        if (ret_connection)
                *ret_connection = connection;
        *ret_fd = stream.fd;
        return 0;
}

int traffic_call(struct nb_protocol *protocol, const char *address, enum nb_socket_type type,
                 struct nb_connection **ret_connection, int *ret_fd) {
        struct nb_connection *connection = NULL;
        struct nb_control *control = NULL;
        uint64_t base, inheriting;
        int r;

        nb_protocol_rights(protocol, &base, &inheriting);
        r = nb_open(protocol, "0.0.0.0:0", strlen("0.0.0.0:0"), type, inheriting, inheriting, 0, &control);
        if (r == 0)
                r = nb_connect(control, address, strlen(address), &connection);
        (void)nb_control_free(control);
        return r < 0 ? r : take_stream(connection, ret_connection, ret_fd);
}

int traffic_close_now(int fd) {
        const struct linger now = { .l_onoff = 1 };

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        return nb_fd_close(fd);
}

/* ---- echoes ---- */

static void echo_one(int epoll_fd, int fd) {
        char bytes[512];
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (must_wait(n) || (n > 0 && send(fd, bytes, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n))
                return;
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        (void)traffic_close_now(fd);
}

static void accept_one(int epoll_fd, int listen_fd) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        if (fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                (void)traffic_close_now(fd);
}

void traffic_serve_echo(int listen_fd) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = listen_fd }, events[EVENTS_MAX];
        int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

        if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0)
                _exit(1);
        for (;;) {
                int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

                for (int i = 0; i < n; ++i) {
                        if (events[i].data.fd == listen_fd)
                                accept_one(epoll_fd, listen_fd);
                        else
                                echo_one(epoll_fd, events[i].data.fd);
                }
        }
}

void traffic_serve_datagrams(int fd) {
        for (;;) {
                struct sockaddr_storage from;
                socklen_t length = sizeof(from);
                char bytes[2048];
                ssize_t n = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &length);

                if (n >= 0)
                        (void)sendto(fd, bytes, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&from, length);
        }
}

/* ---- processes ---- */

pid_t traffic_fork(void (*function)(void *data), void *data) {
        pid_t parent = getpid(), pid = fork();

        if (pid != 0)
                return pid < 0 ? -errno : pid;
        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
        if (getppid() == parent)
                function(data);
        _exit(0);
}
