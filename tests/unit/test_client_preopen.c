/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preopened sockets, against a broker inside the wait function (scripted_broker.h). Descriptors are counted around every test.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/scripted_broker.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MANY (NB_CHANNEL_FDS_MAX - 2) /* the broker has two protocols */

static struct scripted_broker broker;
static struct nb_session *session;
static struct nb_control *control;
static struct nb_connection *connection;
static int fds_before;

/* What the broker says: a listener, a connection, and room for more. */
static Nb__Preopen said[MANY + 1];
static Nb__Preopen *said_list[MANY + 1];

static int session_fd;

static Nb__Preopen preopen(const char *name, int kind, const char *address) {
        Nb__Preopen preopen = NB__PREOPEN__INIT;

        preopen.name = (char *)name;
        preopen.kind = (Nb__PreopenKind)kind;
        preopen.type = NB__SOCKET_TYPE__SOCKET_TYPE_STREAM;
        preopen.address = (char *)address;
        preopen.rights_base = NB_RIGHTS_CONTROL;
        preopen.rights_inheriting = NB_RIGHTS_STREAM;
        return preopen;
}

static void setup(void) {
        fds_before = count_fds();
        session = NULL;
        control = NULL;
        connection = NULL;
        session_fd = scripted_broker_init(&broker);
        for (size_t i = 0; i < COUNT(said); ++i)
                said_list[i] = &said[i];
        said[0] = preopen("http", NB_PREOPEN_LISTENER, "192.0.2.1:80");
        said[0].nonblock = true;
        said[1] = preopen("db", NB_PREOPEN_CONNECTION, "192.0.2.9:5432");
        broker.preopens = said_list;
        broker.n_preopens = 2;
}

static void teardown(void) {
        nb_connection_free(connection);
        nb_control_free(control);
        nb_session_free(session);
        scripted_broker_deinit(&broker);
        ck_assert_int_eq(count_fds(), fds_before);
}

static int open_session(void) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        options.session_fd = session_fd;
        options.wait = scripted_broker_wait;
        options.wait_data = &broker;
        return nb_session_open(&options, &session);
}

static void have_session(void) {
        ck_assert_int_eq(open_session(), 0);
        broker.n_requests = 0;
}

/* Whether the far end of the broker's last stream is the other end of the connection's. */
static void stream_is_the_connections(void) {
        struct nb_stream stream;
        char byte = 0;

        ck_assert_int_eq(nb_stream_create(connection, 0, &stream), 0);
        ck_assert_int_eq(send(broker.peer, "x", 1, MSG_NOSIGNAL), 1);
        ck_assert_int_eq(recv(stream.fd, &byte, 1, MSG_DONTWAIT), 1);
        ck_assert_int_eq(byte, 'x');
        nb_fd_close(stream.fd);
}

/* ---- what the broker says ---- */

START_TEST(preopens_are_described) {
        const struct nb_preopen *http, *db;

        said[1].type = NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM;
        have_session();
        ck_assert_uint_eq(nb_session_n_protocols(session), 2);
        ck_assert_uint_eq(nb_session_n_preopens(session), 2);
        http = nb_session_preopen(session, 0);
        ck_assert_str_eq(http->name, "http");
        ck_assert_int_eq(http->kind, NB_PREOPEN_LISTENER);
        ck_assert_int_eq(http->type, NB_SOCKET_STREAM);
        ck_assert_str_eq(http->address, "192.0.2.1:80");
        ck_assert_uint_eq(http->flags, NB_NONBLOCK);
        ck_assert_uint_eq(http->rights_base, NB_RIGHTS_CONTROL);
        ck_assert_uint_eq(http->rights_inheriting, NB_RIGHTS_STREAM);
        db = nb_session_preopen(session, 1);
        ck_assert_str_eq(db->name, "db");
        ck_assert_int_eq(db->kind, NB_PREOPEN_CONNECTION);
        ck_assert_int_eq(db->type, NB_SOCKET_DGRAM);
        ck_assert_uint_eq(db->flags, 0);
        ck_assert_ptr_null(nb_session_preopen(session, 2));
}
END_TEST

START_TEST(session_may_have_none) {
        broker.n_preopens = 0;
        have_session();
        ck_assert_uint_eq(nb_session_n_preopens(session), 0);
        ck_assert_ptr_null(nb_session_preopen(session, 0));
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), 0);
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), -EINVAL);
        ck_assert_uint_eq(broker.n_requests, 0);
}
END_TEST

START_TEST(session_may_have_as_many_as_fit) {
        char names[MANY][8];

        for (unsigned i = 0; i < MANY; ++i) {
                (void)snprintf(names[i], sizeof(names[i]), "s%u", i);
                said[i] = preopen(names[i], NB_PREOPEN_LISTENER, "/run/app/socket");
        }
        broker.n_preopens = MANY;
        have_session();
        ck_assert_uint_eq(nb_session_n_preopens(session), MANY);
        ck_assert_str_eq(nb_session_preopen(session, MANY - 1)->name, "s61");
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), 0);
        ck_assert_uint_eq(broker.n_requests, MANY);
}
END_TEST

/* ---- a broker that lies ---- */

static char longest[NB_ADDRESS_LENGTH_MAX + 2];

static void lie_name_empty(void) {
        said[1].name = longest + NB_ADDRESS_LENGTH_MAX + 1;
}

static void lie_name_long(void) {
        said[1].name = longest + NB_ADDRESS_LENGTH_MAX - NB_NAME_LENGTH_MAX;
}

static void lie_name_twice(void) {
        said[1].name = said[0].name;
}

static void lie_kind_none(void) {
        said[1].kind = NB__PREOPEN_KIND__PREOPEN_KIND_UNSPECIFIED;
}

static void lie_kind_unknown(void) {
        said[1].kind = (Nb__PreopenKind)3;
}

static void lie_type_none(void) {
        said[1].type = NB__SOCKET_TYPE__SOCKET_TYPE_UNSPECIFIED;
}

static void lie_type_unknown(void) {
        said[1].type = (Nb__SocketType)4;
}

static void lie_datagram_listener(void) {
        said[0].type = NB__SOCKET_TYPE__SOCKET_TYPE_DGRAM;
}

static void lie_address_empty(void) {
        said[1].address = longest + NB_ADDRESS_LENGTH_MAX + 1;
}

static void lie_address_long(void) {
        said[1].address = longest;
}

static void lie_fd_missing(void) {
        broker.n_fds_too_many = -1;
}

static void lie_fd_more(void) {
        broker.n_fds_too_many = 1;
}

static void lie_no_fds(void) {
        broker.n_fds_too_many = -4;
}

/* As many descriptors as preopened sockets alone, and as protocols alone. */
static void lie_fds_of_preopens(void) {
        broker.n_fds_too_many = -2;
}

static void (*const lies[])(void) = {
        lie_name_empty,   lie_name_long,         lie_name_twice,    lie_kind_none,    lie_kind_unknown, lie_type_none,
        lie_type_unknown, lie_datagram_listener, lie_address_empty, lie_address_long, lie_fd_missing,   lie_fd_more,
        lie_no_fds,       lie_fds_of_preopens,
};

START_TEST(welcome_is_checked) {
        memset(longest, 'n', sizeof(longest) - 1);
        lies[_i]();
        ck_assert_int_eq(open_session(), -EPROTO);
        ck_assert_ptr_null(session);
}
END_TEST

START_TEST(longest_texts_are_kept) {
        memset(longest, 'n', sizeof(longest) - 1);
        said[1].name = longest + NB_ADDRESS_LENGTH_MAX + 1 - NB_NAME_LENGTH_MAX;
        said[1].address = longest + 1;
        have_session();
        ck_assert_uint_eq(strlen(nb_session_preopen(session, 1)->name), NB_NAME_LENGTH_MAX);
        ck_assert_uint_eq(strlen(nb_session_preopen(session, 1)->address), NB_ADDRESS_LENGTH_MAX);
}
END_TEST

/* ---- starting ---- */

START_TEST(nothing_is_asked_before_the_start) {
        have_session();
        session = nb_session_free(session);
        ck_assert_uint_eq(broker.n_requests, 0);
}
END_TEST

START_TEST(all_are_started_once) {
        have_session();
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), 0);
        ck_assert_uint_eq(broker.n_requests, 2);
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), 0);
        ck_assert_uint_eq(broker.n_requests, 2);

        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
        ck_assert_int_eq(nb_preopen_take_connection(session, 1, &connection), 0);
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), 0);
        ck_assert_uint_eq(broker.n_requests, 2);
        stream_is_the_connections();
}
END_TEST

static const struct {
        const char *address;
        int error;
} refusals[] = { { "denied:1", -EACCES }, { "refused:1", -ECONNREFUSED } };

START_TEST(start_goes_on_after_a_failure) {
        size_t failed = 77;

        said[2] = preopen("last", NB_PREOPEN_CONNECTION, "192.0.2.9:80");
        said[1].address = (char *)refusals[_i].address;
        broker.n_preopens = 3;
        have_session();
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), refusals[_i].error);
        ck_assert_int_eq(nb_session_start_preopens(session, &failed), refusals[_i].error);
        ck_assert_uint_eq(failed, 1);
        /* The listener is asked once, the one that fails each time, and the last never. */
        ck_assert_uint_eq(broker.n_requests, 3);
        /* What comes before the failure, and what comes behind it, can be had. */
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
        ck_assert_int_eq(nb_preopen_take_connection(session, 1, &connection), refusals[_i].error);
        ck_assert_ptr_null(connection);
        ck_assert_int_eq(nb_preopen_take_connection(session, 2, &connection), 0);
        ck_assert_uint_eq(broker.n_requests, 5);
}
END_TEST

START_TEST(start_goes_on_after_an_interruption) {
        size_t failed = 77;

        said[1].address = (char[]){ "held:1" };
        have_session();
        ck_assert_int_eq(nb_session_start_preopens(session, &failed), -EINTR);
        ck_assert_uint_eq(failed, 1);
        ck_assert_uint_eq(broker.n_requests, 2);
        scripted_broker_release(&broker);
        failed = 77;
        ck_assert_int_eq(nb_session_start_preopens(session, &failed), 0);
        ck_assert_uint_eq(failed, 77);
        ck_assert_uint_eq(broker.n_requests, 2);
}
END_TEST

/* A connection that does not wait is one whose stream does not: making it takes as long as it takes. */
START_TEST(nonblocking_connection_is_waited_for) {
        said[1].nonblock = true;
        have_session();
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), 0);
        ck_assert_uint_eq(nb_session_preopen(session, 1)->flags, NB_NONBLOCK);
}
END_TEST

/* The session's channel, those of two protocols, and then the preopened sockets'. */
START_TEST(broker_may_end_one) {
        size_t failed = 77;

        have_session();
        broker.channels[4] = nb_fd_close(broker.channels[4]);
        for (int i = 0; i < 2; ++i) {
                ck_assert_int_eq(nb_session_start_preopens(session, &failed), -EPIPE);
                ck_assert_uint_eq(failed, 1);
        }
        ck_assert_int_eq(nb_preopen_take_connection(session, 1, &connection), -EPIPE);
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
}
END_TEST

START_TEST(interrupted_start_is_freed) {
        said[1].address = (char[]){ "held:1" };
        have_session();
        ck_assert_int_eq(nb_session_start_preopens(session, NULL), -EINTR);
}
END_TEST

/* ---- taking ---- */

START_TEST(taking_starts) {
        have_session();
        ck_assert_int_eq(nb_preopen_take_connection(session, 1, &connection), 0);
        ck_assert_uint_eq(broker.n_requests, 1);
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
        ck_assert_uint_eq(broker.n_requests, 2);
        stream_is_the_connections();
}
END_TEST

START_TEST(there_is_one_of_each) {
        struct nb_control *other = NULL;

        have_session();
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &other), -EBUSY);
        control = nb_control_free(control);
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &other), -EBUSY);
        ck_assert_int_eq(nb_preopen_take_connection(session, 1, &connection), 0);
        connection = nb_connection_free(connection);
        ck_assert_int_eq(nb_preopen_take_connection(session, 1, &connection), -EBUSY);
        ck_assert_ptr_null(other);
        ck_assert_ptr_null(connection);
}
END_TEST

START_TEST(kind_and_index_are_checked) {
        have_session();
        ck_assert_int_eq(nb_preopen_take_listener(session, 1, &control), -EINVAL);
        ck_assert_int_eq(nb_preopen_take_connection(session, 0, &connection), -EINVAL);
        ck_assert_int_eq(nb_preopen_take_listener(session, 2, &control), -EINVAL);
        ck_assert_int_eq(nb_preopen_take_connection(session, SIZE_MAX, &connection), -EINVAL);
        ck_assert_uint_eq(broker.n_requests, 0);
}
END_TEST

START_TEST(taken_ones_outlive_the_session) {
        have_session();
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
        ck_assert_int_eq(nb_preopen_take_connection(session, 1, &connection), 0);
        session = nb_session_free(session);
        stream_is_the_connections();
        connection = nb_connection_free(connection);
        scripted_broker_push(&broker);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        stream_is_the_connections();
}
END_TEST

START_TEST(listener_accepts_as_its_flag_says) {
        have_session();
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
        ck_assert_int_eq(nb_accept(control, &connection), -EAGAIN);
        scripted_broker_push(&broker);
        ck_assert_int_eq(nb_accept(control, &connection), 0);
        nb_control_set_flags(control, 0);
        connection = nb_connection_free(connection);
        ck_assert_int_eq(nb_accept(control, &connection), -EINTR);
        ck_assert_int_eq(nb_listen(control, 5), 0);
        ck_assert_int_eq(nb_connect(control, "192.0.2.9:80", 12, &connection), -EINVAL);
}
END_TEST

/* The listener's control, though it is idle and its address says nothing, is not what an nb_open() gets. */
START_TEST(control_is_kept_by_nobody) {
        said[0].address = (char[]){ "0.0.0.0:0" };
        have_session();
        ck_assert_int_eq(nb_preopen_take_listener(session, 0, &control), 0);
        control = nb_control_free(control);
        broker.n_requests = 0;
        ck_assert_int_eq(nb_open(nb_session_protocol(session, 0), "0.0.0.0:0", 9, NB_SOCKET_STREAM, NB_RIGHTS_CONTROL,
                                 NB_RIGHTS_STREAM, 0, &control),
                         0);
        ck_assert_uint_eq(broker.n_requests, 1);
}
END_TEST

static void add_tests(TCase *tcase) {
        tcase_add_test(tcase, preopens_are_described);
        tcase_add_test(tcase, session_may_have_none);
        tcase_add_test(tcase, session_may_have_as_many_as_fit);
        tcase_add_loop_test(tcase, welcome_is_checked, 0, (int)COUNT(lies));
        tcase_add_test(tcase, longest_texts_are_kept);
        tcase_add_test(tcase, nothing_is_asked_before_the_start);
        tcase_add_test(tcase, all_are_started_once);
        tcase_add_loop_test(tcase, start_goes_on_after_a_failure, 0, (int)COUNT(refusals));
        tcase_add_test(tcase, start_goes_on_after_an_interruption);
        tcase_add_test(tcase, nonblocking_connection_is_waited_for);
        tcase_add_test(tcase, broker_may_end_one);
        tcase_add_test(tcase, interrupted_start_is_freed);
        tcase_add_test(tcase, taking_starts);
        tcase_add_test(tcase, there_is_one_of_each);
        tcase_add_test(tcase, kind_and_index_are_checked);
        tcase_add_test(tcase, taken_ones_outlive_the_session);
        tcase_add_test(tcase, listener_accepts_as_its_flag_says);
        tcase_add_test(tcase, control_is_kept_by_nobody);
}

int main(void) {
        Suite *suite = suite_create("client_preopen");
        TCase *tcase = tcase_create("preopen");

        tcase_add_checked_fixture(tcase, setup, teardown);
        add_tests(tcase);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
