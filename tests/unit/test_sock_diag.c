/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of sockets (base/sock_diag.h), about sockets of this test, and what somebody else says in its place.
 */
#include <check.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sock_diag.h"
#include "tests/support/harness.h"
#include "tests/support/network.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"

/* ---- sockets to be found ---- */

static struct nb_address address_of(int fd, int (*name)(int fd, struct sockaddr *sa, socklen_t *length)) {
        struct sockaddr_storage sa;
        socklen_t length = sizeof(sa);
        struct nb_address address;

        ck_assert_int_eq(name(fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &address), 0);
        return address;
}

static int get_local(int fd, struct sockaddr *sa, socklen_t *length) {
        return getsockname(fd, sa, length);
}

static int get_peer(int fd, struct sockaddr *sa, socklen_t *length) {
        return getpeername(fd, sa, length);
}

/* By what a connected socket is found. */
static struct nb_sock_diag_id id_of(int fd, uint8_t protocol) {
        struct nb_sock_diag_id id = { .protocol = protocol,
                                      .local = address_of(fd, get_local),
                                      .peer = address_of(fd, get_peer) };
        socklen_t size = sizeof(id.cookie);

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &id.cookie, &size), 0);
        return id;
}

static void expect_found(int diag_fd, const struct nb_sock_diag_id *id) {
        struct nb_sock_diag_socket found;

        ck_assert_int_eq(nb_sock_diag_find(diag_fd, id, &found), 0);
        ck_assert_int_eq(found.id.protocol, id->protocol);
        ck_assert_uint_eq(found.id.cookie, id->cookie);
        ck_assert(nb_address_equal(&found.id.local, &id->local));
        ck_assert(nb_address_equal(&found.id.peer, &id->peer));
        ck_assert_int_eq(found.state, TCP_ESTABLISHED); /* a connected UDP socket is said to be, too */
        ck_assert(!found.time_wait);
        ck_assert_uint_eq(found.uid, geteuid());
}

static int udp_socket(int family) {
        struct sockaddr_storage address;
        socklen_t length;
        int peer = bind_loopback(family, SOCK_DGRAM, &address, &length);
        int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, length), 0);
        ck_assert_int_eq(close(peer), 0); /* its port was what was needed */
        return fd;
}

/* A network where nothing else happens, and where this test has CAP_NET_ADMIN. @return whether it could be made */
static bool enter_network(void) {
        if (geteuid() != 0) {
                (void)fprintf(stderr, "skipped: needs root, for a network of its own\n");
                return false;
        }
        network_enter();
        return true;
}

/* ---- questions ---- */

START_TEST(one_socket_is_found_by_addresses_and_cookie) {
        NB_CLEANUP_FD int diag_fd = nb_sock_diag_open();
        struct nb_sock_diag_socket found;
        struct nb_sock_diag_id id;
        int pair[2];

        ck_assert_int_ge(diag_fd, 0);
        tcp_pair(pair);
        id = id_of(pair[1], IPPROTO_TCP);
        expect_found(diag_fd, &id);
        id.cookie ^= 1; /* what has these addresses is another one */
        ck_assert_int_eq(nb_sock_diag_find(diag_fd, &id, &found), -ENOENT);
        id.cookie ^= 1;
        id.peer.port ^= 1;
        ck_assert_int_eq(nb_sock_diag_find(diag_fd, &id, &found), -ENOENT);
        ck_assert_int_eq(close(pair[0]), 0);
        ck_assert_int_eq(close(pair[1]), 0);
}
END_TEST

/* The kernel takes the two ends the other way round in this question alone, and that is told to nobody. */
START_TEST(udp_sockets_are_found) {
        const int families[] = { AF_INET, AF_INET6 };
        NB_CLEANUP_FD int diag_fd = nb_sock_diag_open();
        NB_CLEANUP_FD int fd = udp_socket(families[_i]);
        struct nb_sock_diag_id id = id_of(fd, IPPROTO_UDP);
        struct nb_sock_diag_socket found;

        ck_assert_int_ge(diag_fd, 0);
        expect_found(diag_fd, &id);
        id.cookie ^= 1;
        ck_assert_int_eq(nb_sock_diag_find(diag_fd, &id, &found), -ENOENT);
}
END_TEST

START_TEST(a_family_that_is_none_is_refused) {
        NB_CLEANUP_FD int diag_fd = nb_sock_diag_open();
        const struct nb_sock_diag_query query = { .family = 255,
                                                  .protocol = IPPROTO_TCP,
                                                  .states = NB_SOCK_DIAG_ANY_STATE };
        struct nb_sock_diag_id id = { .protocol = IPPROTO_TCP, .local.ip.family = 255, .peer.ip.family = 255 };
        struct nb_sock_diag_socket found;
        int r;

        r = nb_sock_diag_find(diag_fd, &id, &found);
        ck_assert_msg(r < 0 && r != -ENOENT && r != -EAGAIN, "%d", r);
        ck_assert_int_eq(nb_sock_diag_find(-1, &id, &found), -EBADF);
        ck_assert_int_eq(nb_sock_diag_ask_dump(-1, &query), -EBADF);
}
END_TEST

/* ---- dumps ---- */

struct sought {
        struct nb_sock_diag_id id;
        unsigned n_found;
        uint64_t memory;
};

static void seek(void *data, const struct nb_sock_diag_socket *socket) {
        struct sought *sought = data;

        if (socket->id.cookie != sought->id.cookie)
                return;
        sought->n_found++;
        sought->memory = socket->memory;
}

static void dump(int diag_fd, uint8_t protocol, bool memory, struct sought *sought) {
        const struct nb_sock_diag_query query = {
                .family = AF_INET, .protocol = protocol, .states = NB_SOCK_DIAG_ANY_STATE, .memory = memory
        };
        int r;

        sought->n_found = 0;
        ck_assert_int_eq(nb_sock_diag_ask_dump(diag_fd, &query), 0);
        do
                r = nb_sock_diag_read_dump(diag_fd, &query, seek, sought);
        while (r == 0);
        ck_assert_int_eq(r, 1);
        ck_assert_uint_eq(sought->n_found, 1);
}

/* Where sockets come and go a dump is no snapshot, so this is where they do not. */
START_TEST(a_dump_has_what_waits_to_be_read) {
        NB_CLEANUP_FD int diag_fd = -1;
        char text[1000] = { 0 };
        struct sought sought;
        int pair[2];

        if (!enter_network())
                return;
        diag_fd = nb_sock_diag_open();
        ck_assert_int_ge(diag_fd, 0);
        tcp_pair(pair);
        sought = (struct sought){ .id = id_of(pair[1], IPPROTO_TCP) };
        ck_assert_int_eq(send(pair[0], text, sizeof(text), 0), sizeof(text));
        ck_assert_int_eq(recv(pair[1], text, sizeof(text), MSG_PEEK), sizeof(text));
        dump(diag_fd, IPPROTO_TCP, true, &sought);
        ck_assert_uint_ge(sought.memory, sizeof(text));
        dump(diag_fd, IPPROTO_TCP, false, &sought);
        ck_assert_uint_eq(sought.memory, 0);
        ck_assert_int_eq(close(pair[0]), 0);
        ck_assert_int_eq(close(pair[1]), 0);
}
END_TEST

START_TEST(a_dump_that_was_not_asked_for_has_nothing_yet) {
        const struct nb_sock_diag_query query = { .family = AF_INET, .protocol = IPPROTO_TCP };
        NB_CLEANUP_FD int diag_fd = nb_sock_diag_open();
        struct sought sought = { .n_found = 0 };

        ck_assert_int_eq(nb_sock_diag_read_dump(diag_fd, &query, seek, &sought), -EAGAIN);
}
END_TEST

/* ---- events, and who else may send them ---- */

static void count_cookie(void *data, uint64_t cookie) {
        struct sought *sought = data;

        if (cookie == sought->id.cookie)
                sought->n_found++;
}

static void wait_for_event(int events_fd) {
        struct pollfd pollfd = { .fd = events_fd, .events = POLLIN };

        ck_assert_int_eq(poll(&pollfd, 1, HARNESS_DEADLINE_MS), 1);
}

/* @return how many events of the socket were there until there were no more */
static unsigned take_events(int events_fd, struct sought *sought) {
        int r;

        sought->n_found = 0;
        do
                r = nb_sock_diag_read_events(events_fd, count_cookie, sought);
        while (r == 0);
        ck_assert_int_eq(r, -EAGAIN);
        return sought->n_found;
}

/* As of a socket that is freed; only the sender says that it is not the kernel. Whoever has CAP_NET_ADMIN may send it. */
static void forge(int to_fd, uint64_t cookie) {
        NB_CLEANUP_FD int fd = nb_sock_diag_open();
        struct sockaddr_nl to;
        socklen_t length = sizeof(to);
        struct {
                struct nlmsghdr header;
                struct inet_diag_msg message;
        } event = {
                .header = { .nlmsg_len = sizeof(event), .nlmsg_type = SOCK_DIAG_BY_FAMILY },
                .message = { .idiag_family = AF_INET,
                             .idiag_state = TCP_ESTABLISHED,
                             .id.idiag_cookie = { (uint32_t)cookie, (uint32_t)(cookie >> 32) } },
        };

        ck_assert_int_eq(getsockname(to_fd, (struct sockaddr *)&to, &length), 0);
        to.nl_groups = 0;
        ck_assert_int_eq(sendto(fd, &event, sizeof(event), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(event));
}

START_TEST(events_are_the_kernels) {
        NB_CLEANUP_FD int events_fd = -1, fd = -1;
        struct sought sought;

        if (!enter_network())
                return;
        events_fd = nb_sock_diag_open_events();
        ck_assert_int_eq(nb_sock_diag_listen(events_fd, true), 0);
        fd = udp_socket(AF_INET);
        sought = (struct sought){ .id = id_of(fd, IPPROTO_UDP) };
        forge(events_fd, sought.id.cookie);
        ck_assert_uint_eq(take_events(events_fd, &sought), 0);

        fd = nb_fd_close(fd);
        wait_for_event(events_fd);
        ck_assert_uint_eq(take_events(events_fd, &sought), 1);
        ck_assert_int_eq(nb_sock_diag_listen(events_fd, false), 0);
}
END_TEST

/* A stranger's message is nobody's answer, and shifts no other one. */
START_TEST(answers_are_the_kernels) {
        NB_CLEANUP_FD int diag_fd = -1, one = -1, two = -1;
        struct nb_sock_diag_socket found;
        struct nb_sock_diag_id ids[2];
        struct sought sought;

        if (!enter_network())
                return;
        diag_fd = nb_sock_diag_open();
        one = udp_socket(AF_INET);
        two = udp_socket(AF_INET);
        ids[0] = id_of(one, IPPROTO_UDP);
        ids[1] = id_of(two, IPPROTO_UDP);
        forge(diag_fd, ids[1].cookie);
        forge(diag_fd, ids[1].cookie);
        expect_found(diag_fd, &ids[0]);
        expect_found(diag_fd, &ids[1]);
        ids[1].cookie ^= 1;
        forge(diag_fd, ids[1].cookie);
        ck_assert_int_eq(nb_sock_diag_find(diag_fd, &ids[1], &found), -ENOENT);

        sought = (struct sought){ .id = ids[0] };
        forge(diag_fd, ids[0].cookie);
        dump(diag_fd, IPPROTO_UDP, false, &sought);
}
END_TEST

static Suite *sock_diag_suite(void) {
        Suite *suite = suite_create("sock_diag");
        TCase *questions = tcase_create("questions"), *dumps = tcase_create("dumps"), *events = tcase_create("events");

        tcase_add_test(questions, one_socket_is_found_by_addresses_and_cookie);
        tcase_add_loop_test(questions, udp_sockets_are_found, 0, 2);
        tcase_add_test(questions, a_family_that_is_none_is_refused);
        tcase_add_test(dumps, a_dump_has_what_waits_to_be_read);
        tcase_add_test(dumps, a_dump_that_was_not_asked_for_has_nothing_yet);
        tcase_add_test(events, events_are_the_kernels);
        tcase_add_test(events, answers_are_the_kernels);
        suite_add_tcase(suite, questions);
        suite_add_tcase(suite, dumps);
        suite_add_tcase(suite, events);
        return suite;
}

int main(void) {
        return run_suite(sock_diag_suite());
}
