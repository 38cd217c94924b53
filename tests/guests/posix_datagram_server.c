/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_datagram_server HOST: a UDP server that knows one socket, recvfrom() and sendto(), and its clients, all in one program.
 */
#include <stdbool.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "tests/guests/posix.h"

#define CLIENTS 20

struct client {
        int fd;
        struct sockaddr_storage address;
        socklen_t length;
};

static struct client join(const struct sockaddr_storage *server, socklen_t length) {
        struct client client = { .fd = socket(server->ss_family, SOCK_DGRAM, 0), .length = sizeof(client.address) };

        CHECK(client.fd >= 0);
        CHECK(connect(client.fd, (const struct sockaddr *)server, length) == 0);
        CHECK(getsockname(client.fd, (struct sockaddr *)&client.address, &client.length) == 0);
        return client;
}

static void say(int fd, const char *text) {
        CHECK(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
}

static uint16_t port_of(const struct sockaddr_storage *address) {
        return address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                              : ((const struct sockaddr_in *)address)->sin_port;
}

static int find(const struct client *clients, int n, const struct sockaddr_storage *address) {
        for (int i = 0; i < n; ++i) {
                if (port_of(&clients[i].address) == port_of(address))
                        return i;
        }
        return -1;
}

/* Before anybody has sent anything. */
static void nobody(int server) {
        struct sockaddr_storage name;
        socklen_t length = sizeof(name), value_length = sizeof(int);
        struct timeval time = { .tv_usec = 20000 };
        char text[8];
        int value = -1;

        show_poll("nobody", server, POLLIN, 0);
        show_poll("nobody", server, POLLIN | POLLOUT, 0);
        SHOW(recv(server, text, sizeof(text), MSG_DONTWAIT));
        SHOW(send(server, "x", 1, 0));
        SHOW(getpeername(server, (struct sockaddr *)&name, &length));
        SHOW(listen(server, 1));
        SHOW_ERROR(accept(server, NULL, NULL));
        CHECK(getsockopt(server, SOL_SOCKET, SO_ACCEPTCONN, &value, &value_length) == 0);
        printf("listens %d\n", value);
        CHECK(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
        SHOW(recv(server, text, sizeof(text), 0));
        time.tv_usec = 0;
        CHECK(setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
}

/* One client, and what a message can be. */
static void one(int server, const struct client *client) {
        char text[8] = "";
        struct sockaddr_storage from;
        struct iovec part = { .iov_base = text, .iov_len = 3 };
        struct msghdr message = {
                .msg_name = &from,
                .msg_namelen = sizeof(from),
                .msg_iov = &part,
                .msg_iovlen = 1,
        };
        socklen_t length = sizeof(from);

        say(client->fd, "one");
        wait_readable(server);
        SHOW(recvfrom(server, text, sizeof(text), MSG_PEEK, (struct sockaddr *)&from, &length));
        SHOW(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from, &length));
        printf("%s, %s\n", text, find(client, 1, &from) == 0 ? "of the client" : "of somebody");
        SHOW(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, length));
        SHOW(recv(client->fd, text, sizeof(text), 0));
        say(client->fd, "longer");
        say(client->fd, "");
        say(client->fd, "last");
        wait_readable(server);
        SHOW(recvmsg(server, &message, 0));
        printf("%.3s %s\n", text, message.msg_flags & MSG_TRUNC ? "truncated" : "whole");
        wait_readable(server);
        SHOW(recv(server, text, sizeof(text), 0));
        wait_readable(server);
        SHOW(read(server, text, sizeof(text)));
        show_poll("all read", server, POLLIN, 0);
        message = (struct msghdr){ .msg_name = &from, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1 };
        SHOW(sendmsg(server, &message, 0));
        SHOW(recv(client->fd, text, sizeof(text), 0));
        SHOW(sendto(server, "", 0, 0, (struct sockaddr *)&from, length));
        SHOW(recv(client->fd, text, sizeof(text), 0));
}

/* Many at once: each is answered, and with its own. */
static void many(int server, const struct sockaddr_storage *address, socklen_t length) {
        struct client clients[CLIENTS];
        bool heard[CLIENTS] = { false };
        char text[16];
        int n_heard = 0, n_answered = 0;

        for (int i = 0; i < CLIENTS; ++i) {
                clients[i] = join(address, length);
                (void)snprintf(text, sizeof(text), "I am %d", i);
                say(clients[i].fd, text);
        }
        for (int i = 0; i < CLIENTS; ++i) {
                struct sockaddr_storage from;
                socklen_t from_length = sizeof(from);
                ssize_t n = recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from, &from_length);
                int who = find(clients, CLIENTS, &from);

                CHECK(n > 0 && who >= 0);
                n_heard += !heard[who];
                heard[who] = true;
                CHECK(sendto(server, text, (size_t)n, 0, (struct sockaddr *)&from, from_length) == n);
        }
        for (int i = 0; i < CLIENTS; ++i) {
                char expected[16];
                ssize_t n = recv(clients[i].fd, text, sizeof(text) - 1, 0);

                CHECK(n > 0);
                text[n] = '\0';
                (void)snprintf(expected, sizeof(expected), "I am %d", i);
                n_answered += strcmp(text, expected) == 0;
                CHECK(close(clients[i].fd) == 0);
        }
        printf("heard %d, answered %d\n", n_heard, n_answered);
}

int main(int argc, char **argv) {
        struct sockaddr_storage address;
        struct client client;
        socklen_t length;
        int server;

        CHECK(argc == 2);
        length = numeric_address(argv[1], "0", SOCK_DGRAM, &address);
        server = socket(address.ss_family, SOCK_DGRAM, 0);
        CHECK(server >= 0);
        SHOW(bind(server, (struct sockaddr *)&address, length));
        CHECK(getsockname(server, (struct sockaddr *)&address, &length) == 0);
        CHECK(port_of(&address) != 0);
        nobody(server);
        client = join(&address, length);
        one(server, &client);
        many(server, &address, length);
        CHECK(fcntl(server, F_SETFL, O_NONBLOCK) == 0);
        SHOW(recv(server, &address, sizeof(address), 0));
        SHOW(close(client.fd));
        SHOW(close(server));
        return 0;
}
