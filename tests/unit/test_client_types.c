/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams and Unix sockets in the client, against a broker inside the wait function (scripted_broker.h): what is asked for, what is
 * told, and which control is kept for whom. Descriptors are counted around every test.
 */
#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/wasi.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"
#include "tests/unit/scripted_broker.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct scripted_broker broker;
static struct nb_session *session;
static struct nb_control *control;
static struct nb_control *other;
static struct nb_connection *connection;
static char too_long[NB_ADDRESS_LENGTH_MAX + 2];
static int fds_before;

static void setup(void) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        fds_before = count_fds();
        memset(too_long, 'a', sizeof(too_long) - 1);
        control = other = NULL;
        connection = NULL;
        options.session_fd = scripted_broker_init(&broker);
        options.wait = scripted_broker_wait;
        options.wait_data = &broker;
        ck_assert_int_eq(nb_session_open(&options, &session), 0);
        broker.n_requests = 0;
}

static void teardown(void) {
        nb_connection_free(connection);
        nb_control_free(control);
        nb_control_free(other);
        nb_session_free(session);
        scripted_broker_deinit(&broker);
        ck_assert_int_eq(count_fds(), fds_before);
}

static int open_as(const char *address, enum nb_socket_type type, struct nb_control **ret) {
        return nb_open(nb_session_protocol(session, 0), address, address ? strlen(address) : 0, type, NB_RIGHTS_CONTROL,
                       NB_RIGHTS_STREAM, 0, ret);
}

static int connect_to(const char *address) {
        return nb_connect(control, address, strlen(address), &connection);
}

/* ---- types ---- */

START_TEST(type_is_asked_for) {
        ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_DGRAM, &control), 0);
        ck_assert_int_eq(broker.opened_type, NB_SOCKET_DGRAM);
        ck_assert_int_eq(connect_to("192.0.2.9:53"), 0);
        connection = nb_connection_free(connection);
        /* As any client's control, it connects again. */
        ck_assert_int_eq(connect_to("192.0.2.10:53"), 0);
        ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_STREAM, &other), 0);
        ck_assert_int_eq(broker.opened_type, NB_SOCKET_STREAM);
}
END_TEST

static const char *const open_addresses[] = { "0.0.0.0:0", "[::]:0", "" };

/* The address alone does not tell them apart: a program would send its stream as datagrams. */
START_TEST(kept_control_is_of_the_same_type) {
        ck_assert_int_eq(open_as(open_addresses[_i], NB_SOCKET_DGRAM, &control), 0);
        control = nb_control_free(control);
        ck_assert_int_eq(open_as(open_addresses[_i], NB_SOCKET_STREAM, &control), 0);
        ck_assert_uint_eq(broker.n_requests, 2);
        ck_assert_int_eq(broker.opened_type, NB_SOCKET_STREAM);
        ck_assert_int_eq(open_as(open_addresses[_i], NB_SOCKET_DGRAM, &other), 0);
        ck_assert_uint_eq(broker.n_requests, 2);
}
END_TEST

START_TEST(one_of_each_type_is_kept) {
        ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_DGRAM, &control), 0);
        ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_STREAM, &other), 0);
        for (int i = 0; i < 3; ++i) {
                control = nb_control_free(control);
                other = nb_control_free(other);
                ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_STREAM, &other), 0);
                ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_DGRAM, &control), 0);
        }
        ck_assert_uint_eq(broker.n_requests, 2);
}
END_TEST

/* What is kept goes with the protocol, of both types. */
START_TEST(kept_controls_are_freed) {
        ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_DGRAM, &control), 0);
        ck_assert_int_eq(open_as("0.0.0.0:0", NB_SOCKET_STREAM, &other), 0);
        control = nb_control_free(control);
        other = nb_control_free(other);
}
END_TEST

/* ---- Unix sockets ---- */

START_TEST(address_may_be_empty) {
        ck_assert_int_eq(open_as(_i == 0 ? "" : NULL, NB_SOCKET_STREAM, &control), 0);
        ck_assert_str_eq(broker.opened_address, "");
        ck_assert_str_eq(nb_control_address(control), "");
        control = nb_control_free(control);
        ck_assert_int_eq(open_as("", NB_SOCKET_STREAM, &control), 0);
        ck_assert_uint_eq(broker.n_requests, 1);
        ck_assert_int_eq(connect_to(""), -EINVAL);
        ck_assert_int_eq(connect_to("@app"), 0);
}
END_TEST

START_TEST(names_are_the_brokers_to_judge) {
        static const char *const names[] = { "/run/app/s", "@app", "/../x", "relative", "@" };

        ck_assert_int_eq(open_as(names[_i], NB_SOCKET_STREAM, &control), 0);
        ck_assert_str_eq(broker.opened_address, names[_i]);
        /* It is bound, and so nobody else's. */
        control = nb_control_free(control);
        ck_assert_int_eq(open_as(names[_i], NB_SOCKET_STREAM, &control), 0);
        ck_assert_uint_eq(broker.n_requests, 2);
}
END_TEST

static void accept_or_connect(int how, int expected) {
        if (how == 0) {
                ck_assert_int_eq(connect_to("/run/app/s"), expected);
                return;
        }
        ck_assert_int_eq(nb_listen(control, 1), 0);
        scripted_broker_push(&broker);
        ck_assert_int_eq(nb_accept(control, &connection), expected);
}

START_TEST(addresses_are_told) {
        ck_assert_int_eq(open_as("/run/app/mine", NB_SOCKET_STREAM, &control), 0);
        broker.peer_text = "/run/app/s";
        broker.local_text = "/run/app/mine";
        accept_or_connect(_i, 0);
        ck_assert_str_eq(nb_connection_peer(connection), "/run/app/s");
        ck_assert_str_eq(nb_connection_local(connection), "/run/app/mine");
}
END_TEST

START_TEST(addresses_may_be_empty) {
        ck_assert_int_eq(open_as("", NB_SOCKET_STREAM, &control), 0);
        broker.peer_text = "";
        accept_or_connect(_i, 0);
        ck_assert_str_eq(nb_connection_peer(connection), "");
        ck_assert_str_eq(nb_connection_local(connection), "");
}
END_TEST

START_TEST(addresses_have_a_bound) {
        ck_assert_int_eq(open_as("/run/app/mine", NB_SOCKET_STREAM, &control), 0);
        broker.peer_text = broker.local_text = too_long + 1;
        accept_or_connect(_i, 0);
        ck_assert_uint_eq(strlen(nb_connection_local(connection)), NB_ADDRESS_LENGTH_MAX);
}
END_TEST

static void check_lie(int how) {
        ck_assert_int_eq(open_as("/run/app/mine", NB_SOCKET_STREAM, &control), 0);
        accept_or_connect(how, -EPROTO);
        ck_assert_ptr_null(connection);
        ck_assert_int_eq(connect_to("/run/app/s"), -EPROTO);
}

START_TEST(too_long_a_peer_is_refused) {
        broker.peer_text = too_long;
        check_lie(_i);
}
END_TEST

START_TEST(too_long_a_local_address_is_refused) {
        broker.local_text = too_long;
        check_lie(_i);
}
END_TEST

/* ---- what is told of TLS ---- */

static char security_text[NB_SECURITY_TEXT_MAX + 2];
static char *security_names[NB_SECURITY_NAMES_MAX + 1];

/* As much as may be told, or `more` of one thing than may be. */
enum excess {
        EXCESS_NONE,
        EXCESS_VERSION,
        EXCESS_NO_VERSION,
        EXCESS_CIPHER,
        EXCESS_ALPN,
        EXCESS_NAME,
        EXCESS_NAMES,
        N_EXCESSES,
};

static Nb__Security describe(enum excess excess) {
        Nb__Security security = NB__SECURITY__INIT;
        char *at_most = security_text + 1;

        memset(security_text, 'x', sizeof(security_text) - 1);
        for (size_t i = 0; i < NB_SECURITY_NAMES_MAX + 1; ++i)
                security_names[i] = at_most;
        security.version = excess == EXCESS_VERSION ? security_text : at_most;
        if (excess == EXCESS_NO_VERSION)
                security.version = security_text + sizeof(security_text) - 1;
        security.cipher = excess == EXCESS_CIPHER ? security_text : at_most;
        security.alpn = excess == EXCESS_ALPN ? security_text : at_most;
        security.peer_names = security_names;
        security.n_peer_names = NB_SECURITY_NAMES_MAX + (excess == EXCESS_NAMES);
        if (excess == EXCESS_NAME)
                security_names[NB_SECURITY_NAMES_MAX - 1] = security_text;
        return security;
}

START_TEST(security_is_told) {
        Nb__Security told = describe(EXCESS_NONE);
        const struct nb_security *security;

        told.resumed = true;
        broker.security = &told;
        ck_assert_int_eq(open_as("/run/app/mine", NB_SOCKET_STREAM, &control), 0);
        accept_or_connect(_i, 0);
        security = nb_connection_security(connection);
        ck_assert_ptr_nonnull(security);
        ck_assert_str_eq(security->version, told.version);
        ck_assert_str_eq(security->cipher, told.cipher);
        ck_assert_str_eq(security->alpn, told.alpn);
        ck_assert_int_eq(security->resumed, 1);
        ck_assert_uint_eq(security->n_peer_names, NB_SECURITY_NAMES_MAX);
        ck_assert_str_eq(security->peer_names[NB_SECURITY_NAMES_MAX - 1], told.version);
}
END_TEST

START_TEST(without_tls_there_is_no_security) {
        ck_assert_int_eq(open_as("/run/app/mine", NB_SOCKET_STREAM, &control), 0);
        accept_or_connect(_i, 0);
        ck_assert_ptr_null(nb_connection_security(connection));
}
END_TEST

START_TEST(security_has_bounds) {
        Nb__Security told = describe((enum excess)(_i / 2));

        broker.security = &told;
        check_lie(_i % 2);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client_types");
        TCase *tcase = tcase_create("types");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, type_is_asked_for);
        tcase_add_loop_test(tcase, kept_control_is_of_the_same_type, 0, (int)COUNT(open_addresses));
        tcase_add_test(tcase, one_of_each_type_is_kept);
        tcase_add_test(tcase, kept_controls_are_freed);
        tcase_add_loop_test(tcase, address_may_be_empty, 0, 2);
        tcase_add_loop_test(tcase, names_are_the_brokers_to_judge, 0, 5);
        tcase_add_loop_test(tcase, addresses_are_told, 0, 2);
        tcase_add_loop_test(tcase, addresses_may_be_empty, 0, 2);
        tcase_add_loop_test(tcase, addresses_have_a_bound, 0, 2);
        tcase_add_loop_test(tcase, too_long_a_peer_is_refused, 0, 2);
        tcase_add_loop_test(tcase, too_long_a_local_address_is_refused, 0, 2);
        tcase_add_loop_test(tcase, security_is_told, 0, 2);
        tcase_add_loop_test(tcase, without_tls_there_is_no_security, 0, 2);
        tcase_add_loop_test(tcase, security_has_bounds, 2 * EXCESS_VERSION, 2 * N_EXCESSES);
        suite_add_tcase(suite, tcase);
        return run_suite(suite);
}
