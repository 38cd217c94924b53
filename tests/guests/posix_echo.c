/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_echo HOST N: a server as many are written: one poll() over a listener and all connections, nonblocking. Says its port, and ends when
 * N connections have come and gone.
 */
#include "tests/guests/posix.h"

#define CONNECTIONS_MAX 64

struct server {
        struct pollfd fds[CONNECTIONS_MAX + 1]; /* the listener is the first */
        nfds_t n;
        int left;
};

static void add(struct server *server) {
        int fd = accept4(server->fds[0].fd, NULL, NULL, SOCK_NONBLOCK);

        if (fd < 0) {
                CHECK(errno == EAGAIN);
                return;
        }
        CHECK(server->n <= CONNECTIONS_MAX);
        server->fds[server->n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* @return whether the connection goes on */
static int echo(int fd) {
        char text[4096];
        ssize_t n = read(fd, text, sizeof(text));

        if (n < 0)
                return errno == EAGAIN;
        return n > 0 && write(fd, text, (size_t)n) == n;
}

static void serve_connections(struct server *server) {
        for (nfds_t i = server->n - 1; i > 0; --i) {
                if (!server->fds[i].revents || echo(server->fds[i].fd))
                        continue;
                CHECK(close(server->fds[i].fd) == 0);
                server->fds[i] = server->fds[--server->n];
                --server->left;
        }
}

int main(int argc, char **argv) {
        struct sockaddr_storage address;
        struct server server = { .n = 1 };
        char port[NI_MAXSERV];
        socklen_t length;

        CHECK(argc == 3);
        server.fds[0] = (struct pollfd){ .fd = serve(argv[1], &address, &length), .events = POLLIN };
        server.left = (int)strtol(argv[2], NULL, 10);
        CHECK(fcntl(server.fds[0].fd, F_SETFL, O_NONBLOCK) == 0);
        CHECK(getnameinfo((struct sockaddr *)&address, length, NULL, 0, port, sizeof(port), NI_NUMERICSERV) == 0);
        printf("port %s\n", port);
        CHECK(fflush(stdout) == 0);
        while (server.left > 0) {
                CHECK(poll(server.fds, server.n, -1) > 0);
                serve_connections(&server);
                if (server.fds[0].revents)
                        add(&server);
        }
        return 0;
}
