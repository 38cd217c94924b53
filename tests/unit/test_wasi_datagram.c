/* SPDX-License-Identifier: Apache-2.0 */
/* Streams of datagrams, over real UDP sockets of both families: a message is sent and received as one, or not at all. */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/socket_pairs.h"
#include "tests/unit/wasi_world.h"

#define IOVEC WORLD_IOVEC
#define BUFFER WORLD_BUFFER
#define OK NB_WASI_SUCCESS
#define RIFLAGS_PEEK 1
#define RIFLAGS_WAITALL 2
#define TRUNCATED 1

/* The most that a datagram holds over IPv4. */
#define LONGEST 65507u

/* As many as there are families: loop tests run once for each. */
#define N_FAMILIES 2

static void init(struct world *world, int family) {
        const struct world_options options = { .make_stream = family ? udp6_pair : udp_pair };

        world_init_with(world, &options);
}

static void peer_sends(struct world *world, const char *text) {
        ck_assert_int_eq(send(world->broker.peer, text, strlen(text), 0), (ssize_t)strlen(text));
        loopback_settle();
}

/* @return the length of the next datagram that the peer has, or -1 */
static ssize_t peer_receives(struct world *world, char *buffer, size_t size) {
        loopback_settle();
        return recv(world->broker.peer, buffer, size, MSG_TRUNC);
}

START_TEST(messages_keep_their_borders) {
        struct world world;
        uint32_t stream;

        init(&world, _i);
        stream = world_datagrams(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", stream, WORLD_RET), OK);
        ck_assert_uint_eq(world.memory[WORLD_RET], NB_SOCKET_DGRAM);
        ck_assert_int_eq(world_read(&world, stream, 10), NB_WASI_EAGAIN);
        peer_sends(&world, "one");
        peer_sends(&world, "two");
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_expect_bytes(&world, "one");
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        world_expect_bytes(&world, "two");
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), NB_WASI_EAGAIN);
        world_deinit(&world);
}
END_TEST

static void peer_sends_late(void *data) {
        peer_sends(data, "late");
}

START_TEST(a_blocking_read_waits_for_one_message) {
        struct world world;
        uint32_t stream;

        init(&world, _i);
        stream = world_datagrams(&world, 0);
        world_on_wait(&world, peer_sends_late);
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_WAITALL), OK);
        world_expect_bytes(&world, "late");
        ck_assert_int_eq(world_read(&world, stream, 10), NB_WASI_EINTR);
        world_deinit(&world);
}
END_TEST

/* What does not fit is gone, which sock_recv says and fd_read, like read(2), does not. */
START_TEST(a_short_buffer_truncates) {
        struct world world;
        uint32_t stream;

        init(&world, _i);
        stream = world_datagrams(&world, NB_NONBLOCK);
        for (int i = 0; i < 3; ++i)
                peer_sends(&world, "message");
        ck_assert_int_eq(world_receive(&world, stream, 4, RIFLAGS_PEEK), OK);
        world_expect_bytes(&world, "mess");
        ck_assert_uint_eq(world_received_flags(&world), TRUNCATED);
        ck_assert_int_eq(world_receive(&world, stream, 7, RIFLAGS_PEEK), OK);
        world_expect_bytes(&world, "message");
        ck_assert_uint_eq(world_received_flags(&world), 0);
        ck_assert_int_eq(world_receive(&world, stream, 4, 0), OK);
        world_expect_bytes(&world, "mess");
        ck_assert_uint_eq(world_received_flags(&world), TRUNCATED);
        ck_assert_int_eq(world_read(&world, stream, 4), OK);
        world_expect_bytes(&world, "mess");
        ck_assert_int_eq(world_receive(&world, stream, 7, 0), OK);
        world_expect_bytes(&world, "message");
        ck_assert_uint_eq(world_received_flags(&world), 0);
        ck_assert_int_eq(world_read(&world, stream, 7), NB_WASI_EAGAIN);
        world_deinit(&world);
}
END_TEST

START_TEST(a_message_scatters) {
        struct world world;
        uint32_t stream;

        init(&world, _i);
        stream = world_datagrams(&world, NB_NONBLOCK);
        peer_sends(&world, "message");
        world_put_iovec(&world, IOVEC, BUFFER, 2);
        world_put_iovec(&world, IOVEC + 8, 0, 0);
        world_put_iovec(&world, IOVEC + 16, BUFFER + 100, 3);
        ck_assert_int_eq(world_call(&world, "sock_recv", stream, IOVEC, 3, 0, WORLD_RET, WORLD_RET + 8), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 5);
        ck_assert_uint_eq(world_received_flags(&world), TRUNCATED);
        ck_assert_mem_eq(world.memory + BUFFER, "me", 3);
        ck_assert_mem_eq(world.memory + BUFFER + 100, "ssa", 4);
        world_deinit(&world);
}
END_TEST

START_TEST(parts_are_one_message) {
        struct world world;
        uint32_t stream;
        char bytes[16];

        init(&world, _i);
        stream = world_datagrams(&world, 0);
        world_put_text(&world, BUFFER, "message");
        world_put_iovec(&world, IOVEC, BUFFER, 2);
        world_put_iovec(&world, IOVEC + 8, 0, 0);
        world_put_iovec(&world, IOVEC + 16, BUFFER + 2, 5);
        ck_assert_uint_eq(world_call_ret(&world, "fd_write", stream, IOVEC, 3, WORLD_RET), 7);
        ck_assert_uint_eq(world_call_ret(&world, "sock_send", stream, IOVEC, 1, 0, WORLD_RET), 2);
        ck_assert_int_eq(peer_receives(&world, bytes, sizeof(bytes)), 7);
        ck_assert_mem_eq(bytes, "message", 7);
        ck_assert_int_eq(peer_receives(&world, bytes, sizeof(bytes)), 2);
        ck_assert_int_eq(peer_receives(&world, bytes, sizeof(bytes)), -1);
        world_deinit(&world);
}
END_TEST

START_TEST(an_empty_message_is_one) {
        struct world world;
        uint32_t stream;
        char bytes[16];

        init(&world, _i);
        stream = world_datagrams(&world, NB_NONBLOCK);
        ck_assert_uint_eq(world_call_ret(&world, "fd_write", stream, IOVEC, 0, WORLD_RET), 0);
        ck_assert_uint_eq(world_call_ret(&world, "sock_send", stream, IOVEC, 0, 0, WORLD_RET), 0);
        ck_assert_int_eq(world_write(&world, stream, 0), OK);
        for (int i = 0; i < 3; ++i)
                ck_assert_int_eq(peer_receives(&world, bytes, sizeof(bytes)), 0);
        ck_assert_int_eq(peer_receives(&world, bytes, sizeof(bytes)), -1);

        for (int i = 0; i < 3; ++i)
                peer_sends(&world, "");
        peer_sends(&world, "x");
        peer_sends(&world, "y");
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 0);
        ck_assert_uint_eq(world_event(&world, 0).flags, 0);
        ck_assert_int_eq(world_read(&world, stream, 0), OK); /* takes none */
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_expect_bytes(&world, "");
        ck_assert_int_eq(world_receive(&world, stream, 10, 0), OK);
        world_expect_bytes(&world, "");
        ck_assert_uint_eq(world_received_flags(&world), 0);
        ck_assert_int_eq(world_receive(&world, stream, 0, 0), OK); /* takes one, as recv(2) */
        ck_assert_uint_eq(world_received_flags(&world), 0);
        ck_assert_int_eq(world_receive(&world, stream, 0, 0), OK);
        ck_assert_uint_eq(world_received_flags(&world), TRUNCATED);
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_expect_bytes(&world, "y");
        world_deinit(&world);
}
END_TEST

/* At, and one above, what a datagram can hold, in one part and in two; and above what can be gathered. */
START_TEST(a_message_is_sent_whole_or_not_at_all) {
        struct world world;
        uint32_t stream;

        init(&world, 0);
        stream = world_datagrams(&world, 0);
        world_put_iovec(&world, IOVEC, 0, LONGEST);
        ck_assert_uint_eq(world_call_ret(&world, "fd_write", stream, IOVEC, 1, WORLD_RET), LONGEST);
        world_put_iovec(&world, IOVEC, 0, LONGEST + 1);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, IOVEC, 1, WORLD_RET), NB_WASI_EMSGSIZE);
        world_put_iovec(&world, IOVEC, 0, LONGEST - 1);
        world_put_iovec(&world, IOVEC + 8, 0, 1);
        ck_assert_uint_eq(world_call_ret(&world, "fd_write", stream, IOVEC, 2, WORLD_RET), LONGEST);
        world_put_iovec(&world, IOVEC + 8, 0, 2);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, IOVEC, 2, WORLD_RET), NB_WASI_EMSGSIZE);
        world_put_iovec(&world, IOVEC + 8, 0, 30);
        ck_assert_int_eq(world_call(&world, "fd_write", stream, IOVEC, 2, WORLD_RET), NB_WASI_EMSGSIZE);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, IOVEC, 2, 0, WORLD_RET), NB_WASI_EMSGSIZE);
        world_put_iovec(&world, IOVEC, 0, 0);
        world_put_iovec(&world, IOVEC + 8, 0, WORLD_MEMORY_SIZE);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, IOVEC, 2, 0, WORLD_RET), NB_WASI_EMSGSIZE);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(peer_receives(&world, NULL, 0), LONGEST);
        ck_assert_int_eq(peer_receives(&world, NULL, 0), -1);
        world_deinit(&world);
}
END_TEST

/* The answer to it is there when this returns. */
static void send_in_vain(struct world *world, uint32_t stream) {
        ck_assert_int_eq(world_write(world, stream, 1), OK);
        loopback_settle();
}

/* The answer to a message that nobody wanted is told once, by whatever comes next. */
START_TEST(a_refused_message_is_told_by_the_next_call) {
        struct world world;
        uint32_t stream;

        init(&world, _i);
        stream = world_datagrams(&world, NB_NONBLOCK);
        world.broker.peer = nb_fd_close(world.broker.peer);
        send_in_vain(&world, stream);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).error, 0);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 0);
        ck_assert_int_eq(world_read(&world, stream, 10), NB_WASI_ECONNREFUSED);
        ck_assert_int_eq(world_read(&world, stream, 10), NB_WASI_EAGAIN);
        send_in_vain(&world, stream);
        ck_assert_int_eq(world_write(&world, stream, 1), NB_WASI_ECONNREFUSED);
        send_in_vain(&world, stream);
        ck_assert_int_eq(world_call(&world, "get_option", stream, 1, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), NB_WASI_ECONNREFUSED);
        ck_assert_int_eq(world_call(&world, "get_option", stream, 1, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), 0);
        world_deinit(&world);
}
END_TEST

START_TEST(shutting_down_works_on_each_direction) {
        struct world world;
        uint32_t stream;

        init(&world, _i);
        stream = world_datagrams(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 2), OK);
        ck_assert_int_eq(world_write(&world, stream, 1), NB_WASI_EPIPE);
        peer_sends(&world, "still");
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_expect_bytes(&world, "still");
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, 1), OK);
        for (int i = 0; i < 2; ++i) { /* whether it waits or not */
                ck_assert_int_eq(world_read(&world, stream, 10), OK);
                world_expect_bytes(&world, "");
                ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", stream, 0), OK);
        }
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 1);
        world_deinit(&world);
}
END_TEST

START_TEST(polling_tells_of_the_next_message) {
        struct world world;
        uint32_t stream;

        init(&world, _i);
        stream = world_datagrams(&world, NB_NONBLOCK);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 0);
        peer_sends(&world, "four");
        peer_sends(&world, "seven..");
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 4);
        ck_assert_int_eq(world_read(&world, stream, 1), OK);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 7);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, stream), 1);
        ck_assert_uint_gt(world_event(&world, 0).nbytes, 1);
        world_deinit(&world);
}
END_TEST

/* A relay's: both ends as the broker makes them. */
static void relay_pair(int ret[static 2]) {
        const int on = 1;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret), 0);
        for (int i = 0; i < 2; ++i)
                ck_assert_int_eq(setsockopt(ret[i], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)), 0);
}

static void init_relayed(struct world *world) {
        const struct world_options options = { .make_stream = relay_pair };

        world_init_with(world, &options);
}

START_TEST(a_relays_messages_keep_their_borders) {
        struct world world;
        uint32_t stream;
        char buffer[16];

        init_relayed(&world);
        stream = world_datagrams(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_read(&world, stream, 10), NB_WASI_EAGAIN);
        peer_sends(&world, "message");
        peer_sends(&world, "");
        peer_sends(&world, "next");
        ck_assert_int_eq(world_receive(&world, stream, 4, RIFLAGS_PEEK), OK);
        world_expect_bytes(&world, "mess");
        ck_assert_uint_eq(world_received_flags(&world), TRUNCATED);
        ck_assert_int_eq(world_receive(&world, stream, 4, 0), OK);
        ck_assert_uint_eq(world_received_flags(&world), TRUNCATED);
        ck_assert_int_eq(world_receive(&world, stream, 10, RIFLAGS_PEEK), OK);
        world_expect_bytes(&world, "");
        ck_assert_int_eq(world_receive(&world, stream, 10, 0), OK);
        world_expect_bytes(&world, "");
        ck_assert_uint_eq(world_received_flags(&world), 0);
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_expect_bytes(&world, "next");
        ck_assert_int_eq(world_write(&world, stream, 6), OK);
        ck_assert_int_eq(peer_receives(&world, buffer, sizeof(buffer)), 6);
        world_deinit(&world);
}
END_TEST

START_TEST(polling_tells_of_a_relays_next_message) {
        struct world world;
        uint32_t stream;

        init_relayed(&world);
        stream = world_datagrams(&world, NB_NONBLOCK);
        peer_sends(&world, "four");
        peer_sends(&world, "");
        peer_sends(&world, "seven..");
        for (int i = 0; i < 3; ++i) {
                ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
                ck_assert_uint_eq(world_event(&world, 0).nbytes, i == 0 ? 4 : i == 1 ? 0 : 7);
                ck_assert_int_eq(world_receive(&world, stream, 10, 0), OK);
        }
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 0);
        world_deinit(&world);
}
END_TEST

/* What came before is read, also where it is nothing; then it is an error, for a read of nothing would look like more such datagrams. */
/* With something unread, so that it is a reset. */
static void relay_ends(void *data) {
        struct world *world = data;

        world->broker.peer = nb_fd_close(world->broker.peer);
}

/* It comes between what poll(2) has told and the look at how long the message is. */
START_TEST(a_poll_keeps_a_reset_for_the_next_call) {
        struct world world;
        uint32_t stream;

        init_relayed(&world);
        stream = world_datagrams(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_write(&world, stream, 1), OK);
        peer_sends(&world, "last");
        world.broker.on_waited = relay_ends;
        world.broker.on_wait_data = &world;
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
        ck_assert_int_eq(world_receive(&world, stream, 10, 0), NB_WASI_ECONNRESET);
        ck_assert_int_eq(world_receive(&world, stream, 10, 0), OK);
        world_expect_bytes(&world, "last");
        ck_assert_int_eq(world_receive(&world, stream, 10, 0), NB_WASI_ECONNRESET);
        world_deinit(&world);
}
END_TEST

START_TEST(the_end_of_a_relays_stream_is_no_empty_datagram) {
        struct world world;
        uint32_t stream;

        init_relayed(&world);
        stream = world_datagrams(&world, 0);
        peer_sends(&world, "last");
        peer_sends(&world, "");
        world.broker.peer = nb_fd_close(world.broker.peer);
        ck_assert_int_eq(world_read(&world, stream, 10), OK);
        world_expect_bytes(&world, "last");
        ck_assert_int_eq(world_receive(&world, stream, 10, 0), OK);
        world_expect_bytes(&world, "");
        for (int i = 0; i < 2; ++i) {
                ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 1);
                ck_assert_int_eq(world_receive(&world, stream, 10, 0), NB_WASI_ECONNRESET);
                ck_assert_int_eq(world_read(&world, stream, 10), NB_WASI_ECONNRESET);
        }
        ck_assert_int_eq(world_write(&world, stream, 1), NB_WASI_EPIPE);
        world_deinit(&world);
}
END_TEST

START_TEST(what_no_datagram_holds_is_not_sent_to_a_relay) {
        struct world world;
        uint32_t stream;

        init_relayed(&world);
        stream = world_datagrams(&world, 0);
        world_put_iovec(&world, IOVEC, 0, 65528);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, IOVEC, 1, 0, WORLD_RET), NB_WASI_EMSGSIZE);
        world_put_iovec(&world, IOVEC, 0, LONGEST);
        ck_assert_int_eq(world_call(&world, "sock_send", stream, IOVEC, 1, 0, WORLD_RET), OK);
        ck_assert_uint_eq(world_get_u32(&world, WORLD_RET), LONGEST);
        world_deinit(&world);
}
END_TEST

/* What the broker says of a control of datagrams comes through; before it listens nobody is accepted. */
START_TEST(a_control_of_datagrams_connects) {
        struct world world;
        uint32_t connection;
        uint32_t control;
        uint32_t length;

        init(&world, 0);
        length = world_put_text(&world, WORLD_TEXT, "any:0");
        control = world_call_ret(&world, "open", WORLD_PROTOCOL, WORLD_TEXT, length, NB_SOCKET_DGRAM, UINT64_MAX,
                                 UINT64_MAX, 0, WORLD_RET);
        ck_assert_int_eq(world_call(&world, "accept", control, WORLD_RET), NB_WASI_EINVAL);
        ck_assert_int_eq(world_connect(&world, control, "peer:1"), OK);
        connection = world_get_u32(&world, WORLD_RET);
        for (uint32_t fd = control; fd <= connection; ++fd) {
                ck_assert_int_eq(world_call(&world, "fd_filestat_get", fd, WORLD_RET), OK);
                ck_assert_uint_eq(world.memory[WORLD_RET + 16], NB_SOCKET_DGRAM);
        }
        ck_assert_int_eq(world_call(&world, "stream_accept", connection, WORLD_RET), OK);
        ck_assert_int_eq(world_call(&world, "stream_create", connection, 0, 0, 0, WORLD_RET), NB_WASI_ENOTSUP);
        world_deinit(&world);
}
END_TEST

/* ---- */

static TCase *datagram_tests(void) {
        TCase *tests = tcase_create("datagram");

        tcase_add_loop_test(tests, messages_keep_their_borders, 0, N_FAMILIES);
        tcase_add_loop_test(tests, a_blocking_read_waits_for_one_message, 0, N_FAMILIES);
        tcase_add_loop_test(tests, a_short_buffer_truncates, 0, N_FAMILIES);
        tcase_add_loop_test(tests, a_message_scatters, 0, N_FAMILIES);
        tcase_add_loop_test(tests, parts_are_one_message, 0, N_FAMILIES);
        tcase_add_loop_test(tests, an_empty_message_is_one, 0, N_FAMILIES);
        tcase_add_test(tests, a_message_is_sent_whole_or_not_at_all);
        tcase_add_loop_test(tests, a_refused_message_is_told_by_the_next_call, 0, N_FAMILIES);
        tcase_add_loop_test(tests, shutting_down_works_on_each_direction, 0, N_FAMILIES);
        tcase_add_loop_test(tests, polling_tells_of_the_next_message, 0, N_FAMILIES);
        tcase_add_test(tests, a_relays_messages_keep_their_borders);
        tcase_add_test(tests, polling_tells_of_a_relays_next_message);
        tcase_add_test(tests, a_poll_keeps_a_reset_for_the_next_call);
        tcase_add_test(tests, the_end_of_a_relays_stream_is_no_empty_datagram);
        tcase_add_test(tests, what_no_datagram_holds_is_not_sent_to_a_relay);
        tcase_add_test(tests, a_control_of_datagrams_connects);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("wasi_datagram");

        suite_add_tcase(suite, datagram_tests());
        return run_suite(suite);
}
