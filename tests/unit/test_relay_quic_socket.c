/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets of QUIC in and out of real sockets, in batches. What the kernel says to a batch can be chosen here: sendmmsg(2) is the test's own. So is whether there is memory for another
 * batch: the linker gives us quic_outgoing_new().
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "relay/quic/incoming.h"
#include "relay/quic/outgoing.h"
#include "relay/quic/quic.h"
#include "relay/quic/socket.h"
#include "relay/relay.h"
#include "tests/support/runner.h"

#define PACKETS_MAX 600

struct got {
        size_t length;
        uint8_t first, last, ecn;
        struct quic_path path;
};

struct world {
        struct relay relay;
        struct quic quic;
        int errors[8];       /* of the next calls of sendmmsg(); 0: the kernel's answer */
        int receive_error;   /* of the next call of recvmmsg(); 0: the kernel's answer */
        unsigned n_calls;    /* of sendmmsg() */
        unsigned n_messages; /* that it took */
        unsigned n_got, n_batches, n_writable;
        int failure;
        bool has_no_memory; /* for another batch */
        struct got got[PACKETS_MAX];
        struct quic_socket *a, *b;
};

static struct world world;

int sendmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags) {
        int error = world.errors[0], r;

        world.n_calls++;
        memmove(world.errors, world.errors + 1, sizeof(world.errors) - sizeof(world.errors[0]));
        world.errors[7] = 0;
        if (error != 0) {
                errno = error;
                return -1;
        }
        r = (int)syscall(SYS_sendmmsg, fd, headers, n, flags);
        world.n_messages += r > 0 ? (unsigned)r : 0;
        return r;
}

int recvmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags, struct timespec *timeout) {
        int error = world.receive_error;

        world.receive_error = 0;
        if (error != 0) {
                errno = error;
                return -1;
        }
        return (int)syscall(SYS_recvmmsg, fd, headers, n, flags, timeout);
}

struct quic_outgoing *__real_quic_outgoing_new(void);
struct quic_outgoing *__wrap_quic_outgoing_new(void);

struct quic_outgoing *__wrap_quic_outgoing_new(void) {
        return world.has_no_memory ? NULL : __real_quic_outgoing_new();
}

static void packet_came(struct quic_socket *socket, const struct quic_packet *packet) {
        struct got *got = &world.got[world.n_got++ % PACKETS_MAX];

        ck_assert_ptr_eq(quic_socket_owner(socket), &world);
        got->length = packet->length;
        got->first = packet->bytes[0];
        got->last = packet->bytes[packet->length - 1];
        got->ecn = packet->ecn;
        got->path = packet->path;
}

static void batch_is_over(struct quic_socket *socket) {
        (void)socket;
        world.n_batches++;
}

static void writable(struct quic_socket *socket) {
        (void)socket;
        world.n_writable++;
}

static void failed(struct quic_socket *socket, int error) {
        (void)socket;
        world.failure = error;
}

static const struct quic_socket_ops ops = {
        .packet = packet_came,
        .batch_end = batch_is_over,
        .writable = writable,
        .failed = failed,
};

static void settle(void) {
        for (int i = 0; i < 50; ++i)
                watch_set_turn(&world.relay.watches, false);
}

static void begin(void) {
        memset(&world, 0, sizeof(world));
        world.relay.descriptors_max = UINT32_MAX;
        world.relay.quic = &world.quic;
        world.quic.relay = &world.relay;
        nb_list_init(&world.quic.batchless);
        world.quic.in = quic_incoming_new();
        world.quic.out = quic_outgoing_new();
        ck_assert_ptr_nonnull(world.quic.in);
        ck_assert_ptr_nonnull(world.quic.out);
        ck_assert_int_eq(uv_loop_init(&world.relay.loop), 0);
        ck_assert_int_eq(watch_set_start(&world.relay.watches, &world.relay.loop), 0);
}

static void end(void) {
        world.a = quic_socket_free(world.a);
        world.b = quic_socket_free(world.b);
        ck_assert_uint_eq(world.relay.n_descriptors, 0);
        free(world.quic.in);
        free(world.quic.out);
        watch_set_stop(&world.relay.watches);
        (void)uv_run(&world.relay.loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&world.relay.loop), 0);
}

/* A socket of IPv6 serves IPv4 too. */
static int udp(const char *text, union quic_address *ret) {
        union quic_address address = { .any.sa_family = strchr(text, ':') ? AF_INET6 : AF_INET };
        void *bytes = address.any.sa_family == AF_INET6 ? (void *)&address.in6.sin6_addr : (void *)&address.in.sin_addr;
        int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        socklen_t length = sizeof(address);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(inet_pton(address.any.sa_family, text, bytes), 1);
        if (address.any.sa_family == AF_INET6)
                ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int)), 0);
        ck_assert_int_eq(bind(fd, &address.any, quic_address_size(&address)), 0);
        ck_assert_int_eq(getsockname(fd, &address.any, &length), 0);
        *ret = address;
        return fd;
}

/* `a` sends, `b` receives; both of one relay. @return the path from the one to the other */
static struct quic_path start(const char *sender, const char *receiver) {
        struct quic_path path;
        union quic_address bound;
        int fds[2] = { udp(sender, &path.local), udp(receiver, &bound) };

        path.remote = bound;
        ck_assert_int_eq(quic_socket_new(&world.relay, fds[0], &ops, &world, &world.a), 0);
        ck_assert_int_eq(quic_socket_new(&world.relay, fds[1], &ops, &world, &world.b), 0);
        ck_assert_uint_eq(world.relay.n_descriptors, 2);
        ck_assert(quic_address_equal(quic_socket_local(world.b), &bound));
        ck_assert_int_eq(quic_socket_remote(world.b)->any.sa_family, AF_UNSPEC);
        return path;
}

/* @return whether there was room for it */
static bool put(const struct quic_path *path, size_t length, uint8_t mark, uint8_t ecn, bool alone) {
        uint8_t *room = quic_socket_room(world.a);

        if (!room)
                return false;
        memset(room, mark, length);
        quic_socket_add(world.a, length, path, ecn, alone);
        return true;
}

static void expect(unsigned i, size_t length, uint8_t mark, uint8_t ecn) {
        ck_assert_uint_lt(i, world.n_got);
        ck_assert_uint_eq(world.got[i].length, length);
        ck_assert_uint_eq(world.got[i].first, mark);
        ck_assert_uint_eq(world.got[i].last, mark);
        ck_assert_uint_eq(world.got[i].ecn, ecn);
}

/* ---- */

START_TEST(many_packets_are_few_messages_and_keep_their_order) {
        struct quic_path path;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        for (unsigned i = 0; i < 100; ++i)
                ck_assert(put(&path, 1200, (uint8_t)i, 0, false));
        ck_assert(put(&path, 700, 100, 0, false));
        ck_assert(put(&path, 1200, 101, 0, false));
        quic_socket_flush(world.a);
        settle();
        ck_assert_uint_eq(world.n_got, 102);
        for (unsigned i = 0; i < 102; ++i)
                expect(i, i == 100 ? 700 : 1200, (uint8_t)i, 0);
        /* 54 of 1,200 bytes are the most of a message, and what comes behind a shorter one begins another. */
        ck_assert_uint_le(world.n_calls, 2);
        ck_assert_uint_eq(world.n_messages, 3);
        ck_assert(quic_address_equal(&world.got[0].path.remote, &path.local));
        ck_assert(quic_address_equal(&world.got[0].path.local, &path.remote));
        end();
}
END_TEST

START_TEST(a_full_batch_goes_by_itself) {
        struct quic_path path;
        unsigned n_seen;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        for (unsigned i = 0; i < 400; ++i) {
                ck_assert(put(&path, QUIC_PACKET_MAX, (uint8_t)i, 0, false));
                if (i % 50 == 49)
                        settle();
        }
        n_seen = world.n_got;
        ck_assert_uint_gt(n_seen, 0);
        quic_socket_flush(world.a);
        settle();
        ck_assert_uint_eq(world.n_got, 400);
        for (unsigned i = 0; i < 400; ++i)
                expect(i, QUIC_PACKET_MAX, (uint8_t)i, 0);
        end();
}
END_TEST

START_TEST(what_differs_is_not_put_together) {
        struct quic_path path, other;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        other = path;
        other.remote = *quic_socket_local(world.a);
        ck_assert(put(&path, 1000, 0, 0, false));
        ck_assert(put(&path, 1000, 1, 1, false)); /* ECN */
        ck_assert(put(&path, 1100, 2, 1, false)); /* longer */
        ck_assert(put(&path, 1100, 3, 1, true));  /* a probe */
        ck_assert(put(&path, 1100, 4, 1, false));
        ck_assert(put(&other, 1100, 5, 1, false)); /* a path: back to the sender */
        quic_socket_flush(world.a);
        settle();
        ck_assert_uint_eq(world.n_messages, 6);
        ck_assert_uint_eq(world.n_got, 6);
        end();
}
END_TEST

static void check_ecn(const char *address) {
        struct quic_path path;

        begin();
        path = start(address, address);
        for (uint8_t ecn = 0; ecn < 4; ++ecn) {
                ck_assert(put(&path, 1200, ecn, ecn, false));
                ck_assert(put(&path, 1200, ecn, ecn, false));
        }
        quic_socket_flush(world.a);
        settle();
        ck_assert_uint_eq(world.n_got, 8);
        for (unsigned i = 0; i < 8; ++i)
                expect(i, 1200, (uint8_t)(i / 2), (uint8_t)(i / 2));
        end();
}

START_TEST(ecn_goes_both_ways) {
        check_ecn("127.0.0.1");
        check_ecn("::1");
}
END_TEST

/* Who is bound to no address in particular answers from the one that was asked. */
static void check_wildcard(const char *wildcard, const char *one, const char *asked) {
        struct quic_path path, back;
        union quic_address bound, other;
        int fd;

        begin();
        path = start(one, wildcard);
        ck_assert_int_ge(fd = udp(asked, &other), 0);
        nb_fd_close(fd);
        bound = *quic_socket_local(world.b);
        path.remote = other;
        if (bound.any.sa_family == AF_INET)
                path.remote.in.sin_port = bound.in.sin_port;
        else
                path.remote.in6.sin6_port = bound.in6.sin6_port;
        ck_assert(put(&path, 1200, 7, 0, false));
        quic_socket_flush(world.a);
        settle();
        expect(0, 1200, 7, 0);
        ck_assert(quic_address_equal(&world.got[0].path.local, &path.remote));
        back = world.got[0].path;
        memset(quic_socket_room(world.b), 9, 1200);
        quic_socket_add(world.b, 1200, &back, 0, false);
        memset(quic_socket_room(world.b), 9, 1200);
        quic_socket_add(world.b, 1200, &back, 0, false);
        quic_socket_flush(world.b);
        settle();
        ck_assert_uint_eq(world.n_got, 3);
        expect(2, 1200, 9, 0);
        ck_assert(quic_address_equal(&world.got[2].path.remote, &path.remote));
        end();
}

START_TEST(an_answer_leaves_from_the_address_that_was_asked) {
        check_wildcard("0.0.0.0", "127.0.0.1", "127.0.0.9");
        check_wildcard("::", "::1", "::1");
}
END_TEST

/* A mapped address is one of IPv6 as long as it is the kernel's, and of IPv4 to everybody else. */
START_TEST(a_socket_of_ipv6_serves_both_families) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 8) };
        char text[QUIC_ADDRESS_TEXT_MAX], byte;
        struct quic_path path, back;
        union quic_address client;
        const int ecn = 2;
        int fd;

        begin();
        path = start("::1", "::");
        fd = udp("127.0.0.1", &client);
        ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_TOS, &ecn, sizeof(ecn)), 0);
        ck_assert_int_eq(setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &(int){ 1 }, sizeof(int)), 0);
        to.sin_port = path.remote.in6.sin6_port;
        ck_assert_int_eq(sendto(fd, "4", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
        settle();
        expect(0, 1, '4', 2);
        back = world.got[0].path;
        ck_assert_int_eq(strncmp(quic_address_format(&back.remote, text), "127.0.0.1:", 10), 0);
        ck_assert_int_eq(strncmp(quic_address_format(&back.local, text), "127.0.0.9:", 10), 0);
        /* And back, from the address that was asked. */
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
        for (int i = 0; i < 2; ++i) {
                quic_socket_room(world.b)[0] = '6';
                quic_socket_add(world.b, 1, &back, 1, false);
        }
        quic_socket_flush(world.b);
        for (int i = 0; i < 2; ++i) {
                struct iovec part = { .iov_base = &byte, .iov_len = 1 };
                _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
                struct msghdr message = {
                        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
                };

                ck_assert_int_eq(recvmsg(fd, &message, MSG_DONTWAIT), 1);
                ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&message));
                ck_assert_int_eq(*CMSG_DATA(CMSG_FIRSTHDR(&message)), 1);
        }
        ck_assert_int_eq(world.failure, 0);
        nb_fd_close(fd);
        end();
}
END_TEST

/* ---- what the kernel refuses ---- */

START_TEST(without_segments_packets_go_one_by_one) {
        const int errors[] = { EIO, EINVAL };

        for (unsigned e = 0; e < 2; ++e) {
                struct quic_path path;

                begin();
                path = start("127.0.0.1", "127.0.0.1");
                for (unsigned i = 0; i < 10; ++i)
                        ck_assert(put(&path, i == 9 ? 500 : 1200, (uint8_t)i, 1, false));
                world.errors[0] = errors[e];
                quic_socket_flush(world.a);
                settle();
                ck_assert_uint_eq(world.n_got, 10);
                for (unsigned i = 0; i < 10; ++i)
                        expect(i, i == 9 ? 500 : 1200, (uint8_t)i, 1);
                ck_assert_uint_eq(world.n_messages, 10);
                /* It is not tried again. */
                ck_assert(put(&path, 1200, 10, 0, false));
                ck_assert(put(&path, 1200, 11, 0, false));
                quic_socket_flush(world.a);
                settle();
                ck_assert_uint_eq(world.n_messages, 12);
                ck_assert_uint_eq(world.n_got, 12);
                ck_assert_int_eq(world.failure, 0);
                end();
        }
}
END_TEST

/* As the kernel itself refuses it: one that computes no checksums cannot cut either. */
START_TEST(a_socket_that_cannot_cut_still_sends) {
        struct quic_path path;
        union quic_address bound;
        int fd;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        world.a = quic_socket_free(world.a);
        fd = udp("127.0.0.1", &bound);
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &(int){ 1 }, sizeof(int)), 0);
        ck_assert_int_eq(quic_socket_new(&world.relay, fd, &ops, &world, &world.a), 0);
        for (unsigned i = 0; i < 10; ++i)
                ck_assert(put(&path, 1200, (uint8_t)i, 0, false));
        quic_socket_flush(world.a);
        settle();
        ck_assert_uint_eq(world.n_got, 10);
        end();
}
END_TEST

START_TEST(what_the_kernel_does_not_take_is_kept_and_nothing_more_taken) {
        struct quic_path path;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        for (unsigned i = 0; i < 10; ++i)
                ck_assert(put(&path, 1200, (uint8_t)i, 0, false));
        world.errors[0] = EAGAIN;
        quic_socket_flush(world.a);
        ck_assert(!put(&path, 1200, 10, 0, false));
        ck_assert_uint_eq(world.n_got, 0);
        /* Meanwhile others send. */
        ck_assert_ptr_nonnull(quic_socket_room(world.b));
        settle();
        ck_assert_uint_eq(world.n_writable, 1);
        ck_assert_uint_eq(world.n_got, 10);
        ck_assert(put(&path, 1200, 10, 0, false));
        quic_socket_flush(world.a);
        settle();
        ck_assert_uint_eq(world.n_got, 11);
        for (unsigned i = 0; i < 11; ++i)
                expect(i, 1200, (uint8_t)i, 0);
        end();
}
END_TEST

/* Without memory for a second batch others wait for the first, and hear of it when it comes back. */
START_TEST(the_batch_that_is_kept_comes_back_to_others) {
        struct quic_path path;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        world.has_no_memory = true;
        for (uint8_t i = 0; i < 2; ++i) {
                ck_assert(put(&path, 1200, i, 0, false));
                world.errors[0] = EAGAIN;
                quic_socket_flush(world.a);
                ck_assert_ptr_null(quic_socket_room(world.b));
                ck_assert_ptr_null(quic_socket_room(world.b));
                if (i == 0)
                        settle();
                else
                        world.a = quic_socket_free(world.a);
                settle();
                /* Each is told once, and `a` only where it is there still. */
                ck_assert_uint_eq(world.n_writable, i == 0 ? 2 : 3);
                ck_assert_ptr_nonnull(quic_socket_room(world.b));
        }
        ck_assert_uint_eq(world.n_got, 1);
        end();
}
END_TEST

/* In the middle of a message that has to be cut here. */
START_TEST(what_is_cut_here_is_kept_where_it_stopped) {
        struct quic_path path;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        for (unsigned i = 0; i < 10; ++i)
                ck_assert(put(&path, 1200, (uint8_t)i, 0, false));
        world.errors[0] = EIO;
        world.errors[3] = EAGAIN;
        quic_socket_flush(world.a);
        ck_assert_uint_eq(world.n_messages, 2);
        ck_assert(!put(&path, 1200, 10, 0, false));
        settle();
        ck_assert_uint_eq(world.n_writable, 1);
        ck_assert_uint_eq(world.n_got, 10);
        for (unsigned i = 0; i < 10; ++i)
                expect(i, 1200, (uint8_t)i, 0);
        end();
}
END_TEST

START_TEST(a_message_that_is_refused_is_lost_and_no_other) {
        struct quic_path path;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        ck_assert(put(&path, 1200, 0, 0, true));
        ck_assert(put(&path, 1200, 1, 0, true));
        world.errors[0] = EMSGSIZE;
        quic_socket_flush(world.a);
        settle();
        ck_assert_uint_eq(world.n_got, 1);
        expect(0, 1200, 1, 0);
        ck_assert_int_eq(world.failure, 0);
        end();
}
END_TEST

START_TEST(nobody_there_is_told_to_the_owner) {
        struct quic_path path;
        union quic_address bound;
        int fd, gone;

        begin();
        gone = udp("127.0.0.1", &path.remote);
        fd = udp("127.0.0.1", &bound);
        ck_assert_int_eq(connect(fd, &path.remote.any, sizeof(path.remote.in)), 0);
        nb_fd_close(gone);
        ck_assert_int_eq(quic_socket_new(&world.relay, fd, &ops, &world, &world.a), 0);
        ck_assert(quic_address_equal(quic_socket_remote(world.a), &path.remote));
        path.local = bound;
        ck_assert(put(&path, 1200, 0, 0, false));
        quic_socket_flush(world.a);
        settle();
        ck_assert_int_eq(world.failure, ECONNREFUSED);
        end();
}
END_TEST

/* Behind it the kernel says other things, of a socket that is bound no more. */
START_TEST(a_socket_that_was_ended_is_told_as_such) {
        const int errors[] = { ENETUNREACH, ECONNABORTED, EDESTADDRREQ };
        struct quic_path path;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        for (uint8_t i = 0; i < 3; ++i)
                ck_assert(put(&path, 1200, i, 0, true));
        memcpy(world.errors, errors, sizeof(errors));
        quic_socket_flush(world.a);
        ck_assert_int_eq(world.failure, ECONNABORTED);
        /* And once only. */
        ck_assert(put(&path, 1200, 3, 0, true));
        world.errors[0] = ENETUNREACH;
        quic_socket_flush(world.a);
        ck_assert_int_eq(world.failure, ENETUNREACH);
        end();
}
END_TEST

/* A router's word on the size of a probe comes as an error of the socket, where it is connected. */
START_TEST(a_packet_that_is_too_long_for_a_router_is_lost_and_no_more) {
        struct quic_path path;

        begin();
        path = start("127.0.0.1", "127.0.0.1");
        ck_assert(put(&path, 1200, 0, 0, false));
        quic_socket_flush(world.a);
        world.receive_error = EMSGSIZE;
        settle();
        ck_assert_int_eq(world.receive_error, 0);
        ck_assert_int_eq(world.failure, 0);
        ck_assert_uint_eq(world.n_got, 1);
        end();
}
END_TEST

START_TEST(a_socket_of_another_kind_is_none) {
        int pair[2];

        begin();
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        ck_assert_int_eq(quic_socket_new(&world.relay, pair[0], &ops, &world, &world.a), -EAFNOSUPPORT);
        nb_fds_close(pair, 2);
        end();
}
END_TEST

static Suite *suite(void) {
        Suite *suite = suite_create("relay_quic_socket");
        TCase *batches = tcase_create("batches");
        TCase *refusals = tcase_create("what the kernel refuses");

        tcase_add_test(batches, many_packets_are_few_messages_and_keep_their_order);
        tcase_add_test(batches, a_full_batch_goes_by_itself);
        tcase_add_test(batches, what_differs_is_not_put_together);
        tcase_add_test(batches, ecn_goes_both_ways);
        tcase_add_test(batches, an_answer_leaves_from_the_address_that_was_asked);
        tcase_add_test(batches, a_socket_of_ipv6_serves_both_families);
        tcase_add_test(refusals, without_segments_packets_go_one_by_one);
        tcase_add_test(refusals, a_socket_that_cannot_cut_still_sends);
        tcase_add_test(refusals, what_the_kernel_does_not_take_is_kept_and_nothing_more_taken);
        tcase_add_test(refusals, the_batch_that_is_kept_comes_back_to_others);
        tcase_add_test(refusals, what_is_cut_here_is_kept_where_it_stopped);
        tcase_add_test(refusals, a_message_that_is_refused_is_lost_and_no_other);
        tcase_add_test(refusals, nobody_there_is_told_to_the_owner);
        tcase_add_test(refusals, a_socket_that_was_ended_is_told_as_such);
        tcase_add_test(refusals, a_packet_that_is_too_long_for_a_router_is_lost_and_no_more);
        tcase_add_test(refusals, a_socket_of_another_kind_is_none);
        suite_add_tcase(suite, batches);
        suite_add_tcase(suite, refusals);
        return suite;
}

int main(void) {
        return run_suite(suite());
}
