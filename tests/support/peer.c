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

static struct peer new_bound(const char *ip, int type) {
        struct sockaddr_storage sa = { 0 };
        struct peer peer = { .fd = -1 };
        socklen_t length;

        ck_assert_int_eq(nb_ip_parse(ip, strlen(ip), &peer.address.ip), 0);
        peer.fd = socket(peer.address.ip.family, type | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(peer.fd, 0);
        length = nb_address_to_sockaddr(&peer.address, &sa);
        ck_assert_msg(bind(peer.fd, (struct sockaddr *)&sa, length) == 0, "bind %s: %s", ip, strerror(errno));
        ck_assert_int_eq(getsockname(peer.fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &peer.address), 0);
        (void)nb_address_format(&peer.address, peer.text);
        return peer;
}

struct peer peer_listen(const char *ip, int backlog) {
        struct peer peer = new_bound(ip, SOCK_STREAM);

        ck_assert_int_eq(listen(peer.fd, backlog), 0);
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

struct peer peer_udp(const char *ip) {
        return new_bound(ip, SOCK_DGRAM);
}

void peer_udp_send(const struct peer *peer, const char *address, const char *text) {
        struct nb_address to = parse(address);
        struct sockaddr_storage sa = { 0 };
        socklen_t length = nb_address_to_sockaddr(&to, &sa);

        ck_assert_int_eq(sendto(peer->fd, text, strlen(text), 0, (struct sockaddr *)&sa, length),
                         (ssize_t)strlen(text));
}

void peer_udp_expect(int fd, const char *text, char ret_from[NB_ADDRESS_TEXT_MAX]) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length = sizeof(sa);
        struct nb_address from;
        char received[256];
        ssize_t n;

        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "\"%s\" does not arrive", text);
        n = recvfrom(fd, received, sizeof(received), 0, (struct sockaddr *)&sa, &length);
        ck_assert_int_eq(n, (ssize_t)strlen(text));
        ck_assert_int_eq(memcmp(received, text, (size_t)n), 0);
        if (!ret_from)
                return;
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &from), 0);
        (void)nb_address_format(&from, ret_from);
}

void peer_expect_nothing(int fd) {
        ck_assert_int_eq(harness_poll(fd, POLLIN, 0), 0);
}

static socklen_t unix_address(const char *name, struct sockaddr_storage *ret) {
        struct nb_socket_address address;

        ck_assert_int_eq(nb_socket_address_parse(name, strlen(name), &address), 0);
        return nb_socket_address_to_sockaddr(&address, ret);
}

static int new_unix(const char *name) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_storage sa;
        socklen_t length;

        ck_assert_int_ge(fd, 0);
        if (!name)
                return fd;
        length = unix_address(name, &sa);
        ck_assert_msg(bind(fd, (struct sockaddr *)&sa, length) == 0, "bind %s: %s", name, strerror(errno));
        return fd;
}

int peer_unix_listen(const char *name, int backlog) {
        int fd = new_unix(name);

        ck_assert_int_eq(listen(fd, backlog), 0);
        return fd;
}

int peer_unix_connect(const char *from, const char *name) {
        struct sockaddr_storage sa;
        socklen_t length = unix_address(name, &sa);
        int fd = new_unix(from);

        return connect(fd, (struct sockaddr *)&sa, length) < 0 ? nb_fd_close(fd) : fd;
}

int peer_unix_accept(int fd, char ret_from[NB_SOCKET_ADDRESS_TEXT_MAX]) {
        struct sockaddr_storage sa = { 0 };
        socklen_t length = sizeof(sa);
        struct nb_socket_address from;
        int accepted;

        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "nobody connects");
        accepted = accept4(fd, (struct sockaddr *)&sa, &length, SOCK_CLOEXEC);
        ck_assert_int_ge(accepted, 0);
        if (!ret_from)
                return accepted;
        ck_assert_int_eq(nb_socket_address_from_sockaddr((struct sockaddr *)&sa, length, &from), 0);
        (void)nb_socket_address_format(&from, ret_from);
        return accepted;
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
