/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controls connect, against a broker that does one step of a script in each wait.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/frame.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/unit/stepped_broker.h"

/* ---- connect ---- */

static int check_connect(void) {
        const Nb__Request *request = asked(broker.control, NB__REQUEST__BODY_CONNECT);

        ck_assert_str_eq(request->connect->address, "192.0.2.9:80");
        say_connected("192.0.2.9:80", 1);
        return 1;
}

START_TEST(control_connects_any_number_of_times) {
        have_control();
        for (uint64_t i = 1; i <= 3; ++i) {
                struct nb_stream stream;

                SCRIPT(check_connect);
                ck_assert_int_eq(connect_it(), 0);
                ck_assert_uint_eq(broker.serial, i);
                ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.9:80");
                ck_assert_int_eq(nb_stream_create(connection, 0, &stream), 0);
                connection = nb_connection_free(connection);
                ck_assert_int_eq(fcntl(stream.fd, F_GETFD), FD_CLOEXEC);
                nb_fd_close(stream.fd);
        }
        ck_assert_int_eq(listen_it(), -EISCONN);
}
END_TEST

START_TEST(connect_checks_its_arguments) {
        char text[NB_ADDRESS_LENGTH_MAX + 1];

        have_control();
        memset(text, '1', sizeof(text));
        ck_assert_int_eq(nb_connect(control, "", 0, &connection), -EINVAL);
        ck_assert_int_eq(nb_connect(control, text, sizeof(text), &connection), -EINVAL);
        ck_assert_int_eq(nb_connect(control, "1.2.3.4:5\0", 10, &connection), -EINVAL);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

START_TEST(connect_is_refused_with_every_errno) {
        have_control();
        refusal_reason = "because";
        for (refusal = 1; refusal <= NB_WASI_ENOTCAPABLE; ++refusal) {
                SCRIPT(refuse_on_control);
                ck_assert_int_eq(connect_it(), -nb_wasi_errno_to_host(refusal));
        }
        ck_assert_str_eq(nb_session_last_denial(session), "because");
        /* Without a connection it can still listen. */
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
}
END_TEST

START_TEST(connect_meets_faults) {
        have_control();
        meet_fault(_i, &broker.control, NB__REQUEST__BODY_CONNECT, connect_it, true);
}
END_TEST

static int connected_without_fd(void) {
        on_connect();
        say_connected("192.0.2.9:80", 0);
        return 1;
}

static int connected_with_two_fds(void) {
        on_connect();
        say_connected("192.0.2.9:80", 2);
        return 1;
}

static int connected_with_long_peer(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };

        memset(text, '1', sizeof(text) - 1);
        on_connect();
        say_connected(text, 1);
        return 1;
}

static int accepted_while_connecting(void) {
        on_connect();
        say_accepted(1, 1);
        return 1;
}

static int listening_while_connecting(void) {
        on_connect();
        say_listening("192.0.2.1:8080", 0);
        return 1;
}

START_TEST(connected_is_checked) {
        static const step_function steps[] = { connected_without_fd, connected_with_two_fds, connected_with_long_peer,
                                               accepted_while_connecting, listening_while_connecting };

        have_control();
        SCRIPT(steps[_i]);
        ck_assert_int_eq(connect_it(), -EPROTO);
        is_broken(broker.control);
        ck_assert_int_eq(connect_it(), -EPROTO);
}
END_TEST

START_TEST(connect_does_not_wait) {
        struct nb_connection *other = NULL;

        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        ck_assert_int_eq(connect_it(), -EALREADY);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &other), -EALREADY);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:8", 11, &other), -EALREADY);
        ck_assert_int_eq(listen_it(), -EISCONN);
        make_connection();
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &other), -EALREADY);
        ck_assert_int_eq(connect_it(), 0);

        /* And refused, then in progress again. */
        connection = nb_connection_free(connection);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        refusal = NB_WASI_ECONNREFUSED;
        refusal_reason = "";
        refuse_on_control();
        ck_assert_int_eq(connect_it(), -ECONNREFUSED);
        refusal = NB_WASI_EAGAIN;
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        refuse_on_control();
        ck_assert_int_eq(connect_it(), -EAGAIN);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &other), -EINPROGRESS);
}
END_TEST

START_TEST(connect_that_began_without_waiting_can_be_waited_for) {
        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        nb_control_set_flags(control, 0);
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
}
END_TEST

static int resume_connect(void) {
        on_connect();
        say_resumed(broker.control);
        return 1;
}

START_TEST(connect_is_repeated_after_resumed) {
        have_control();
        SCRIPT(resume_connect, check_connect);
        ck_assert_int_eq(connect_it(), 0);
        ck_assert_uint_eq(broker.serial, broker.resumed + 1);

        connection = nb_connection_free(connection);
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        resume_connect();
        ck_assert_int_eq(connect_it(), -EALREADY);
        check_connect();
        ck_assert_uint_eq(broker.serial, broker.resumed + 1);
        ck_assert_int_eq(connect_it(), 0);
}
END_TEST

START_TEST(connect_goes_on_after_an_interruption) {
        have_control();
        SCRIPT(interrupt);
        ck_assert_int_eq(connect_it(), -EINTR);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:81", 12, &connection), -EALREADY);
        SCRIPT(check_connect);
        ck_assert_int_eq(connect_it(), 0);
        ck_assert(nothing_was_asked(broker.control));
}
END_TEST

START_TEST(connecting_control_is_freed) {
        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        make_connection();
}
END_TEST

/* ---- a channel that takes nothing ---- */

/* Fills the client's way to the broker, as a broker does that does not read. Returns how many frames are in front. */
static size_t fill_channel(int fd) {
        size_t n = 0;

        while (nb_channel_send(fd, frame, 4096, NULL, 0) == 0)
                n++;
        ck_assert_uint_gt(n, 0);
        return n;
}

static size_t n_in_front;

static int drain_channel(void) {
        struct nb_channel_fds fds;

        ck_assert_int_eq(broker.events, POLLIN | POLLOUT);
        for (; n_in_front > 0; --n_in_front)
                ck_assert_int_eq(nb_channel_receive(broker.control, frame, &fds), 4096);
        return 1;
}

START_TEST(full_channel_is_waited_for) {
        short events;

        have_control();
        n_in_front = fill_channel(nb_control_poll_fd(control, &events));
        SCRIPT(drain_channel, check_connect);
        ck_assert_int_eq(connect_it(), 0);
        ck_assert_int_eq(broker.events, POLLIN);
}
END_TEST

START_TEST(full_channel_is_told_to_who_polls) {
        short events;

        have_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        n_in_front = fill_channel(nb_control_poll_fd(control, &events));
        ck_assert_int_eq(events, POLLIN);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        ck_assert_int_ge(nb_control_poll_fd(control, &events), 0);
        ck_assert_int_eq(events, POLLIN | POLLOUT);
        broker.events = events;
        drain_channel();
        ck_assert_int_eq(connect_it(), -EALREADY);
        ck_assert_int_ge(nb_control_poll_fd(control, &events), 0);
        ck_assert_int_eq(events, POLLIN);
        check_connect();
        ck_assert_int_eq(connect_it(), 0);
}
END_TEST

static void add_connect_tests(TCase *tcase) {
        tcase_add_test(tcase, control_connects_any_number_of_times);
        tcase_add_test(tcase, connect_checks_its_arguments);
        tcase_add_test(tcase, connect_is_refused_with_every_errno);
        tcase_add_loop_test(tcase, connect_meets_faults, 0, N_FAULTS);
        tcase_add_loop_test(tcase, connected_is_checked, 0, 5);
        tcase_add_test(tcase, connect_does_not_wait);
        tcase_add_test(tcase, connect_that_began_without_waiting_can_be_waited_for);
        tcase_add_test(tcase, connect_is_repeated_after_resumed);
        tcase_add_test(tcase, connect_goes_on_after_an_interruption);
        tcase_add_test(tcase, connecting_control_is_freed);
        tcase_add_test(tcase, full_channel_is_waited_for);
        tcase_add_test(tcase, full_channel_is_told_to_who_polls);
}

int main(void) {
        Suite *suite = suite_create("client_connect");

        suite_add_tcase(suite, stepped_case("connect", add_connect_tests));
        return run_suite(suite);
}
