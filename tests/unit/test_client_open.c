/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controls are opened, and kept for the next nb_open(), against a broker that does one step of a script in each wait.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/channel.h"
#include "netbroker/client.h"
#include "proto/frame.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/unit/stepped_broker.h"

/* ---- open ---- */

static int check_open(void) {
        const Nb__Request *request = asked(broker.protocol, NB__REQUEST__BODY_OPEN);

        ck_assert_uint_eq(request->serial, broker.resumed + 1);
        ck_assert_str_eq(request->open->address, "0.0.0.0:0");
        ck_assert_int_eq(request->open->type, NB__SOCKET_TYPE__SOCKET_TYPE_STREAM);
        ck_assert_uint_eq(request->open->rights_base, 6);
        ck_assert_uint_eq(request->open->rights_inheriting, 7);
        say_opened("192.0.2.1:0", 0);
        return 1;
}

START_TEST(control_opens) {
        uint64_t base, inheriting;
        short events;

        have_session();
        SCRIPT(check_open);
        ck_assert_int_eq(open_it(), 0);
        ck_assert_str_eq(nb_control_address(control), "192.0.2.1:0");
        nb_control_rights(control, &base, &inheriting);
        ck_assert_uint_eq(base, 5);
        ck_assert_uint_eq(inheriting, 3);
        ck_assert_int_ge(nb_control_poll_fd(control, &events), 0);
        ck_assert_int_eq(events, POLLIN);
}
END_TEST

START_TEST(open_checks_its_arguments) {
        char text[NB_ADDRESS_LENGTH_MAX + 2];
        struct nb_protocol *protocol;

        have_session();
        protocol = nb_session_protocol(session, 0);
        memset(text, '1', sizeof(text));
        ck_assert_int_eq(open_address(text, NB_ADDRESS_LENGTH_MAX + 1), -EINVAL);
        ck_assert_int_eq(open_address("evil.com\0.example.com", 21), -EINVAL);
        ck_assert_int_eq(open_address("\xff", 1), -EINVAL);
        ck_assert_int_eq(nb_open(protocol, "1", 1, (enum nb_socket_type)4, 0, 0, 0, &control), -EINVAL);
        ck_assert_int_eq(nb_open(protocol, "1", 1, NB_SOCKET_STREAM, 0, 0, 1, &control), -EINVAL);
        ck_assert(nothing_was_asked(broker.protocol));
        /* The longest is the broker's to judge. */
        SCRIPT(open_control);
        ck_assert_int_eq(open_address(text, NB_ADDRESS_LENGTH_MAX), 0);
}
END_TEST

static int refuse_open(void) {
        on_open();
        say_refused(broker.protocol, refusal, refusal_reason, 0);
        return 1;
}

START_TEST(open_is_refused_with_every_errno) {
        have_session();
        for (refusal = 1; refusal <= NB_WASI_ENOTCAPABLE; ++refusal) {
                refusal_reason = refusal == NB_WASI_EACCES ? "no rule matched" : "not kept";
                SCRIPT(refuse_open);
                ck_assert_int_eq(open_it(), -nb_wasi_errno_to_host(refusal));
                ck_assert_str_eq(nb_session_last_denial(session), refusal < NB_WASI_EACCES ? "" : "no rule matched");
        }
        refusal = NB_WASI_EACCES;
        refusal_reason = "";
        SCRIPT(refuse_open);
        ck_assert_int_eq(open_it(), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), "");
}
END_TEST

START_TEST(longest_reason_is_kept) {
        char reason[NB_REASON_LENGTH_MAX + 1] = { 0 };

        have_session();
        memset(reason, 'r', NB_REASON_LENGTH_MAX);
        refusal = NB_WASI_EACCES;
        refusal_reason = reason;
        SCRIPT(refuse_open);
        ck_assert_int_eq(open_it(), -EACCES);
        ck_assert_str_eq(nb_session_last_denial(session), reason);
}
END_TEST

START_TEST(open_meets_faults) {
        have_session();
        meet_fault(_i, &broker.protocol, NB__REQUEST__BODY_OPEN, open_it, true);
}
END_TEST

static int open_without_fd(void) {
        Nb__Opened opened = NB__OPENED__INIT;

        on_open();
        say(broker.protocol, NB__REPLY__BODY_OPENED, &opened, 0);
        return 1;
}

static int open_with_two_fds(void) {
        on_open();
        say_opened("192.0.2.1:0", 1);
        return 1;
}

static int open_with_long_address(void) {
        char text[NB_ADDRESS_LENGTH_MAX + 2] = { 0 };

        memset(text, '1', sizeof(text) - 1);
        on_open();
        say_opened(text, 0);
        return 1;
}

START_TEST(opened_is_checked) {
        static const step_function steps[] = { open_without_fd, open_with_two_fds, open_with_long_address };

        have_session();
        SCRIPT(steps[_i]);
        ck_assert_int_eq(open_it(), -EPROTO);
        is_broken(broker.protocol);
        ck_assert_int_eq(open_it(), -EPROTO);
}
END_TEST

static int resume_protocol(void) {
        on_open();
        say_resumed(broker.protocol);
        return 1;
}

/* What lay in the channel before is of no use: it is asked again, with a number behind that of Resumed. */
static int passed_over(void) {
        on_open();
        ck_assert_uint_le(broker.serial, broker.resumed);
        return 1;
}

static int open_again(void) {
        on_open();
        ck_assert_uint_eq(broker.serial, broker.resumed + 1);
        say_opened("192.0.2.1:0", 0);
        return 1;
}

START_TEST(open_is_repeated_after_resumed) {
        have_session();
        SCRIPT(resume_protocol, resume_protocol, check_open);
        ck_assert_int_eq(open_it(), 0);
        /* One that came while nothing was asked has the next request sent twice. */
        control = nb_control_free(control);
        say_resumed(broker.protocol);
        SCRIPT(passed_over, open_again);
        ck_assert_int_eq(open_it(), 0);
        ck_assert(nothing_was_asked(broker.protocol));
}
END_TEST

static int answer_behind_resumed(void) {
        resume_protocol();
        say_opened("192.0.2.1:0", 0);
        return 1;
}

/* It would be the answer to another question: that broker was asked nothing yet. */
START_TEST(what_answers_before_it_was_asked_again) {
        have_session();
        SCRIPT(answer_behind_resumed);
        ck_assert_int_eq(open_it(), -EPROTO);
        is_broken(broker.protocol);
}
END_TEST

START_TEST(open_goes_on_after_an_interruption) {
        have_session();
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(check_open);
        ck_assert_int_eq(open_it(), 0);
        ck_assert(nothing_was_asked(broker.protocol));
}
END_TEST

static int check_second_open(void) {
        const Nb__Request *request = asked(broker.protocol, NB__REQUEST__BODY_OPEN);

        ck_assert_uint_eq(request->serial, 2);
        ck_assert_str_eq(request->open->address, "[::]:0");
        say_opened("[::]:0", 0);
        return 1;
}

START_TEST(open_of_something_else_closes_what_was_interrupted) {
        have_session();
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(interrupt);
        ck_assert_int_eq(open_address("[::]:0", 6), -EINTR);
        SCRIPT(open_control, check_second_open);
        ck_assert_int_eq(open_address("[::]:0", 6), 0);
        ck_assert_str_eq(nb_control_address(control), "[::]:0");

        /* Also when the first is refused. */
        control = nb_control_free(control);
        refusal = NB_WASI_EACCES;
        refusal_reason = "first";
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
        SCRIPT(refuse_open, open_control);
        ck_assert_int_eq(open_address("[::]:0", 6), 0);
}
END_TEST

START_TEST(interrupted_open_is_freed) {
        have_session();
        SCRIPT(interrupt);
        ck_assert_int_eq(open_it(), -EINTR);
}
END_TEST

START_TEST(objects_outlive_what_they_were_made_from) {
        struct nb_protocol *protocol;

        have_session();
        protocol = nb_protocol_ref(nb_session_protocol(session, 0));
        session = nb_session_free(session);
        SCRIPT(open_control);
        ck_assert_int_eq(nb_open(protocol, "0.0.0.0:0", 9, NB_SOCKET_STREAM, 0, 0, 0, &control), 0);
        ck_assert_ptr_null(nb_protocol_unref(protocol));
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
        control = nb_control_free(control);
        ck_assert_str_eq(nb_connection_peer(connection), "192.0.2.9:80");
}
END_TEST

START_TEST(destructors_take_null) {
        ck_assert_ptr_null(nb_session_free(NULL));
        ck_assert_ptr_null(nb_protocol_unref(NULL));
        ck_assert_ptr_null(nb_control_free(NULL));
        ck_assert_ptr_null(nb_connection_free(NULL));
}
END_TEST

/* ---- a control that is kept for the next open ---- */

/* As the broker does: what means nothing to a control or its streams is dropped. */
static int open_unbound(void) {
        const Nb__Request *request = asked(broker.protocol, NB__REQUEST__BODY_OPEN);
        uint64_t base = request->open->rights_base & NB_RIGHTS_CONTROL;
        uint64_t inheriting = request->open->rights_inheriting & (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM);

        say_opened_with("[::]:0", base, inheriting, 0);
        return 1;
}

static int open_with(const char *address, uint64_t base, uint64_t inheriting, uint32_t flags) {
        return nb_open(nb_session_protocol(session, 0), address, strlen(address), NB_SOCKET_STREAM, base, inheriting,
                       flags, &control);
}

static void have_unbound_control(void) {
        have_session();
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
}

START_TEST(idle_control_is_kept_for_the_next_open) {
        have_unbound_control();
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
        control = nb_control_free(control);

        SCRIPT(NULL);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, NB_NONBLOCK), 0);
        ck_assert(nothing_was_asked(broker.protocol));
        ck_assert_str_eq(nb_control_address(control), "[::]:0");
        /* Nothing of its earlier life shows: the flags are the new ones, and it may listen. */
        connection = nb_connection_free(connection);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        (void)asked(broker.control, NB__REQUEST__BODY_CONNECT);
}
END_TEST

START_TEST(kept_control_may_listen) {
        have_unbound_control();
        SCRIPT(make_connection);
        ck_assert_int_eq(connect_it(), 0);
        control = nb_control_free(control);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
}
END_TEST

/* What is asked for, and whether the kept control serves it. */
START_TEST(kept_control_is_for_the_same_parameters) {
        have_unbound_control();
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("0.0.0.0:0", UINT64_MAX, UINT64_MAX, 0), 0);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", NB_RIGHT_SOCK_CONNECT, UINT64_MAX, 0), 0);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, NB_RIGHT_FD_READ, 0), 0);
}
END_TEST

START_TEST(busy_control_is_not_kept) {
        have_unbound_control();
        nb_control_set_flags(control, NB_NONBLOCK);
        ck_assert_int_eq(connect_it(), -EINPROGRESS);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
        SCRIPT(start_listening);
        ck_assert_int_eq(listen_it(), 0);
        control = nb_control_free(control);
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
}
END_TEST

/* The descriptors are counted at the end: none may be left when the protocol goes first. */
START_TEST(kept_control_goes_with_its_protocol) {
        struct nb_control *other = NULL;

        have_unbound_control();
        other = control;
        control = NULL;
        SCRIPT(open_unbound);
        ck_assert_int_eq(open_with("[::]:0", UINT64_MAX, UINT64_MAX, 0), 0);
        control = nb_control_free(control);
        session = nb_session_free(session);
        ck_assert_int_eq(nb_channel_receive(broker.control, frame, &(struct nb_channel_fds){ 0 }), 0);
        (void)nb_control_free(other);
}
END_TEST

static void add_open_tests(TCase *tcase) {
        tcase_add_test(tcase, control_opens);
        tcase_add_test(tcase, open_checks_its_arguments);
        tcase_add_test(tcase, open_is_refused_with_every_errno);
        tcase_add_test(tcase, longest_reason_is_kept);
        tcase_add_loop_test(tcase, open_meets_faults, 0, N_FAULTS);
        tcase_add_loop_test(tcase, opened_is_checked, 0, 3);
        tcase_add_test(tcase, open_is_repeated_after_resumed);
        tcase_add_test(tcase, what_answers_before_it_was_asked_again);
        tcase_add_test(tcase, open_goes_on_after_an_interruption);
        tcase_add_test(tcase, open_of_something_else_closes_what_was_interrupted);
        tcase_add_test(tcase, interrupted_open_is_freed);
        tcase_add_test(tcase, objects_outlive_what_they_were_made_from);
        tcase_add_test(tcase, destructors_take_null);
}

static void add_spare_tests(TCase *tcase) {
        tcase_add_test(tcase, idle_control_is_kept_for_the_next_open);
        tcase_add_test(tcase, kept_control_may_listen);
        tcase_add_test(tcase, kept_control_is_for_the_same_parameters);
        tcase_add_test(tcase, busy_control_is_not_kept);
        tcase_add_test(tcase, kept_control_goes_with_its_protocol);
}

int main(void) {
        Suite *suite = suite_create("client_open");

        suite_add_tcase(suite, stepped_case("open", add_open_tests));
        suite_add_tcase(suite, stepped_case("spare", add_spare_tests));
        return run_suite(suite);
}
