/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_datagram HOST PORT REFUSED: a UDP client. PORT echoes, at REFUSED is nobody.
 */
#include <netinet/tcp.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "tests/guests/posix.h"

static void borders(int fd) {
        char text[8] = "";
        struct iovec part = { .iov_base = text, .iov_len = 2 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

        SHOW(send(fd, "one", 3, 0));
        SHOW(write(fd, "three", 5));
        SHOW(send(fd, "", 0, 0));
        wait_readable(fd);
        SHOW(recv(fd, text, sizeof(text), MSG_PEEK));
        SHOW(recv(fd, text, sizeof(text), 0));
        wait_readable(fd);
        SHOW(recvmsg(fd, &message, 0));
        printf("%.2s %s\n", text, message.msg_flags & MSG_TRUNC ? "truncated" : "whole");
        wait_readable(fd);
        SHOW(read(fd, text, sizeof(text)));
        SHOW(recv(fd, text, sizeof(text), MSG_DONTWAIT));
}

static void unconnected(const struct sockaddr_storage *address) {
        int fd = socket(address->ss_family, SOCK_DGRAM, 0);
        struct sockaddr_storage name;
        socklen_t length = sizeof(name), value_length = sizeof(int);
        int value = 1;

        CHECK(fd >= 0);
        CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &value_length) <
              0); /* Linux: EOPNOTSUPP, unlike setsockopt() */
        SHOW(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value)));
        SHOW(send(fd, "x", 1, 0));
        SHOW(getpeername(fd, (struct sockaddr *)&name, &length));
        SHOW(listen(fd, 1));
        SHOW_ERROR(accept(fd, NULL, NULL));
        show_poll("unconnected", fd, POLLIN | POLLOUT, 0);
        SHOW(close(fd));
}

/* A client that never calls connect(). */
static void sendto_and_recvfrom(const struct sockaddr_storage *address, socklen_t length) {
        int fd = socket(address->ss_family, SOCK_DGRAM, 0);
        struct sockaddr_storage from;
        socklen_t from_length = sizeof(from);
        char text[8] = "";

        CHECK(fd >= 0);
        SHOW(sendto(fd, "hello", 5, 0, (const struct sockaddr *)address, length));
        wait_readable(fd);
        SHOW(recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &from_length));
        CHECK(from.ss_family == address->ss_family);
        CHECK(memcmp(&from, address, sizeof(struct sockaddr_in)) == 0);
        SHOW(sendto(fd, "again", 5, 0, (const struct sockaddr *)address, length));
        SHOW(close(fd));
}

/* A datagram socket may be connected again, to another or to nobody. */
static void reconnect(const struct sockaddr_storage *address, const struct sockaddr_storage *refused,
                      socklen_t length) {
        struct sockaddr_storage none = { .ss_family = AF_UNSPEC };
        int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        char text[8] = "";

        CHECK(fd >= 0);
        SHOW(connect(fd, (const struct sockaddr *)refused, length));
        SHOW(send(fd, "x", 1, 0));
        wait_readable(fd);
        SHOW(recv(fd, text, sizeof(text), 0));
        SHOW(connect(fd, (const struct sockaddr *)address, length));
        SHOW(send(fd, "y", 1, 0));
        wait_readable(fd);
        SHOW(recv(fd, text, sizeof(text), 0));
        SHOW(connect(fd, (const struct sockaddr *)&none, sizeof(none)));
        SHOW(send(fd, "z", 1, 0));
        SHOW(close(fd));
}

/* Reading nothing takes no datagram, and writev() of nothing sends none. */
static void nothing(int fd) {
        char text[8] = "";
        struct iovec parts[2] = { { .iov_base = text }, { .iov_base = NULL } };

        SHOW(writev(fd, parts, 2));
        SHOW(write(fd, "one", 3));
        wait_readable(fd);
        SHOW(read(fd, text, 0));
        SHOW(readv(fd, parts, 2));
        SHOW(recv(fd, text, sizeof(text), MSG_DONTWAIT));
        SHOW(recv(fd, text, sizeof(text), MSG_DONTWAIT));
}

/* Options outlive the peer. */
static void options(const struct sockaddr_storage *address, socklen_t length) {
        int fd = socket(address->ss_family, SOCK_DGRAM, 0);
        socklen_t value_length = sizeof(int);
        int set = 50000, before = 0, after = 1;

        CHECK(fd >= 0);
        CHECK(connect(fd, (const struct sockaddr *)address, length) == 0);
        CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &set, sizeof(set)) == 0);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &before, &value_length) == 0);
        CHECK(connect(fd, (const struct sockaddr *)address, length) == 0);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &after, &value_length) == 0);
        printf("options are %s\n", before == after ? "kept" : "lost");
        CHECK(close(fd) == 0);
}

static void timeout(int fd) {
        struct timeval time = { .tv_usec = 20000 };
        char byte;

        CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)) == 0);
        SHOW(recv(fd, &byte, 1, 0));
}

int main(int argc, char **argv) {
        struct sockaddr_storage address, refused;
        socklen_t length;
        int fd;

        CHECK(argc == 4);
        length = numeric_address(argv[1], argv[2], SOCK_DGRAM, &address);
        (void)numeric_address(argv[1], argv[3], SOCK_DGRAM, &refused);
        fd = dial(argv[1], argv[2], SOCK_DGRAM);
        borders(fd);
        nothing(fd);
        timeout(fd);
        SHOW(close(fd));
        unconnected(&address);
        sendto_and_recvfrom(&address, length);
        options(&address, length);
        reconnect(&address, &refused, length);
        return 0;
}
