/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/peer.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

static struct nb_address parse(const char *text) {
        struct nb_address address;

        ck_assert_int_eq(nb_address_parse(text, strlen(text), &address), 0);
        return address;
}

struct peer peer_listen(const char *ip, int backlog) {
        struct sockaddr_storage sa = { 0 };
        struct peer peer = { .fd = -1 };
        socklen_t length;

        ck_assert_int_eq(nb_ip_parse(ip, strlen(ip), &peer.address.ip), 0);
        peer.fd = socket(peer.address.ip.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(peer.fd, 0);
        length = nb_address_to_sockaddr(&peer.address, &sa);
        ck_assert_msg(bind(peer.fd, (struct sockaddr *)&sa, length) == 0, "bind %s: %s", ip, strerror(errno));
        ck_assert_int_eq(listen(peer.fd, backlog), 0);
        ck_assert_int_eq(getsockname(peer.fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &peer.address), 0);
        (void)nb_address_format(&peer.address, peer.text);
        return peer;
}

void peer_close(struct peer *peer) {
        peer->fd = nb_fd_close(peer->fd);
}

int peer_accept(const struct peer *peer) {
        int fd;

        ck_assert_msg(harness_poll(peer->fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "nobody connects");
        fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        return fd;
}

static int connect_socket(int fd, const char *address) {
        struct nb_address to = parse(address);
        struct sockaddr_storage sa = { 0 };
        socklen_t length = nb_address_to_sockaddr(&to, &sa);

        return connect(fd, (struct sockaddr *)&sa, length);
}

int peer_connect(const char *address) {
        int fd = socket(parse(address).ip.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        return connect_socket(fd, address) < 0 ? nb_fd_close(fd) : fd;
}

int peer_connect_from(const char *ip, const char *address) {
        struct nb_address from = { .port = 0 };
        struct sockaddr_storage sa = { 0 };
        socklen_t length;
        int fd;

        ck_assert_int_eq(nb_ip_parse(ip, strlen(ip), &from.ip), 0);
        fd = socket(from.ip.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        length = nb_address_to_sockaddr(&from, &sa);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, length), 0);
        return connect_socket(fd, address) < 0 ? nb_fd_close(fd) : fd;
}

/* On loopback the handshake is over when connect() returns; asked again, it says so, or that the SYN found no answer. */
size_t peer_fill_backlog(const struct peer *peer, int *fds, size_t max) {
        for (size_t n = 0; n < max; ++n) {
                fds[n] = socket(peer->address.ip.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                ck_assert_int_ge(fds[n], 0);
                ck_assert_int_eq(connect_socket(fds[n], peer->text), -1);
                ck_assert_int_eq(errno, EINPROGRESS);
                if (connect_socket(fds[n], peer->text) < 0 && errno == EALREADY)
                        return n + 1;
        }
        ck_abort_msg("the backlog is never full");
        return 0;
}

uint16_t peer_port(const char *address) {
        return parse(address).port;
}

static void send_and_receive(int from_fd, int to_fd) {
        char word[4];

        ck_assert_int_eq(send(from_fd, "word", 4, MSG_NOSIGNAL), 4);
        ck_assert_int_ne(harness_poll(to_fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(to_fd, word, sizeof(word), 0), 4);
        ck_assert_int_eq(memcmp(word, "word", 4), 0);
}

void peer_exchange(int fd, int other_fd) {
        send_and_receive(fd, other_fd);
        send_and_receive(other_fd, fd);
}

void peer_expect_end(int fd) {
        char byte;

        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "the other end does not close");
        ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
}

void peer_expect_pipe_end(int fd) {
        char byte;

        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "someone keeps the pipe open");
        ck_assert_int_eq(read(fd, &byte, 1), 0);
}
