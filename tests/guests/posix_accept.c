/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_accept HOST: a server and its client in one program: bind, listen, accept, the addresses of both ends, and what accepted sockets
 * have from their listener.
 */
#include <netinet/tcp.h>
#include <sys/time.h>

#include "tests/guests/posix.h"

static in_port_t port_of(const struct sockaddr_storage *address) {
        if (address->ss_family == AF_INET)
                return ((const struct sockaddr_in *)address)->sin_port;
        return ((const struct sockaddr_in6 *)address)->sin6_port;
}

static int client(const struct sockaddr_storage *address, socklen_t length) {
        int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

        CHECK(fd >= 0);
        CHECK(connect(fd, (const struct sockaddr *)address, length) == 0 || errno == EINPROGRESS);
        return fd;
}

static void show_option(const char *what, int fd, int level, int name) {
        socklen_t length = sizeof(int);
        int value = -1;

        CHECK(getsockopt(fd, level, name, &value, &length) == 0);
        printf("%s %d\n", what, value);
}

/* The client's end is the server's peer, and the other way round. */
static void compare_names(int client_fd, int server_fd) {
        struct sockaddr_storage client_name, server_name;
        socklen_t client_length = sizeof(client_name), server_length = sizeof(server_name);

        CHECK(getsockname(client_fd, (struct sockaddr *)&client_name, &client_length) == 0);
        CHECK(getpeername(server_fd, (struct sockaddr *)&server_name, &server_length) == 0);
        CHECK(client_length == server_length);
        CHECK(client_name.ss_family == server_name.ss_family);
        CHECK(port_of(&client_name) == port_of(&server_name) && port_of(&client_name) != 0);
        client_length = sizeof(client_name);
        server_length = sizeof(server_name);
        CHECK(getpeername(client_fd, (struct sockaddr *)&client_name, &client_length) == 0);
        CHECK(getsockname(server_fd, (struct sockaddr *)&server_name, &server_length) == 0);
        CHECK(port_of(&client_name) == port_of(&server_name) && port_of(&client_name) != 0);
        printf("the names agree\n");
}

/* A buffer that is too small gets what fits, and the whole length. */
static void short_name(int fd) {
        sa_family_t family = 0;
        socklen_t length = sizeof(family);

        CHECK(getsockname(fd, (struct sockaddr *)&family, &length) == 0);
        CHECK(family == AF_INET || family == AF_INET6);
        CHECK(length > sizeof(family));
        printf("a short name\n");
}

static void accept_one(int listener, const struct sockaddr_storage *address, socklen_t length) {
        struct sockaddr_storage peer;
        socklen_t peer_length = sizeof(peer);
        int client_fd = client(address, length);
        int fd;
        char text[4] = "";

        show_poll("someone comes", listener, POLLIN | POLLOUT, WAIT_MS);
        fd = accept(listener, (struct sockaddr *)&peer, &peer_length);
        CHECK(fd >= 0);
        CHECK(peer.ss_family == address->ss_family);
        SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
        show_option("nodelay", fd, IPPROTO_TCP, TCP_NODELAY);
        show_option("keepalive", fd, SOL_SOCKET, SO_KEEPALIVE);
        show_poll("connected", client_fd, POLLOUT, WAIT_MS);
        compare_names(client_fd, fd);
        short_name(fd);
        SHOW(send(client_fd, "abc", 3, 0));
        SHOW(recv(fd, text, 3, MSG_WAITALL));
        printf("%s\n", text);
        SHOW(close(client_fd));
        SHOW(read(fd, text, 1));
        SHOW_ERROR(accept(fd, NULL, NULL));
        SHOW(close(fd));
}

static void accept_nothing(int listener) {
        struct timeval timeout = { .tv_usec = 20000 };

        show_poll("nobody", listener, POLLIN | POLLOUT, 0);
        CHECK(fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
        SHOW_ERROR(accept(listener, NULL, NULL));
        CHECK(fcntl(listener, F_SETFL, 0) == 0);
        CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
        SHOW_ERROR(accept(listener, NULL, NULL));
        timeout.tv_usec = 0;
        CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
}

static void accept_nonblocking(int listener, const struct sockaddr_storage *address, socklen_t length) {
        int client_fd = client(address, length);
        char byte;
        int fd;

        wait_readable(listener);
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        CHECK(fd >= 0);
        SHOW(read(fd, &byte, 1));
        SHOW(close(client_fd));
        wait_readable(fd);
        SHOW(read(fd, &byte, 1));
        SHOW(close(fd));
}

static void errors(int listener, const struct sockaddr_storage *address, socklen_t length) {
        const struct sockaddr *name = (const struct sockaddr *)address;
        char byte = 0;
        int fd = socket(address->ss_family, SOCK_STREAM, 0);

        CHECK(fd >= 0);
        SHOW_ERROR(accept(fd, NULL, NULL));
        SHOW(bind(fd, name, length));
        SHOW(close(fd));
        SHOW(bind(listener, name, length));
        SHOW(connect(listener, name, length));
        SHOW(listen(listener, 16));
        SHOW(read(listener, &byte, 1));
        SHOW(recv(listener, &byte, 1, 0));
        SHOW_ERROR(accept4(listener, NULL, NULL, 1));
        SHOW_ERROR(accept(999, NULL, NULL));
        show_option("listens", listener, SOL_SOCKET, SO_ACCEPTCONN);
}

int main(int argc, char **argv) {
        struct sockaddr_storage address;
        socklen_t length;
        int listener;
        int on = 1;

        CHECK(argc == 2);
        listener = serve(argv[1], &address, &length);
        CHECK(port_of(&address) != 0);
        CHECK(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
        CHECK(setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
        accept_one(listener, &address, length);
        accept_nothing(listener);
        accept_nonblocking(listener, &address, length);
        errors(listener, &address, length);
        SHOW(close(listener));
        return 0;
}
