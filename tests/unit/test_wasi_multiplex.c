/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections with many streams, as a guest sees them, against a relay that the test plays: rights, waiting, polling, sock_accept, shutting down, and what lives how
 * long.
 */
#include <check.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/runner.h"
#include "tests/unit/wasi_world.h"

#define OK NB_WASI_SUCCESS
#define ONE_WAY (NB_RIGHTS_STREAM & ~NB_RIGHT_FD_READ)
#define SHUT_DOWN_READING 1
#define SHUT_DOWN_WRITING 2

static struct world world;

static void set_up(void) {
        world_init(&world, 0);
        world.broker.multiplexed = true;
        world.broker.allowed[0] = 2;
        world.broker.allowed[1] = 1;
}

static void tear_down(void) {
        world_deinit(&world);
}

static void push(bool unidirectional) {
        scripted_broker_push_stream(&world.broker, world.broker.relay, unidirectional);
}

static int create(uint32_t connection, uint64_t rights) {
        return world_call(&world, "stream_create", connection, rights, 0, 0, WORLD_RET);
}

static int take(uint32_t connection) {
        return world_call(&world, "stream_accept", connection, WORLD_RET);
}

static int take_from_control(uint32_t control) {
        return world_call(&world, "sock_accept", control, 0, WORLD_RET);
}

static uint32_t result(void) {
        return world_get_u32(&world, WORLD_RET);
}

static uint32_t created(uint32_t connection, uint64_t rights) {
        ck_assert_int_eq(create(connection, rights), OK);
        return result();
}

static uint32_t taken(uint32_t connection) {
        ck_assert_int_eq(take(connection), OK);
        return result();
}

static void set_nonblock(uint32_t fd) {
        ck_assert_int_eq(world_call(&world, "fd_fdstat_set_flags", fd, NB_NONBLOCK), OK);
}

static void close_fd(uint32_t fd) {
        ck_assert_int_eq(world_call(&world, "fd_close", fd), OK);
}

static uint64_t rights_of(uint32_t fd) {
        ck_assert_int_eq(world_call(&world, "fd_fdstat_get", fd, WORLD_BUFFER), OK);
        return world_get_u64(&world, WORLD_BUFFER + 8);
}

static uint32_t nonblocking_connection(void) {
        uint32_t connection = world_connection(&world);

        set_nonblock(connection);
        return connection;
}

/* Whether the far end of the relay's last stream is the other end of what the guest has. */
static void expect_last_stream(uint32_t stream) {
        world_peer_writes(&world, "hello");
        ck_assert_int_eq(world_read(&world, stream, 16), OK);
        world_expect_bytes(&world, "hello");
}

/* What the wait function sees of the relay's ends: whether the guest has closed its channel. */
static bool channel_is_closed(unsigned relay) {
        (void)scripted_broker_wait(&world.broker, NULL, 0, 0);
        return world.broker.channels[relay] < 0;
}

/* ---- rights ---- */

START_TEST(rights_say_which_kind) {
        uint32_t connection = world_connection(&world);
        uint32_t both = created(connection, NB_RIGHTS_STREAM);
        uint32_t one_way;

        ck_assert(!world.broker.unidirectional);
        ck_assert_uint_eq(rights_of(both), NB_RIGHTS_STREAM);
        one_way = created(connection, ONE_WAY);
        ck_assert(world.broker.unidirectional);
        ck_assert_uint_eq(rights_of(one_way), ONE_WAY);
        ck_assert_int_eq(world_read(&world, one_way, 1), NB_WASI_ENOTCAPABLE);
        ck_assert_int_eq(create(connection, NB_RIGHTS_STREAM & ~NB_RIGHT_FD_WRITE), NB_WASI_EINVAL);
        ck_assert_int_eq(create(connection, 0), NB_WASI_EINVAL);
        ck_assert_uint_eq(world.broker.n_created, 2);
}
END_TEST

START_TEST(accepted_streams_have_the_rights_of_their_directions) {
        uint32_t connection = world_connection(&world);
        uint32_t stream;

        push(false);
        push(true);
        ck_assert_uint_eq(rights_of(taken(connection)), NB_RIGHTS_STREAM);
        stream = taken(connection);
        ck_assert_uint_eq(rights_of(stream), NB_RIGHTS_STREAM & ~NB_RIGHT_FD_WRITE);
        ck_assert_int_eq(world_write(&world, stream, 1), NB_WASI_ENOTCAPABLE);
        expect_last_stream(stream);
}
END_TEST

START_TEST(only_a_direction_that_there_is_can_be_shut_down) {
        uint32_t connection = world_connection(&world);
        uint32_t ours = created(connection, ONE_WAY);
        uint32_t theirs;
        char byte;

        ck_assert_int_eq(world_call(&world, "sock_shutdown", ours, SHUT_DOWN_READING), NB_WASI_ENOTCAPABLE);
        ck_assert_int_eq(world_write(&world, ours, 1), OK);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", ours, SHUT_DOWN_READING | SHUT_DOWN_WRITING), OK);
        ck_assert_int_eq(read(world.broker.peer, &byte, 1), 1);
        ck_assert_int_eq(read(world.broker.peer, &byte, 1), 0);
        ck_assert_int_eq(write(world.broker.peer, "x", 1), 1); /* the other direction was left alone */

        push(true);
        theirs = taken(connection);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", theirs, SHUT_DOWN_WRITING), NB_WASI_ENOTCAPABLE);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", theirs, 0), NB_WASI_EINVAL);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", theirs, 4), NB_WASI_EINVAL);
        expect_last_stream(theirs);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", theirs, SHUT_DOWN_READING), OK);
        ck_assert_int_eq(send(world.broker.peer, "x", 1, MSG_NOSIGNAL), -1);
}
END_TEST

START_TEST(one_stream_has_both_directions_whatever_is_asked_for) {
        uint32_t connection;

        world.broker.multiplexed = false;
        connection = world_connection(&world);
        ck_assert_uint_eq(rights_of(created(connection, 0)), 0);
}
END_TEST

/* ---- waiting ---- */

START_TEST(nonblocking_connections_say_again) {
        uint32_t connection = nonblocking_connection();

        ck_assert_int_eq(take(connection), NB_WASI_EAGAIN);
        (void)created(connection, NB_RIGHTS_STREAM);
        (void)created(connection, NB_RIGHTS_STREAM);
        ck_assert_int_eq(create(connection, NB_RIGHTS_STREAM), NB_WASI_EAGAIN);
        (void)created(connection, ONE_WAY);
        ck_assert_int_eq(create(connection, ONE_WAY), NB_WASI_EAGAIN);
        scripted_broker_allow(&world.broker, 3, 1);
        (void)created(connection, NB_RIGHTS_STREAM);
}
END_TEST

static void push_in_wait(void *data) {
        (void)data;
        push(false);
        world_move_memory(&world);
}

static void allow_in_wait(void *data) {
        (void)data;
        scripted_broker_allow(&world.broker, 3, 1);
        world_move_memory(&world);
}

START_TEST(blocking_connections_wait) {
        uint32_t connection = world_connection(&world);

        world_on_wait(&world, push_in_wait);
        expect_last_stream(taken(connection));
        (void)created(connection, NB_RIGHTS_STREAM);
        (void)created(connection, NB_RIGHTS_STREAM);
        world_on_wait(&world, allow_in_wait);
        expect_last_stream(created(connection, NB_RIGHTS_STREAM));
        ck_assert_int_eq(take(connection), NB_WASI_EINTR);
}
END_TEST

START_TEST(flags_are_those_of_the_stream) {
        uint32_t connection = world_connection(&world);
        uint32_t stream;

        ck_assert_int_eq(world_call(&world, "stream_create", connection, NB_RIGHTS_STREAM, 0, NB_NONBLOCK, WORLD_RET),
                         OK);
        stream = result();
        ck_assert_int_eq(world_read(&world, stream, 1), NB_WASI_EAGAIN);
        ck_assert_int_eq(world_call(&world, "stream_create", connection, NB_RIGHTS_STREAM, 0, 1, WORLD_RET),
                         NB_WASI_ENOTSUP);
}
END_TEST

/* ---- polling ---- */

START_TEST(connections_are_polled_for_streams) {
        uint32_t connection = world_connection(&world);

        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 0);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, connection), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        push(false);
        push(false);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 2);
        ck_assert_uint_eq(world_event(&world, 0).flags, 0);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 1); /* by what is known already */
        (void)taken(connection);
        (void)taken(connection);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 0);
}
END_TEST

static unsigned n_polled;

/* First something comes that is not waited for, then what is. */
static void news_in_wait(void *data) {
        (void)data;
        if (n_polled++ == 0) {
                scripted_broker_allow(&world.broker, 5, 5);
                world_on_wait(&world, news_in_wait);
        } else {
                push(false);
        }
}

START_TEST(a_poll_goes_on_when_it_was_something_else) {
        uint32_t connection = world_connection(&world);

        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 0);
        n_polled = 0;
        world_on_wait(&world, news_in_wait);
        world_subscribe(&world, 0, WORLD_FD_READ, connection);
        ck_assert_uint_eq(world_poll(&world, 1), 1);
        ck_assert_uint_eq(n_polled, 2);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
}
END_TEST

START_TEST(connections_and_streams_are_polled_together) {
        uint32_t connection = world_connection(&world);
        uint32_t stream;

        (void)created(connection, NB_RIGHTS_STREAM);
        stream = created(connection, NB_RIGHTS_STREAM);
        world_peer_writes(&world, "hello");
        push(false);
        world_subscribe(&world, 0, WORLD_FD_READ, stream);
        world_subscribe(&world, 1, WORLD_FD_WRITE, connection);
        world_subscribe(&world, 2, WORLD_FD_READ, connection);
        ck_assert_uint_eq(world_poll(&world, 3), 2);
        ck_assert_uint_eq(world_event(&world, 0).userdata, 1000);
        ck_assert_uint_eq(world_event(&world, 1).userdata, 1002);
}
END_TEST

START_TEST(a_connection_that_is_over_hangs_up) {
        uint32_t connection = world_connection(&world);

        scripted_broker_end_connection(&world.broker, world.broker.relay, NB_WASI_ETIMEDOUT, "");
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 0);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, connection), 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 1);
        ck_assert_int_eq(take(connection), NB_WASI_ETIMEDOUT);
        ck_assert_int_eq(create(connection, NB_RIGHTS_STREAM), NB_WASI_ETIMEDOUT);
}
END_TEST

/* As the relay has it of a stream that the peer has stopped. What the guest has shut down itself is none. */
START_TEST(a_stream_that_the_peer_stops_hangs_up_for_writing) {
        uint32_t connection = world_connection(&world), stream = created(connection, NB_RIGHTS_STREAM);

        for (int is_stopped = 0; is_stopped < 2; ++is_stopped) {
                ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, stream), 1);
                ck_assert_uint_eq(world_event(&world, 0).flags, is_stopped);
                ck_assert_int_eq(shutdown(world.broker.peer, SHUT_RD), 0);
        }
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, stream), 0);
        expect_last_stream(stream);
        stream = created(connection, NB_RIGHTS_STREAM);
        ck_assert_int_eq(world_call(&world, "sock_shutdown", stream, SHUT_DOWN_WRITING), OK);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_WRITE, stream), 1);
        ck_assert_uint_eq(world_event(&world, 0).flags, 0);
}
END_TEST

/* ---- lives ---- */

START_TEST(closing_a_connection_closes_its_channel_and_leaves_its_streams) {
        uint32_t connection = world_connection(&world);
        uint32_t stream = created(connection, NB_RIGHTS_STREAM);

        push(false); /* who has come and was not accepted goes, too */
        close_fd(connection);
        ck_assert(channel_is_closed(world.broker.relay));
        ck_assert_int_eq(world_call(&world, "remote_address", stream, WORLD_BUFFER, 512, WORLD_RET), OK);
        world_expect_bytes(&world, "192.0.2.1:80");
        close_fd(stream);
}
END_TEST

START_TEST(a_stream_can_take_its_connections_number) {
        uint32_t connection = world_connection(&world);
        uint32_t stream = created(connection, NB_RIGHTS_STREAM);

        ck_assert_int_eq(world_call(&world, "fd_renumber", stream, connection), OK);
        ck_assert(channel_is_closed(world.broker.relay));
        expect_last_stream(connection);
}
END_TEST

START_TEST(streams_have_numbers_of_their_own) {
        uint32_t connection = nonblocking_connection();

        scripted_broker_allow(&world.broker, 1001, 1);
        ck_assert_uint_eq(created(connection, NB_RIGHTS_STREAM), WORLD_FIRST_FREE); /* the control's, which is closed */
        for (uint32_t i = 1; i <= 1000; ++i)
                ck_assert_uint_eq(created(connection, NB_RIGHTS_STREAM), connection + i);
        ck_assert_int_eq(create(connection, NB_RIGHTS_STREAM), NB_WASI_EAGAIN);
}
END_TEST

START_TEST(a_full_table_costs_no_stream) {
        uint32_t connection;
        uint32_t stream;

        world_deinit(&world);
        world_init(&world, WORLD_FIRST_FREE + 2);
        world.broker.multiplexed = true;
        world.broker.allowed[0] = 2;
        connection = world_connection(&world);
        stream = created(connection, NB_RIGHTS_STREAM);
        push(false);
        ck_assert_int_eq(take(connection), NB_WASI_EMFILE);
        ck_assert_int_eq(create(connection, NB_RIGHTS_STREAM), NB_WASI_EMFILE);
        ck_assert_uint_eq(world.broker.n_created, 1);
        close_fd(stream);
        expect_last_stream(taken(connection));
}
END_TEST

START_TEST(bad_pointers_cost_no_stream) {
        uint32_t connection = nonblocking_connection();

        push(false);
        ck_assert_int_eq(world_call(&world, "stream_accept", connection, WORLD_MEMORY_SIZE - 3), NB_WASI_EFAULT);
        ck_assert_int_eq(world_call(&world, "stream_create", connection, NB_RIGHTS_STREAM, 0, 0, UINT32_MAX),
                         NB_WASI_EFAULT);
        ck_assert_uint_eq(world.broker.n_created, 0);
        expect_last_stream(taken(connection));
}
END_TEST

/* ---- datagrams ---- */

static void make_messages(int ret[static 2]) {
        const int on = 1;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret), 0);
        ck_assert_int_eq(setsockopt(ret[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)), 0);
}

START_TEST(datagrams_have_a_longest) {
        uint32_t channel;

        world.broker.make_stream = make_messages;
        world.broker.message_max = 1200;
        world.broker.allowed[0] = 1;
        channel = world_datagrams(&world, NB_NONBLOCK);
        ck_assert_int_eq(world_write(&world, channel, 1201), NB_WASI_EMSGSIZE);
        ck_assert_int_eq(world_write(&world, channel, 1200), OK);
        ck_assert_uint_eq(result(), 1200);
        ck_assert_int_eq(world_write(&world, channel, 0), OK);
        world_peer_writes(&world, "hello");
        ck_assert_int_eq(world_receive(&world, channel, 3, 0), OK);
        world_expect_bytes(&world, "hel");
        ck_assert_uint_eq(world_received_flags(&world), 1);
}
END_TEST

START_TEST(datagrams_have_one_channel) {
        uint32_t control, connection, channel;

        world.broker.make_stream = make_messages;
        world.broker.message_max = 1200;
        world.broker.allowed[0] = 1;
        control =
                world_call_ret(&world, "open", WORLD_PROTOCOL, WORLD_TEXT, world_put_text(&world, WORLD_TEXT, "any:0"),
                               NB_SOCKET_DGRAM, UINT64_MAX, UINT64_MAX, 0, WORLD_RET);
        ck_assert_int_eq(world_connect(&world, control, "peer:1"), OK);
        connection = result();
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 1);
        channel = taken(connection);
        ck_assert_uint_eq(rights_of(channel), NB_RIGHTS_STREAM);
        ck_assert_int_eq(take(connection), NB_WASI_ENOTSUP);
        ck_assert_int_eq(create(connection, NB_RIGHTS_STREAM), NB_WASI_ENOTSUP);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, connection), 1);
}
END_TEST

/* ---- sock_accept ---- */

static uint32_t nonblocking_listener(void) {
        return world_listener(&world, NB_NONBLOCK);
}

START_TEST(sock_accept_gives_the_first_stream) {
        uint32_t control = nonblocking_listener();
        uint32_t stream;

        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        scripted_broker_push(&world.broker);
        push(false);
        ck_assert_int_eq(take_from_control(control), OK);
        stream = result();
        expect_last_stream(stream);
        ck_assert(channel_is_closed(world.broker.relay)); /* nobody could accept another */
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
}
END_TEST

START_TEST(connections_without_streams_wait_in_their_control) {
        uint32_t control = nonblocking_listener();
        unsigned first, second;

        scripted_broker_push(&world.broker);
        first = world.broker.relay;
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 1);
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 0);
        scripted_broker_push(&world.broker);
        second = world.broker.relay;
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);

        scripted_broker_push_stream(&world.broker, second, false);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 1);
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 1);
        ck_assert_uint_eq(world_event(&world, 0).nbytes, 1);
        ck_assert_int_eq(take_from_control(control), OK);
        expect_last_stream(result());
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 0);

        scripted_broker_push_stream(&world.broker, first, true);
        ck_assert_int_eq(take_from_control(control), OK);
        ck_assert_uint_eq(rights_of(result()) & NB_RIGHT_FD_WRITE, 0);
        expect_last_stream(result());
}
END_TEST

static void end_in_wait(void *data) {
        (void)data;
        scripted_broker_end_connection(&world.broker, world.broker.relay, 0, "");
}

/* The end of one that waits is no news for a guest, and the wait that follows is one: what was closed would wake it at once, for ever. */
START_TEST(what_waits_and_ends_is_not_polled_any_more) {
        uint32_t control = nonblocking_listener();

        scripted_broker_push(&world.broker);
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        world_on_wait(&world, end_in_wait);
        world_subscribe(&world, 0, WORLD_FD_READ, control);
        /* Nothing comes, which the broker of the test makes an interruption. */
        ck_assert_int_eq(world_call(&world, "poll_oneoff", WORLD_SUBSCRIPTIONS, WORLD_EVENTS, 1, WORLD_RET),
                         NB_WASI_EINTR);
        ck_assert(channel_is_closed(world.broker.relay));
}
END_TEST

static unsigned n_waits;

/* A connection without a stream, and then its stream. */
static void come_in_waits(void *data) {
        (void)data;
        if (n_waits++ == 0) {
                scripted_broker_push(&world.broker);
                world_on_wait(&world, come_in_waits);
        } else {
                push(false);
        }
}

START_TEST(sock_accept_waits_for_a_stream) {
        uint32_t control = world_listener(&world, 0);

        n_waits = 0;
        world_on_wait(&world, come_in_waits);
        ck_assert_int_eq(take_from_control(control), OK);
        expect_last_stream(result());
        ck_assert_uint_eq(n_waits, 2);
        ck_assert_int_eq(take_from_control(control), NB_WASI_EINTR);
}
END_TEST

START_TEST(the_oldest_goes_when_too_many_wait) {
        uint32_t control = nonblocking_listener();
        unsigned first = 0;

        for (unsigned i = 0; i < 17; ++i) {
                scripted_broker_push(&world.broker);
                if (i == 0)
                        first = world.broker.relay;
                ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        }
        ck_assert(channel_is_closed(first));
        ck_assert_int_ge(world.broker.channels[first + 1], 0);
        push(false);
        ck_assert_int_eq(take_from_control(control), OK);
        expect_last_stream(result());
}
END_TEST

START_TEST(what_waits_and_ends_is_forgotten) {
        uint32_t control = nonblocking_listener();
        unsigned first;

        scripted_broker_push(&world.broker);
        first = world.broker.relay;
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        scripted_broker_end_connection(&world.broker, first, 0, "");
        ck_assert_uint_eq(world_poll_one(&world, WORLD_FD_READ, control), 0);
        ck_assert(channel_is_closed(first));

        scripted_broker_push(&world.broker);
        scripted_broker_end_connection(&world.broker, world.broker.relay, 0, "");
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        ck_assert(channel_is_closed(world.broker.relay));
}
END_TEST

START_TEST(accept_takes_what_sock_accept_has_left) {
        uint32_t control = nonblocking_listener();
        uint32_t connection;

        scripted_broker_push(&world.broker);
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        connection = world_call_ret(&world, "accept", control, WORLD_RET);
        push(false);
        expect_last_stream(taken(connection));
        ck_assert_int_eq(world_call(&world, "accept", control, WORLD_RET), NB_WASI_EAGAIN);
}
END_TEST

START_TEST(closing_a_control_closes_what_waits) {
        uint32_t control = nonblocking_listener();

        scripted_broker_push(&world.broker);
        ck_assert_int_eq(take_from_control(control), NB_WASI_EAGAIN);
        close_fd(control);
        ck_assert(channel_is_closed(world.broker.relay));
}
END_TEST

/* The table moves under the control while its descriptor is looked for. */
START_TEST(sock_accept_survives_a_table_that_grows) {
        uint32_t control = nonblocking_listener();

        for (unsigned i = 0; i < 200; ++i) {
                scripted_broker_push(&world.broker);
                push(false);
                ck_assert_int_eq(take_from_control(control), OK);
                expect_last_stream(result());
        }
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, rights_say_which_kind);
        tcase_add_test(tcase, accepted_streams_have_the_rights_of_their_directions);
        tcase_add_test(tcase, only_a_direction_that_there_is_can_be_shut_down);
        tcase_add_test(tcase, one_stream_has_both_directions_whatever_is_asked_for);
        tcase_add_test(tcase, nonblocking_connections_say_again);
        tcase_add_test(tcase, blocking_connections_wait);
        tcase_add_test(tcase, flags_are_those_of_the_stream);
        tcase_add_test(tcase, connections_are_polled_for_streams);
        tcase_add_test(tcase, a_poll_goes_on_when_it_was_something_else);
        tcase_add_test(tcase, connections_and_streams_are_polled_together);
        tcase_add_test(tcase, a_connection_that_is_over_hangs_up);
        tcase_add_test(tcase, a_stream_that_the_peer_stops_hangs_up_for_writing);
        tcase_add_test(tcase, closing_a_connection_closes_its_channel_and_leaves_its_streams);
        tcase_add_test(tcase, a_stream_can_take_its_connections_number);
        tcase_add_test(tcase, streams_have_numbers_of_their_own);
        tcase_add_test(tcase, a_full_table_costs_no_stream);
        tcase_add_test(tcase, bad_pointers_cost_no_stream);
        tcase_add_test(tcase, datagrams_have_a_longest);
        tcase_add_test(tcase, datagrams_have_one_channel);
        tcase_add_test(tcase, sock_accept_gives_the_first_stream);
        tcase_add_test(tcase, connections_without_streams_wait_in_their_control);
        tcase_add_test(tcase, sock_accept_waits_for_a_stream);
        tcase_add_test(tcase, the_oldest_goes_when_too_many_wait);
        tcase_add_test(tcase, what_waits_and_ends_is_forgotten);
        tcase_add_test(tcase, what_waits_and_ends_is_not_polled_any_more);
        tcase_add_test(tcase, accept_takes_what_sock_accept_has_left);
        tcase_add_test(tcase, closing_a_control_closes_what_waits);
        tcase_add_test(tcase, sock_accept_survives_a_table_that_grows);
}

int main(void) {
        Suite *suite = suite_create("wasi_multiplex");
        TCase *tcase = tcase_create("multiplex");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        add_tests(tcase);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
