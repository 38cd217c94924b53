/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controls listen and accept, against a broker that does one step of a script in each wait.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/frame.h"
#include "proto/wasi.h"
#include "shim/client/call.h"
#include "tests/support/runner.h"
#include "tests/unit/stepped_broker.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---- listen ---- */

START_TEST(control_listens) {
        have_control();
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
        ck_assert_str_eq(nb_control_address(control), "192.0.2.1:8080");
        /* Again, and with another backlog: nothing is asked. */
        ck_assert_int_eq(listen_it(), 0);
        ck_assert_int_eq(nb_listen(control, 10), 0);
        ck_assert(nothing_was_asked(broker.control));
        ck_assert_int_eq(connect_it(), -EINVAL);
}
END_TEST

START_TEST(listen_is_refused_and_tried_again) {
        have_control();
        refusal = NB_WASI_EADDRINUSE;
        refusal_reason = "";
        SCRIPT(refuse_on_control);
        ck_assert_int_eq(listen_it(), -EADDRINUSE);
        ck_assert_int_eq(nb_accept(control, &connection), -EINVAL);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
}
END_TEST

START_TEST(listen_adjusts_a_negative_backlog) {
        have_control();
        refusal = NB_WASI_EACCES;
        refusal_reason = "not granted";
        SCRIPT(refuse_on_control);
        ck_assert_int_eq(nb_listen(control, -1), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), "not granted");
}
END_TEST

START_TEST(listen_meets_faults) {
        have_control();
        meet_fault(_i, &broker.control, NB__REQUEST__BODY_LISTEN, listen_it, true);
}
END_TEST

static int listening_with_fd(void) {
        on_listen();
        say_listening("192.0.2.1:8080", 1);
        return 1;
}

static int listening_with_long_address(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };

        memset(text, '1', sizeof(text) - 1);
        on_listen();
        say_listening(text, 0);
        return 1;
}

static int accepted_before_listening(void) {
        on_listen();
        say_accepted(1, 1);
        return 1;
}

START_TEST(listening_is_checked) {
        static const step_function steps[] = { listening_with_fd, listening_with_long_address,
                                               accepted_before_listening };

        have_control();
        SCRIPT(steps[_i]);
        ck_assert_int_eq(listen_it(), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(connect_it(), -EPROTO);
}
END_TEST

static int resume_listen(void) {
        on_listen();
        say_resumed(broker.control);
        return 1;
}

START_TEST(listen_is_repeated_after_resumed) {
        have_control();
        SCRIPT(resume_listen, start_listening);
        ck_assert_int_eq(listen_it(), 0);
        ck_assert_uint_eq(broker.serial, broker.resumed + 1);
}
END_TEST

START_TEST(listen_goes_on_after_an_interruption) {
        have_control();
        SCRIPT(interrupt);
        ck_assert_int_eq(listen_it(), -EINTR);
        ck_assert_int_eq(connect_it(), -EINVAL);
        ck_assert_int_eq(nb_accept(control, &connection), -EINVAL);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

/* ---- accept ---- */

static int push_one(void) {
        say_accepted(1, 1);
        return 1;
}

START_TEST(accept_waits) {
        struct nb_stream stream;

        have_listener();
        SCRIPT(wake_for_nothing, push_one);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_int_eq(broker.events, POLLIN);
        ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.7:1");
        ck_assert_int_eq(nb_stream_accept(connection, 0, &stream), 0);
        ck_assert_int_eq(fcntl(stream.fd, F_GETFD), FD_CLOEXEC);
        ck_assert(stream.may_read && stream.may_write && !stream.datagrams);
        nb_fd_close(stream.fd);
        ck_assert_int_eq(nb_stream_accept(connection, 0, &stream), -ENOTSUP);
        ck_assert_int_eq(nb_stream_create(connection, 0, &stream), -ENOTSUP);
}
END_TEST

START_TEST(accept_does_not_wait) {
        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        say_accepted(1, 1);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
}
END_TEST

START_TEST(accept_wants_a_listener) {
        have_control();
        ck_assert_int_eq(nb_accept(control, &connection), -EINVAL);
}
END_TEST

/* Credit is raised by what was accepted, whenever that is a quarter of the window: never early, never late. */
START_TEST(credit_is_exact) {
        uint64_t pushed = 0, credit = 16;

        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        for (uint64_t accepted = 0; accepted < 1000; ++accepted) {
                /* The broker pushes all it may; what arrives raises nothing. */
                for (; pushed < credit; ++pushed)
                        say_accepted(pushed + 1, 1);
                ck_assert(nothing_was_asked(broker.control));

                ck_assert_int_eq(nb_accept(control, &connection), 0);
                connection = nb_connection_free(connection);
                if ((accepted + 1) % 4 != 0)
                        continue;
                credit = asked(broker.control, NB__REQUEST__BODY_CREDIT)->credit->total;
                ck_assert_uint_eq(credit, accepted + 1 + 16);
                ck_assert_uint_eq(broker.serial, 0);
        }
}
END_TEST

static uint64_t resumed_credit, resumed_received;

static int check_resumed_listen(void) {
        const Nb__Request *request = asked(broker.control, NB__REQUEST__BODY_LISTEN);

        ck_assert_uint_eq(request->listen->backlog, 9);
        ck_assert_uint_eq(request->listen->credit, resumed_credit);
        ck_assert_uint_eq(request->listen->received, resumed_received);
        say_listening("192.0.2.1:8080", 0);
        say_accepted(resumed_received + 1, 1);
        return 1;
}

START_TEST(listener_tells_a_new_broker_where_it_stands) {
        have_listener();
        for (uint64_t i = 1; i <= 6; ++i) {
                say_accepted(i, 1);
                ck_assert_int_eq(nb_accept(control, &connection), 0);
                connection = nb_connection_free(connection);
        }
        ck_assert_uint_eq(asked(broker.control, NB__REQUEST__BODY_CREDIT)->credit->total, 20);
        say_resumed(broker.control);
        resumed_credit = 20;
        resumed_received = 6;
        SCRIPT(check_resumed_listen);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.7:7");
}
END_TEST

START_TEST(listener_tells_a_new_broker_without_waiting) {
        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        say_resumed(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        resumed_credit = 16;
        resumed_received = 0;
        check_resumed_listen();
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

/* The kernel's default has no room for so many. */
static void make_room_for_resumed(void) {
        int size = 1 << 20;

        if (setsockopt(broker.control, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                ck_assert_int_eq(setsockopt(broker.control, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

/* More than a broker can have sent by being started again and again: this one keeps its client busy. */
START_TEST(resumed_has_a_bound) {
        have_listener();
        make_room_for_resumed();
        nb_control_set_flags(control, NB_NONBLOCK);
        for (int i = 0; i < NB_RESUMED_MAX; ++i)
                say_resumed(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        (void)asked(broker.control, NB__REQUEST__BODY_LISTEN);
        ck_assert(nothing_was_asked(broker.control));
        for (int i = 0; i <= NB_RESUMED_MAX; ++i)
                say_resumed(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
}
END_TEST

/* With an end between them there may be any number. */
START_TEST(listener_outlives_many_brokers) {
        have_listener();
        nb_control_set_flags(control, NB_NONBLOCK);
        resumed_credit = 16;
        resumed_received = 0;
        for (int i = 0; i < 2 * NB_RESUMED_MAX; ++i) {
                say_resumed(broker.control);
                ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
                (void)asked(broker.control, NB__REQUEST__BODY_LISTEN);
                say_listening("192.0.2.1:8080", 0);
                ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        }
}
END_TEST

START_TEST(listener_that_a_new_broker_refuses_ends) {
        have_listener();
        say_resumed(broker.control);
        refusal = NB_WASI_EACCES;
        refusal_reason = "no longer granted";
        SCRIPT(refuse_on_control);
        ck_assert_int_eq(nb_accept(control, &connection), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), "no longer granted");
        is_broken(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EACCES);
}
END_TEST

START_TEST(accept_is_interrupted) {
        have_listener();
        SCRIPT(interrupt);
        ck_assert_int_eq(nb_accept(control, &connection), -EINTR);
        SCRIPT(push_one);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
}
END_TEST

START_TEST(pushed_connections_are_had_before_the_end) {
        have_listener();
        say_accepted(1, 1);
        broker.control = nb_fd_close(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        connection = nb_connection_free(connection);
        ck_assert_int_eq(nb_accept(control, &connection), -EPIPE);
        ck_assert_int_eq(nb_accept(control, &connection), -EPIPE);
}
END_TEST

static void push_without_fd(void) {
        say_accepted(1, 0);
}

static void push_with_two_fds(void) {
        say_accepted(1, 2);
}

static void push_number_0(void) {
        say_accepted(0, 1);
}

static void push_number_2(void) {
        say_accepted(2, 1);
}

static void push_long_peer(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };
        Nb__Accepted accepted = NB__ACCEPTED__INIT;

        memset(text, '1', sizeof(text) - 1);
        accepted.number = 1;
        accepted.peer = text;
        say(broker.control, NB__REPLY__BODY_ACCEPTED, &accepted, 1);
}

static void push_connected(void) {
        say_connected("192.0.2.9:80", 1);
}

static void push_listening_with_fd(void) {
        say_listening("192.0.2.1:8080", 1);
}

static void push_listening(void) {
        say_listening("192.0.2.1:8080", 0);
}

static void push_garbage(void) {
        ck_assert_int_eq(nb_channel_send(broker.control, "garbage", 7, &broker.control, 1), 0);
}

static void (*const bad_pushes[])(void) = {
        push_without_fd, push_with_two_fds,      push_number_0, push_number_2,  push_long_peer,
        push_connected,  push_listening_with_fd, push_garbage,  push_listening,
};

START_TEST(what_is_pushed_is_checked) {
        have_listener();
        bad_pushes[_i]();
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(nb_accept(control, &connection), -EPROTO);
        ck_assert_int_eq(listen_it(), -EPROTO);
}
END_TEST

START_TEST(full_table_loses_one_connection_and_no_more) {
        struct rlimit limit, full;
        int lowest = dup(0);

        have_listener();
        ck_assert_int_ge(lowest, 0);
        for (uint64_t i = 1; i <= 4; ++i)
                say_accepted(i, 1);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        full = limit;
        /* No number below the limit is free: the next one would be the lowest that is. */
        full.rlim_cur = (rlim_t)dup(0);
        nb_fd_close((int)full.rlim_cur);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &full), 0);
        ck_assert_int_eq(nb_accept(control, &connection), -EMFILE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        for (unsigned i = 2; i <= 4; ++i) {
                ck_assert_int_eq(nb_accept(control, &connection), 0);
                connection = nb_connection_free(connection);
        }
        /* The lost one counts. */
        ck_assert_uint_eq(asked(broker.control, NB__REQUEST__BODY_CREDIT)->credit->total, 20);
        nb_fd_close(lowest);
}
END_TEST

static void add_listen_tests(TCase *tcase) {
        tcase_add_test(tcase, control_listens);
        tcase_add_test(tcase, listen_is_refused_and_tried_again);
        tcase_add_test(tcase, listen_adjusts_a_negative_backlog);
        tcase_add_loop_test(tcase, listen_meets_faults, 0, N_FAULTS);
        tcase_add_loop_test(tcase, listening_is_checked, 0, 3);
        tcase_add_test(tcase, listen_is_repeated_after_resumed);
        tcase_add_test(tcase, listen_goes_on_after_an_interruption);
        tcase_add_test(tcase, accept_waits);
        tcase_add_test(tcase, accept_does_not_wait);
        tcase_add_test(tcase, accept_wants_a_listener);
        tcase_add_test(tcase, credit_is_exact);
        tcase_add_test(tcase, listener_tells_a_new_broker_where_it_stands);
        tcase_add_test(tcase, listener_tells_a_new_broker_without_waiting);
        tcase_add_test(tcase, resumed_has_a_bound);
        tcase_add_test(tcase, listener_outlives_many_brokers);
        tcase_add_test(tcase, listener_that_a_new_broker_refuses_ends);
        tcase_add_test(tcase, accept_is_interrupted);
        tcase_add_test(tcase, pushed_connections_are_had_before_the_end);
        tcase_add_loop_test(tcase, what_is_pushed_is_checked, 0, COUNT(bad_pushes));
        tcase_add_test(tcase, full_table_loses_one_connection_and_no_more);
}

int main(void) {
        Suite *suite = suite_create("client_listen");

        suite_add_tcase(suite, stepped_case("listen", add_listen_tests));
        return run_suite(suite);
}
