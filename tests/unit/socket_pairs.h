/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of connected sockets on the loopback interface, for streams that are no Unix sockets: [0] is the test's, which never blocks,
 * [1] the guest's. See make_stream of the scripted broker.
 */
#ifndef NB_TESTS_SOCKET_PAIRS_H
#define NB_TESTS_SOCKET_PAIRS_H

#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket of its own port on the loopback address. */
static inline int bind_loopback(int family, int type, struct sockaddr_storage *ret, socklen_t *ret_length) {
        int fd = socket(family, type | SOCK_CLOEXEC, 0);
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
        struct sockaddr_in *four = (struct sockaddr_in *)ret;

        ck_assert_int_ge(fd, 0);
        *ret = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
        if (family == AF_INET6)
                six->sin6_addr = in6addr_loopback;
        else
                four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *ret_length = family == AF_INET6 ? sizeof(*six) : sizeof(*four);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)ret, *ret_length), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret, ret_length), 0);
        return fd;
}

/* TCP. */
static inline void tcp_pair(int ret[static 2]) {
        struct sockaddr_storage address;
        socklen_t length;
        int listener = bind_loopback(AF_INET, SOCK_STREAM, &address, &length);

        ck_assert_int_eq(listen(listener, 1), 0);
        ret[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(ret[1], (const struct sockaddr *)&address, length), 0);
        ret[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        ck_assert_int_ge(ret[0], 0);
        ck_assert_int_eq(close(listener), 0);
}

/* UDP, each connected to the other. */
static inline void udp_pair_of(int family, int ret[static 2]) {
        struct sockaddr_storage addresses[2];
        socklen_t length;

        for (int i = 0; i < 2; ++i)
                ret[i] = bind_loopback(family, SOCK_DGRAM | SOCK_NONBLOCK, &addresses[i], &length);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(connect(ret[i], (const struct sockaddr *)&addresses[1 - i], length), 0);
}

static inline void udp_pair(int ret[static 2]) {
        udp_pair_of(AF_INET, ret);
}

static inline void udp6_pair(int ret[static 2]) {
        udp_pair_of(AF_INET6, ret);
}

/*
 * Returns when what was sent on the loopback interface before has arrived. Mostly it has at once, but on a busy machine the kernel
 * delivers later, in order; so this sends something of its own and waits for it.
 */
static inline void loopback_settle(void) {
        struct pollfd arrived = { .events = POLLIN };
        int pair[2];

        udp_pair(pair);
        ck_assert_int_eq(send(pair[0], "", 1, 0), 1);
        arrived.fd = pair[1];
        ck_assert_int_eq(poll(&arrived, 1, 10000), 1);
        ck_assert_int_eq(close(pair[0]), 0);
        ck_assert_int_eq(close(pair[1]), 0);
}

#endif
