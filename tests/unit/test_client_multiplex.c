/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections with many streams, as a host uses them, against a relay that the test plays: what is within the totals and beyond, what comes while something else
 * is waited for, how a connection ends, and a relay that says what it must not.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/scripted_broker.h"

static struct scripted_broker broker;
static struct nb_session *session;
static struct nb_connection *connection;
static struct nb_stream stream;
static int fds_before;

static void set_up(void) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        fds_before = count_fds();
        options.session_fd = scripted_broker_init(&broker);
        options.wait = scripted_broker_wait;
        options.wait_data = &broker;
        broker.multiplexed = true;
        broker.allowed[0] = 2;
        broker.allowed[1] = 1;
        stream.fd = -1;
        ck_assert_int_eq(nb_session_open(&options, &session), 0);
}

static void tear_down(void) {
        stream.fd = nb_fd_close(stream.fd);
        connection = nb_connection_free(connection);
        session = nb_session_free(session);
        scripted_broker_deinit(&broker);
        ck_assert_int_eq(count_fds(), fds_before);
}

static struct nb_control *open_control(enum nb_socket_type type) {
        struct nb_control *control;

        ck_assert_int_eq(nb_open(nb_session_protocol(session, 0), "any:0", 5, type, UINT64_MAX, UINT64_MAX, 0,
                                 &control),
                         0);
        return control;
}

static void connect_as(enum nb_socket_type type) {
        struct nb_control *control = open_control(type);

        ck_assert_int_eq(nb_connect(control, "peer:1", 6, &connection), 0);
        nb_control_free(control);
}

static void have_connection(void) {
        connect_as(NB_SOCKET_STREAM);
}

static void have_datagrams(void) {
        broker.message_max = 1200;
        broker.allowed[0] = 1;
        broker.allowed[1] = 0;
        connect_as(NB_SOCKET_DGRAM);
}

static int create(unsigned flags) {
        stream.fd = nb_fd_close(stream.fd);
        return nb_stream_create(connection, flags, &stream);
}

static int take(unsigned flags) {
        stream.fd = nb_fd_close(stream.fd);
        return nb_stream_accept(connection, flags, &stream);
}

/* Whether the far end of the relay's last stream is the other end of what was taken. */
static void expect_last_stream(void) {
        char byte = 0;

        ck_assert_int_eq(write(broker.peer, "x", 1), 1);
        ck_assert_int_eq(read(stream.fd, &byte, 1), 1);
        ck_assert_int_eq(byte, 'x');
        ck_assert_int_eq(fcntl(stream.fd, F_GETFD), FD_CLOEXEC);
        ck_assert(fcntl(stream.fd, F_GETFL) & O_NONBLOCK);
}

static void push(void) {
        scripted_broker_push_stream(&broker, broker.relay, false);
}

static void push_in_wait(void *data) {
        (void)data;
        push();
}

static void allow_in_wait(void *data) {
        (void)data;
        scripted_broker_allow(&broker, 3, 1);
}

static void end_in_wait(void *data) {
        (void)data;
        scripted_broker_end_connection(&broker, broker.relay, 0, "bye");
}

static void die_in_wait(void *data) {
        (void)data;
        broker.channels[broker.relay] = nb_fd_close(broker.channels[broker.relay]);
}

static short ready(void) {
        return nb_connection_ready(connection);
}

/* ---- creating ---- */

START_TEST(streams_are_created_within_the_totals) {
        have_connection();
        ck_assert(nb_connection_is_multiplexed(connection));
        ck_assert_int_eq(create(0), 0);
        ck_assert(stream.may_read && stream.may_write && !stream.datagrams);
        ck_assert_uint_eq(stream.id, 0);
        ck_assert_uint_eq(stream.message_max, 0);
        expect_last_stream();
        ck_assert_int_eq(create(0), 0);
        ck_assert_uint_eq(stream.id, 4);
        ck_assert_int_eq(create(NB_STREAM_UNIDIRECTIONAL), 0);
        ck_assert(!stream.may_read && stream.may_write);
        ck_assert(broker.unidirectional);
        ck_assert_int_eq(create(NB_STREAM_NONBLOCK), -EAGAIN);
        ck_assert_int_eq(create(NB_STREAM_NONBLOCK | NB_STREAM_UNIDIRECTIONAL), -EAGAIN);
        ck_assert_uint_eq(broker.n_created, 3);
}
END_TEST

START_TEST(creating_waits_for_the_peer) {
        have_connection();
        ck_assert_int_eq(create(0), 0);
        ck_assert_int_eq(create(0), 0);
        broker.on_wait = allow_in_wait;
        ck_assert_int_eq(create(0), 0);
        expect_last_stream();
        ck_assert_int_eq(create(0), -EINTR); /* that nothing happens any more, the test's broker says so */
        scripted_broker_allow(&broker, 4, 1);
        ck_assert_int_eq(create(0), 0);
}
END_TEST

START_TEST(a_refused_stream_does_not_count) {
        have_connection();
        broker.stream_error = NB_WASI_ENFILE;
        for (unsigned i = 0; i < 5; ++i)
                ck_assert_int_eq(create(NB_STREAM_NONBLOCK), -ENFILE);
        broker.stream_error = 0;
        ck_assert_int_eq(create(NB_STREAM_NONBLOCK), 0);
        expect_last_stream();
}
END_TEST

START_TEST(flags_are_judged) {
        have_connection();
        ck_assert_int_eq(create(4), -EINVAL);
        ck_assert_int_eq(take(NB_STREAM_UNIDIRECTIONAL), -EINVAL);
        ck_assert_int_eq(take(4), -EINVAL);
        ck_assert_uint_eq(broker.n_created, 0);
}
END_TEST

static int n_interrupts;

/* The wait in which the answer would come is interrupted. */
static int interrupting_wait(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        return n_interrupts-- > 0 ? -EINTR : scripted_broker_wait(data, fds, n_fds, timeout_ns);
}

static void have_interrupted_creation(unsigned flags) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        nb_session_free(session);
        scripted_broker_deinit(&broker);
        options.session_fd = scripted_broker_init(&broker);
        options.wait = interrupting_wait;
        options.wait_data = &broker;
        broker.multiplexed = true;
        broker.allowed[0] = 2;
        broker.allowed[1] = 1;
        ck_assert_int_eq(nb_session_open(&options, &session), 0);
        have_connection();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EAGAIN); /* the totals are read */
        n_interrupts = 1;
        ck_assert_int_eq(create(flags), -EINTR);
}

START_TEST(an_interrupted_creation_goes_on) {
        have_interrupted_creation(0);
        ck_assert_int_eq(ready() & POLLOUT, 0);
        ck_assert_int_eq(create(0), 0);
        expect_last_stream();
        ck_assert_uint_eq(broker.n_created, 1);
}
END_TEST

START_TEST(an_interrupted_creation_is_closed_by_one_of_the_other_kind) {
        have_interrupted_creation(NB_STREAM_UNIDIRECTIONAL);
        ck_assert_int_eq(create(0), 0);
        ck_assert(stream.may_read);
        expect_last_stream();
        ck_assert_uint_eq(broker.n_created, 2);
        ck_assert_int_eq(create(NB_STREAM_UNIDIRECTIONAL | NB_STREAM_NONBLOCK), -EAGAIN);
}
END_TEST

START_TEST(an_interrupted_creation_does_not_hinder_accepting) {
        have_interrupted_creation(0);
        push();
        ck_assert_int_eq(take(0), 0);
        ck_assert_uint_eq(stream.id, 1);
        expect_last_stream();
        ck_assert_int_eq(create(0), 0);
        ck_assert_uint_eq(stream.id, 0);
}
END_TEST

/* ---- accepting ---- */

START_TEST(streams_are_accepted_in_their_order) {
        have_connection();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EAGAIN);
        push();
        scripted_broker_push_stream(&broker, broker.relay, true);
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), 0);
        ck_assert_uint_eq(stream.id, 1);
        ck_assert(stream.may_read && stream.may_write);
        ck_assert_int_eq(take(0), 0);
        ck_assert_uint_eq(stream.id, 7);
        ck_assert(stream.may_read && !stream.may_write);
        expect_last_stream();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EAGAIN);
}
END_TEST

START_TEST(accepting_waits) {
        have_connection();
        broker.on_wait = push_in_wait;
        ck_assert_int_eq(take(0), 0);
        expect_last_stream();
        ck_assert_int_eq(take(0), -EINTR);
}
END_TEST

START_TEST(credit_is_raised_by_what_is_accepted) {
        have_connection();
        for (uint64_t i = 1; i <= 100; ++i) {
                push();
                ck_assert_int_eq(take(0), 0);
                expect_last_stream();
                (void)scripted_broker_wait(&broker, NULL, 0, 0);
                ck_assert_uint_eq(broker.credit[broker.relay], i < 4 ? 0 : 16 + i / 4 * 4);
        }
}
END_TEST

START_TEST(incoming_streams_are_kept_while_one_is_created) {
        have_connection();
        push();
        ck_assert_int_eq(create(0), 0);
        ck_assert_uint_eq(stream.id, 0);
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), 0);
        ck_assert_uint_eq(stream.id, 1);
}
END_TEST

START_TEST(what_is_not_accepted_is_closed_with_the_connection) {
        have_connection();
        for (unsigned i = 0; i < NB_STREAM_WINDOW; ++i)
                push();
        ck_assert_int_eq(ready(), POLLIN | POLLOUT);
        /* tear_down() counts */
}
END_TEST

START_TEST(a_stream_without_a_descriptor_is_lost) {
        int spare[NB_STREAM_WINDOW * 8];
        struct rlimit usual, low;
        size_t n = 0;

        have_connection();
        push();
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
        low = usual;
        low.rlim_cur = 80; /* the session has seen the usual one: it is the kernel that has no room */
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        while (n < sizeof(spare) / sizeof(spare[0]) && (spare[n] = dup(0)) >= 0)
                ++n;
        ck_assert_uint_gt(n, 0);
        ck_assert(ready() & POLLIN);
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EMFILE);
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EAGAIN);
        nb_fds_close(spare, n);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
        push();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), 0);
        expect_last_stream();
}
END_TEST

/* ---- polling ---- */

START_TEST(ready_says_which_call_would_not_wait) {
        short events = 0;

        have_connection();
        ck_assert_int_ge(nb_connection_poll_fd(connection, &events), 0);
        ck_assert_int_eq(events, POLLIN);
        ck_assert_int_eq(ready(), POLLOUT);
        push();
        ck_assert_int_eq(ready(), POLLIN | POLLOUT);
        ck_assert_int_eq(create(0), 0);
        ck_assert_int_eq(create(0), 0);
        ck_assert_int_eq(ready(), POLLIN);
        ck_assert_int_eq(take(0), 0);
        ck_assert_int_eq(ready(), 0);
        scripted_broker_allow(&broker, 3, 1);
        ck_assert_int_eq(ready(), POLLOUT);
}
END_TEST

START_TEST(writable_is_meant_for_what_was_told_to_come_again) {
        broker.allowed[1] = 0;
        have_connection();
        ck_assert_int_eq(create(NB_STREAM_NONBLOCK | NB_STREAM_UNIDIRECTIONAL), -EAGAIN);
        ck_assert_int_eq(ready(), 0);
        scripted_broker_allow(&broker, 3, 0);
        ck_assert_int_eq(ready(), 0);
        scripted_broker_allow(&broker, 3, 1);
        ck_assert_int_eq(ready(), POLLOUT);
        ck_assert_int_eq(create(NB_STREAM_NONBLOCK | NB_STREAM_UNIDIRECTIONAL), 0);
        ck_assert_int_eq(ready(), POLLOUT);
}
END_TEST

START_TEST(one_stream_is_always_ready) {
        short events = 1;

        broker.multiplexed = false;
        have_connection();
        ck_assert(!nb_connection_is_multiplexed(connection));
        ck_assert_int_eq(nb_connection_poll_fd(connection, &events), -1);
        ck_assert_int_eq(ready(), POLLIN | POLLOUT);
        ck_assert_int_eq(create(NB_STREAM_UNIDIRECTIONAL), 0);
        ck_assert(stream.may_read && stream.may_write);
        ck_assert_int_eq(ready(), POLLIN | POLLOUT);
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -ENOTSUP);
        ck_assert_str_eq(nb_connection_end_reason(connection), "");
}
END_TEST

/* ---- datagrams ---- */

START_TEST(datagrams_have_one_channel) {
        have_datagrams();
        ck_assert_int_eq(ready(), POLLIN | POLLOUT);
        ck_assert_int_eq(create(NB_STREAM_UNIDIRECTIONAL), -EINVAL);
        ck_assert_int_eq(create(0), 0);
        ck_assert(stream.datagrams && stream.may_read && stream.may_write);
        ck_assert_uint_eq(stream.message_max, 1200);
        ck_assert_int_eq(create(NB_STREAM_NONBLOCK), -ENOTSUP);
        ck_assert_int_eq(take(0), -ENOTSUP);
        ck_assert_int_eq(ready(), POLLIN | POLLOUT);
}
END_TEST

START_TEST(datagrams_are_accepted_as_they_are_created) {
        have_datagrams();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), 0);
        ck_assert(stream.datagrams);
        ck_assert_uint_eq(broker.n_created, 1);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_connection_that_the_peer_closed_is_not_connected) {
        have_connection();
        push();
        scripted_broker_end_connection(&broker, broker.relay, 0, "bye");
        ck_assert_int_eq(ready(), POLLIN | POLLOUT | POLLHUP);
        ck_assert_int_eq(take(0), 0); /* it came before the end */
        ck_assert_int_eq(take(0), -ENOTCONN);
        ck_assert_int_eq(create(NB_STREAM_NONBLOCK), -ENOTCONN);
        ck_assert_str_eq(nb_connection_end_reason(connection), "bye");
}
END_TEST

START_TEST(the_end_wakes_who_waits) {
        have_connection();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EAGAIN);
        broker.on_wait = end_in_wait;
        ck_assert_int_eq(take(0), -ENOTCONN);
        connection = nb_connection_free(connection);

        have_connection();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EAGAIN);
        broker.on_wait = end_in_wait; /* the request and the end cross */
        ck_assert_int_eq(create(0), -ENOTCONN);
        connection = nb_connection_free(connection);

        broker.allowed[0] = 0;
        have_connection();
        broker.on_wait = end_in_wait;
        ck_assert_int_eq(create(0), -ENOTCONN);
}
END_TEST

START_TEST(an_end_has_its_errno) {
        have_connection();
        scripted_broker_end_connection(&broker, broker.relay, NB_WASI_ETIMEDOUT, "nothing was heard for 60 s");
        ck_assert_int_eq(create(0), -ETIMEDOUT);
        ck_assert_int_eq(take(0), -ETIMEDOUT);
        ck_assert_str_eq(nb_connection_end_reason(connection), "nothing was heard for 60 s");
}
END_TEST

START_TEST(a_relay_that_is_gone_is_a_reset) {
        have_connection();
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EAGAIN);
        broker.on_wait = die_in_wait;
        ck_assert_int_eq(take(0), -ECONNRESET);
        ck_assert_int_eq(create(0), -ECONNRESET);
        ck_assert_int_eq(ready(), POLLIN | POLLOUT | POLLHUP);
        ck_assert_str_eq(nb_connection_end_reason(connection), "");
}
END_TEST

START_TEST(streams_outlive_their_connection) {
        have_connection();
        ck_assert_int_eq(create(0), 0);
        connection = nb_connection_free(connection);
        expect_last_stream();
}
END_TEST

/* ---- a relay that lies ---- */

/* Each says one frame that does not fit. @param n_fds  copies of standard input that go with it */
static void say(Nb__Reply__BodyCase body_case, void *body, size_t n_fds) {
        Nb__Reply reply = NB__REPLY__INIT;
        const int fds[2] = { 0, 0 };

        reply.body_case = body_case;
        reply.welcome = body; /* the members of the union are all pointers to messages */
        ck_assert_int_eq(nb_reply_send(broker.channels[broker.relay], &reply, fds, n_fds), 0);
}

static void incoming(uint64_t number, uint64_t id, size_t n_fds) {
        Nb__StreamIncoming body = NB__STREAM_INCOMING__INIT;

        body.number = number;
        body.id = id;
        say(NB__REPLY__BODY_STREAM_INCOMING, &body, n_fds);
}

static void wrong_number(void) {
        incoming(2, 1, 1);
}

static void no_number(void) {
        incoming(0, 1, 1);
}

static void wrong_id(void) {
        incoming(1, UINT64_C(1) << 62, 1);
}

static void no_descriptor(void) {
        incoming(1, 1, 0);
}

static void two_descriptors(void) {
        incoming(1, 1, 2);
}

static void beyond_the_credit(void) {
        for (uint64_t i = 1; i <= NB_STREAM_WINDOW + 1; ++i)
                incoming(i, 1, 1);
}

static void fewer_streams(void) {
        scripted_broker_allow(&broker, 1, 1);
}

static void totals_with_a_descriptor(void) {
        Nb__Streams body = NB__STREAMS__INIT;

        body.bidirectional = 10;
        body.unidirectional = 10;
        say(NB__REPLY__BODY_STREAMS, &body, 1);
}

static void created_unasked(void) {
        Nb__StreamCreated body = NB__STREAM_CREATED__INIT;

        say(NB__REPLY__BODY_STREAM_CREATED, &body, 1);
}

static void refused_unasked(void) {
        Nb__Refused body = NB__REFUSED__INIT;

        body.error = NB_WASI_EAGAIN;
        body.reason = (char[]){ "" };
        say(NB__REPLY__BODY_REFUSED, &body, 0);
}

static void accepted_here(void) {
        Nb__Accepted body = NB__ACCEPTED__INIT;

        body.number = 1;
        say(NB__REPLY__BODY_ACCEPTED, &body, 1);
}

static void resumed(void) {
        Nb__Resumed body = NB__RESUMED__INIT;

        say(NB__REPLY__BODY_RESUMED, &body, 0);
}

static void ended_with_a_number_that_is_none(void) {
        scripted_broker_end_connection(&broker, broker.relay, NB_WASI_ENOTCAPABLE + 1, "");
}

/* Of these an end could be taken for something that passes. */
static void ended_with_again(void) {
        scripted_broker_end_connection(&broker, broker.relay, NB_WASI_EAGAIN, "");
}

static void ended_with_a_full_table(void) {
        scripted_broker_end_connection(&broker, broker.relay, NB_WASI_EMFILE, "");
}

static void ended_with_a_long_reason(void) {
        char reason[NB_REASON_LENGTH_MAX + 2];

        memset(reason, 'x', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = '\0';
        scripted_broker_end_connection(&broker, broker.relay, 0, reason);
}

static void no_frame(void) {
        ck_assert_int_eq(nb_channel_send(broker.channels[broker.relay], "xyz", 3, NULL, 0), 0);
}

static void (*const lies[])(void) = {
        wrong_number,
        no_number,
        wrong_id,
        no_descriptor,
        two_descriptors,
        beyond_the_credit,
        fewer_streams,
        totals_with_a_descriptor,
        created_unasked,
        refused_unasked,
        accepted_here,
        resumed,
        ended_with_a_number_that_is_none,
        ended_with_again,
        ended_with_a_full_table,
        ended_with_a_long_reason,
        no_frame,
};

#define N_LIES (sizeof(lies) / sizeof(lies[0]))

START_TEST(a_lie_ends_the_connection) {
        have_connection();
        lies[_i]();
        (void)ready();
        while (take(NB_STREAM_NONBLOCK) == 0)
                ;
        ck_assert_int_eq(take(NB_STREAM_NONBLOCK), -EPROTO);
        ck_assert_int_eq(create(0), -EPROTO);
        ck_assert_int_eq(ready(), POLLIN | POLLOUT | POLLHUP);
}
END_TEST

START_TEST(answers_that_do_not_fit_end_the_connection) {
        broker.message_max = 1200; /* of a connection of streams */
        have_connection();
        ck_assert_int_eq(create(0), -EPROTO);
        connection = nb_connection_free(connection);

        have_datagrams();
        broker.message_max = 0;
        ck_assert_int_eq(create(0), -EPROTO);
        connection = nb_connection_free(connection);

        have_datagrams();
        broker.message_max = 65536;
        ck_assert_int_eq(create(0), -EPROTO);
        connection = nb_connection_free(connection);

        have_datagrams();
        push();
        ck_assert_int_eq(create(0), -EPROTO);
}
END_TEST

/* ---- listeners ---- */

START_TEST(accepted_connections_multiplex) {
        struct nb_control *control = open_control(NB_SOCKET_STREAM);

        ck_assert_int_eq(nb_listen(control, 8), 0);
        scripted_broker_push(&broker);
        push();
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        ck_assert(nb_connection_is_multiplexed(connection));
        ck_assert_int_eq(take(0), 0);
        expect_last_stream();
        nb_control_free(control);
        ck_assert_int_eq(create(0), 0);
        expect_last_stream();
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, streams_are_created_within_the_totals);
        tcase_add_test(tcase, creating_waits_for_the_peer);
        tcase_add_test(tcase, a_refused_stream_does_not_count);
        tcase_add_test(tcase, flags_are_judged);
        tcase_add_test(tcase, an_interrupted_creation_goes_on);
        tcase_add_test(tcase, an_interrupted_creation_is_closed_by_one_of_the_other_kind);
        tcase_add_test(tcase, an_interrupted_creation_does_not_hinder_accepting);
        tcase_add_test(tcase, streams_are_accepted_in_their_order);
        tcase_add_test(tcase, accepting_waits);
        tcase_add_test(tcase, credit_is_raised_by_what_is_accepted);
        tcase_add_test(tcase, incoming_streams_are_kept_while_one_is_created);
        tcase_add_test(tcase, what_is_not_accepted_is_closed_with_the_connection);
        tcase_add_test(tcase, a_stream_without_a_descriptor_is_lost);
        tcase_add_test(tcase, ready_says_which_call_would_not_wait);
        tcase_add_test(tcase, writable_is_meant_for_what_was_told_to_come_again);
        tcase_add_test(tcase, one_stream_is_always_ready);
        tcase_add_test(tcase, datagrams_have_one_channel);
        tcase_add_test(tcase, datagrams_are_accepted_as_they_are_created);
        tcase_add_test(tcase, a_connection_that_the_peer_closed_is_not_connected);
        tcase_add_test(tcase, the_end_wakes_who_waits);
        tcase_add_test(tcase, an_end_has_its_errno);
        tcase_add_test(tcase, a_relay_that_is_gone_is_a_reset);
        tcase_add_test(tcase, streams_outlive_their_connection);
        tcase_add_loop_test(tcase, a_lie_ends_the_connection, 0, N_LIES);
        tcase_add_test(tcase, answers_that_do_not_fit_end_the_connection);
        tcase_add_test(tcase, accepted_connections_multiplex);
}

int main(void) {
        Suite *suite = suite_create("client_multiplex");
        TCase *tcase = tcase_create("multiplex");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        add_tests(tcase);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
