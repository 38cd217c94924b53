/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nb_lockdown() and sockets: what one could be turned into, and what it is for.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/channel.h"
#include "tests/support/runner.h"
#include "tests/unit/walled.h"

/* ---- what a hostile holder prepares before it is locked down, so that one step is left to try ---- */

static void disconnect(struct walled *walled) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };

        REQUIRE(connect(walled->tcp, &nobody, sizeof(nobody)) == 0);
}

/* ---- escapes ---- */

static int connect_unspec(struct walled *walled) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };

        return walled_result(connect(walled->tcp, &nobody, sizeof(nobody)));
}

static int reconnect(struct walled *walled) {
        return walled_result(
                connect(walled->tcp, (struct sockaddr *)&walled->listener_address, sizeof(walled->listener_address)));
}

static int reconnect_udp(struct walled *walled) {
        return walled_result(
                connect(walled->udp, (struct sockaddr *)&walled->stranger_address, sizeof(walled->stranger_address)));
}

static int connect_unspec_udp(struct walled *walled) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };

        return walled_result(connect(walled->udp, &nobody, sizeof(nobody)));
}

static int bind_again(struct walled *walled) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        return walled_result(bind(walled->tcp, (struct sockaddr *)&address, sizeof(address)));
}

static int listen_implicitly(struct walled *walled) {
        return walled_result(listen(walled->tcp, 1));
}

static int sendto_stranger(struct walled *walled) {
        return walled_result(sendto(walled->udp, "x", 1, 0, (struct sockaddr *)&walled->stranger_address,
                                    sizeof(walled->stranger_address)));
}

static int sendmmsg_stranger(struct walled *walled) {
        struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
        struct mmsghdr message = { .msg_hdr = { .msg_name = &walled->stranger_address,
                                                .msg_namelen = sizeof(walled->stranger_address),
                                                .msg_iov = &iov,
                                                .msg_iovlen = 1 } };

        return walled_result(sendmmsg(walled->udp, &message, 1, 0));
}

static int sendmsg_stranger(struct walled *walled) {
        struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
        struct msghdr message = { .msg_name = &walled->stranger_address,
                                  .msg_namelen = sizeof(walled->stranger_address),
                                  .msg_iov = &iov,
                                  .msg_iovlen = 1 };

        return walled_result(sendmsg(walled->udp, &message, 0));
}

/* A ring that was made before the walls, with a message to a stranger in it: one call is left to make. */
static void prepare_ring(struct walled *walled) {
        struct io_uring_params parameters = { 0 };
        struct io_uring_sqe *entries;
        uint8_t *ring;

        walled->ring_message = (struct msghdr){
                .msg_name = &walled->stranger_address,
                .msg_namelen = sizeof(walled->stranger_address),
        };
        walled->ring = (int)syscall(SYS_io_uring_setup, 1, &parameters);
        REQUIRE(walled->ring >= 0);
        ring = mmap(NULL, parameters.sq_off.array + sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED, walled->ring,
                    IORING_OFF_SQ_RING);
        entries = mmap(NULL, sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, walled->ring, IORING_OFF_SQES);
        REQUIRE(ring != MAP_FAILED && entries != MAP_FAILED);
        entries[0] = (struct io_uring_sqe){
                .opcode = IORING_OP_SENDMSG,
                .fd = walled->udp,
                .addr = (uint64_t)(uintptr_t)&walled->ring_message,
                .len = 1,
        };
        memcpy(ring + parameters.sq_off.array, &(uint32_t){ 0 }, sizeof(uint32_t));
        memcpy(ring + parameters.sq_off.tail, &(uint32_t){ 1 }, sizeof(uint32_t));
}

static int send_by_ring(struct walled *walled) {
        char byte;

        if (syscall(SYS_io_uring_enter, walled->ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
                return errno;
        REQUIRE(recv(walled->udp_stranger, &byte, 1, MSG_DONTWAIT) == 0); /* it came, and is empty */
        return WORKED;
}

static int sendto_fastopen(struct walled *walled) {
        return walled_result(sendto(walled->tcp, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&walled->listener_address,
                                    sizeof(walled->listener_address)));
}

static int sendmsg_fastopen(struct walled *walled) {
        struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
        struct msghdr message = { .msg_name = &walled->listener_address,
                                  .msg_namelen = sizeof(walled->listener_address),
                                  .msg_iov = &iov,
                                  .msg_iovlen = 1 };

        return walled_result(sendmsg(walled->tcp, &message, MSG_FASTOPEN));
}

static int new_tcp_socket(struct walled *walled) {
        (void)walled;
        return walled_result(socket(AF_INET, SOCK_STREAM, 0));
}

static int new_unix_socket(struct walled *walled) {
        (void)walled;
        return walled_result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int datagram_pair(struct walled *walled) {
        int pair[2];

        (void)walled;
        return walled_result(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
}

/* For Unix sockets SOCK_RAW is SOCK_DGRAM. */
static int raw_pair(struct walled *walled) {
        int pair[2];

        (void)walled;
        return walled_result(socketpair(AF_UNIX, SOCK_RAW, 0, pair));
}

/* The kernel reads the low half only. */
static int datagram_pair_with_garbage(struct walled *walled) {
        int pair[2];

        (void)walled;
        return walled_result(syscall(SYS_socketpair, (long)AF_UNIX, (1L << 32) | SOCK_DGRAM, 0L, pair));
}

static int uring(struct walled *walled) {
        struct io_uring_params parameters = { 0 };

        (void)walled;
        return walled_result(syscall(SYS_io_uring_setup, 1, &parameters));
}

static int bind_to_device(struct walled *walled) {
        return walled_result(setsockopt(walled->tcp, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
}

static int bind_to_device_with_garbage(struct walled *walled) {
        return walled_result(syscall(SYS_setsockopt, (long)walled->tcp, (1L << 32) | SOL_SOCKET,
                                     (1L << 32) | SO_BINDTODEVICE, "lo", 2L));
}

static int routing_header(struct walled *walled) {
        return walled_result(setsockopt(walled->tcp6, IPPROTO_IPV6, IPV6_RTHDR, NULL, 0));
}

static int reuse_port(struct walled *walled) {
        return walled_result(setsockopt(walled->tcp, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)));
}

static int free_bind(struct walled *walled) {
        return walled_result(setsockopt(walled->tcp, IPPROTO_IP, IP_FREEBIND, &(int){ 1 }, sizeof(int)));
}

static int fastopen_connect(struct walled *walled) {
        return walled_result(setsockopt(walled->tcp, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &(int){ 1 }, sizeof(int)));
}

static int list_interfaces(struct walled *walled) {
        struct ifconf interfaces = { 0 };

        return walled_result(ioctl(walled->tcp, SIOCGIFCONF, &interfaces));
}

static int list_interfaces_with_garbage(struct walled *walled) {
        struct ifconf interfaces = { 0 };

        return walled_result(syscall(SYS_ioctl, (long)walled->tcp, (1L << 32) | SIOCGIFCONF, &interfaces));
}

/* SIOCGSTAMP_NEW, which has a size and a direction. There is no stamp to get. */
static int get_stamp(struct walled *walled) {
        char stamp[16];

        return walled_result(ioctl(walled->udp, _IOC(_IOC_READ, 0x89, 0x06, sizeof(stamp)), stamp));
}

/* Over a Unix socket that is open already: to another process it would be all that the walls keep from this one. */
static int pass_descriptor(struct walled *walled) {
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr alignment;
        } control = { .bytes = { 0 } };
        struct iovec iov = { (char[]){ "x" }, 1 };
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
        int pair[2];

        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &walled->tcp, sizeof(int));
        return walled_result(sendmsg(pair[0], &message, MSG_NOSIGNAL));
}

static int linger(struct walled *walled) {
        struct linger linger = { .l_onoff = 1, .l_linger = 3600 };

        return walled_result(setsockopt(walled->tcp, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

static const struct escape escapes[] = {
        { "abuse 1: connect(AF_UNSPEC)", NULL, connect_unspec, WORKED, EPERM },
        { "abuse 1: connect elsewhere", disconnect, reconnect, WORKED, EPERM },
        { "abuse 2: connect a UDP socket elsewhere", NULL, reconnect_udp, WORKED, EPERM },
        { "abuse 2: sendto", NULL, sendto_stranger, WORKED, EPERM },
        { "abuse 2: sendmmsg", NULL, sendmmsg_stranger, WORKED, EPERM },
        { "abuse 2: connect(AF_UNSPEC), UDP", NULL, connect_unspec_udp, WORKED, EPERM },
        { "abuse 2: sendmsg", NULL, sendmsg_stranger, WORKED, EPERM },
        { "abuse 2: io_uring", prepare_ring, send_by_ring, WORKED, EPERM },
        { "abuse 3: bind", disconnect, bind_again, WORKED, EPERM },
        { "abuse 3: listen without bind", disconnect, listen_implicitly, WORKED, EPERM },
        { "sendto MSG_FASTOPEN", disconnect, sendto_fastopen, WORKED, EPERM },
        { "sendmsg MSG_FASTOPEN", disconnect, sendmsg_fastopen, WORKED, EPERM },
        { "socket AF_INET", NULL, new_tcp_socket, WORKED, EPERM },
        { "socket AF_UNIX", NULL, new_unix_socket, WORKED, EPERM },
        { "socketpair SOCK_DGRAM", NULL, datagram_pair, WORKED, EPERM },
        { "socketpair SOCK_RAW", NULL, raw_pair, WORKED, EPERM },
        { "socketpair, garbage above the type", NULL, datagram_pair_with_garbage, WORKED, EPERM },
        { "io_uring_setup", NULL, uring, WORKED, EPERM },
        { "SO_BINDTODEVICE", NULL, bind_to_device, WORKED, EPERM },
        { "SO_BINDTODEVICE, garbage above", NULL, bind_to_device_with_garbage, WORKED, EPERM },
        { "IPV6_RTHDR", NULL, routing_header, WORKED, EPERM },
        { "SO_REUSEPORT", NULL, reuse_port, WORKED, EPERM },
        { "IP_FREEBIND", NULL, free_bind, WORKED, EPERM },
        { "TCP_FASTOPEN_CONNECT", disconnect, fastopen_connect, WORKED, EPERM },
        { "SIOCGIFCONF", NULL, list_interfaces, WORKED, EPERM },
        { "SIOCGIFCONF, garbage above", NULL, list_interfaces_with_garbage, WORKED, EPERM },
        { "SIOCGSTAMP_NEW", NULL, get_stamp, ENOENT, EPERM },
        { "pass a descriptor on", NULL, pass_descriptor, WORKED, EPERM },
        { "SO_LINGER", NULL, linger, WORKED, EPERM },
};

START_TEST(abuse_1_2_3_escape_works_without_the_walls_and_not_behind_them) {
        walled_check_escape(&escapes[_i]);
}
END_TEST

/* ---- what goes on working ---- */

static int move_bytes(struct walled *walled) {
        char buffer[16];
        struct iovec iov = { buffer, sizeof(buffer) };
        struct iovec out = { (char[]){ "abc" }, 3 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        struct pollfd ready = { .fd = walled->peer, .events = POLLIN };
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN };

        MUST(send(walled->tcp, "a", 1, MSG_NOSIGNAL) == 1);
        MUST(poll(&ready, 1, -1) == 1);
        MUST(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, walled->peer, &event) == 0);
        MUST(epoll_wait(epoll, &event, 1, -1) == 1);
        MUST(recv(walled->peer, buffer, sizeof(buffer), 0) == 1);
        MUST(write(walled->tcp, "b", 1) == 1 && read(walled->peer, buffer, sizeof(buffer)) == 1);
        MUST(writev(walled->tcp, &out, 1) == 3 && readv(walled->peer, &iov, 1) == 3);
        MUST(write(walled->tcp, "c", 1) == 1 && recvmsg(walled->peer, &message, 0) == 1);
        MUST(fcntl(walled->tcp, F_SETFL, O_NONBLOCK) == 0);
        MUST(ioctl(walled->tcp, FIONREAD, &(int){ 0 }) == 0);
        MUST(shutdown(walled->tcp, SHUT_WR) == 0 && recv(walled->peer, buffer, sizeof(buffer), 0) == 0);
        MUST(close(walled->tcp) == 0 && close(epoll) == 0);
        return 0;
}

static int set_options(struct walled *walled) {
        static const struct {
                int level;
                int name;
        } allowed[] = {
                { SOL_SOCKET, SO_SNDBUF },          { SOL_SOCKET, SO_RCVBUF },     { SOL_SOCKET, SO_KEEPALIVE },
                { SOL_SOCKET, SO_OOBINLINE },       { SOL_SOCKET, SO_RCVLOWAT },   { IPPROTO_TCP, TCP_NODELAY },
                { IPPROTO_TCP, TCP_CORK },          { IPPROTO_TCP, TCP_KEEPIDLE }, { IPPROTO_TCP, TCP_KEEPINTVL },
                { IPPROTO_TCP, TCP_KEEPCNT },       { IPPROTO_TCP, TCP_QUICKACK }, { IPPROTO_TCP, TCP_USER_TIMEOUT },
                { IPPROTO_TCP, TCP_NOTSENT_LOWAT },
        };
        struct timeval timeout = { .tv_sec = 1 };
        socklen_t length = sizeof(int);

        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); ++i)
                MUST(setsockopt(walled->tcp, allowed[i].level, allowed[i].name, &(int){ 1 }, sizeof(int)) == 0);
        MUST(setsockopt(walled->tcp, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
        MUST(setsockopt(walled->tcp, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0);
        MUST(setsockopt(walled->udp, SOL_SOCKET, SO_RCVBUF, &(int){ 4096 }, sizeof(int)) == 0);
        MUST(getsockopt(walled->tcp, SOL_SOCKET, SO_ERROR, &(int){ 0 }, &length) == 0);
        MUST(getsockopt(walled->tcp, IPPROTO_TCP, TCP_NODELAY, &(int){ 0 }, &length) == 0);
        return 0;
}

static int ask_names(struct walled *walled) {
        struct sockaddr_in local, remote;
        socklen_t length = sizeof(local);

        MUST(getsockname(walled->tcp, (struct sockaddr *)&local, &length) == 0 && length == sizeof(local));
        MUST(getpeername(walled->peer, (struct sockaddr *)&remote, &length) == 0 && length == sizeof(remote));
        MUST(local.sin_port == remote.sin_port);
        return 0;
}

/* The channel to the broker, as the library uses it: frames go, descriptors only come. */
static int use_channel(struct walled *walled) {
        uint8_t buffer[NB_CHANNEL_MESSAGE_MAX];
        struct nb_channel_fds fds;
        int pair[2];

        (void)walled;
        MUST(nb_channel_pair(pair) == 0);
        MUST(nb_channel_send(pair[0], "frame", 5, NULL, 0) == 0);
        MUST(nb_channel_receive(pair[1], buffer, &fds) == 5);
        return 0;
}

static int use_sockets(struct walled *walled) {
        int fd;

        if (set_options(walled) || ask_names(walled) || use_channel(walled))
                return 1;
        MUST(fcntl(walled->listener, F_SETFL, O_NONBLOCK) == 0);
        fd = accept4(walled->listener, NULL, NULL, SOCK_CLOEXEC);
        MUST(fd < 0 && errno == EAGAIN);
        return move_bytes(walled);
}

START_TEST(what_a_host_needs_goes_on_working) {
        ck_assert_int_eq(walled_run(NULL, use_sockets, false), 0);
        ck_assert_int_eq(walled_run(NULL, use_sockets, true), 0);
}
END_TEST

static bool receives(int fd, const char *expected) {
        char buffer[16];
        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        if (!expected)
                return n < 0 && errno == EAGAIN;
        return n == (ssize_t)strlen(expected) && memcmp(buffer, expected, strlen(expected)) == 0;
}

/* One after the other, for a step that was refused must not make room for the next. */
static int name_strangers(struct walled *walled) {
        MUST(connect_unspec_udp(walled) == EPERM);
        MUST(sendto_stranger(walled) == EPERM);
        MUST(sendmsg_stranger(walled) == EPERM);
        MUST(sendmmsg_stranger(walled) == EPERM);
        MUST(reconnect_udp(walled) == EPERM);
        MUST(send_by_ring(walled) == EPERM);
        MUST(write(walled->udp, "write", 5) == 5 && receives(walled->udp_peer, "write"));
        MUST(send(walled->udp, "send", 4, MSG_NOSIGNAL) == 4 && receives(walled->udp_peer, "send"));
        MUST(receives(walled->udp_stranger, NULL));
        return 0;
}

START_TEST(abuse_2_datagrams_go_to_the_peer_and_nobody_else) {
        ck_assert_int_eq(walled_run(prepare_ring, name_strangers, true), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lockdown_sockets");
        TCase *tcase = tcase_create("sockets");

        tcase_add_loop_test(tcase, abuse_1_2_3_escape_works_without_the_walls_and_not_behind_them, 0,
                            (int)(sizeof(escapes) / sizeof(escapes[0])));
        tcase_add_test(tcase, what_a_host_needs_goes_on_working);
        tcase_add_test(tcase, abuse_2_datagrams_go_to_the_peer_and_nobody_else);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
