/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QUIC through the real broker and the real relay: open, listen, accept and connect, what is refused, what a reload and an operator end, and a relay that is
 * killed. Both ends are hosts of guests by libnetbroker (tests/support/quic_host.h).
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/operator.h"
#include "tests/support/quic_host.h"
#include "tests/support/runner.h"

#define SECOND_ADDRESS "127.0.0.2"

/* Connects, and must fail. @return the errno, positive */
static int fail_to_connect(const struct quic_host *host, const char *address) {
        struct nb_connection *connection = NULL;
        int r = nb_connect(host->control, address, strlen(address), &connection);

        ck_assert_msg(r < 0, "connected to %s", address);
        return -r;
}

/* A byte goes to the echo and back, on a stream that stays open. @return it, owned by the caller */
static int open_stream(struct nb_connection *connection) {
        int fd = quic_host_stream(connection);
        char byte;

        ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
        return fd;
}

static void expect_reset(int fd) {
        char byte;

        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
        ck_assert_int_eq(errno, ECONNRESET);
}

/* A server in the test itself, which accepts nobody. */
static void listen_at(struct quic_host *host, const struct quic_world *world, const char *address) {
        quic_host_open_at(host, world, "other", address, NB_SOCKET_STREAM);
        ck_assert_int_eq(nb_listen(host->control, 16), 0);
}

START_TEST(streams_go_through) {
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_host host;
        struct quic_echo echo;

        quic_world_start(&world, "", "");
        quic_echo_start(&echo, &world, "other");
        quic_host_open_at(&host, &world, "acme", _i == 0 ? "0.0.0.0:0" : "127.0.0.1:0", NB_SOCKET_STREAM);
        connection = quic_host_connect(&host, echo.address);
        for (uint64_t seed = 0; seed < 3; ++seed)
                quic_host_echo(connection, 1, 100000, seed);
        (void)nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        quic_world_end(&world);
}
END_TEST

/* A server of all addresses answers from the one that was asked. */
START_TEST(a_server_of_all_addresses) {
        static const char *const binds[] = { "0.0.0.0:0", "[::]:0" };
        static const char *const rules[] = { "Listen=0.0.0.0:*\n", "Listen=0.0.0.0:*\nListen=[::]:*\n" };
        struct nb_connection *connection, *accepted;
        struct quic_world world;
        struct quic_host server, host;
        char address[NB_ADDRESS_TEXT_MAX];

        quic_world_start(&world, "", rules[_i]);
        listen_at(&server, &world, binds[_i]);
        (void)snprintf(address, sizeof(address), "127.0.0.1%s", strrchr(nb_control_address(server.control), ':'));
        quic_host_open(&host, &world, "acme");
        connection = quic_host_connect(&host, address);
        ck_assert_int_eq(nb_accept(server.control, &accepted), 0);
        ck_assert_int_eq(nb_connection_is_multiplexed(accepted), 1);
        ck_assert_str_eq(nb_connection_local(accepted), address);
        (void)nb_connection_free(accepted);
        (void)nb_connection_free(connection);
        quic_host_close(&host);
        quic_host_close(&server);
        quic_world_end(&world);
}
END_TEST

/* The certificate is for 127.0.0.1 and for a name. */
START_TEST(a_server_that_is_another) {
        struct quic_world world;
        struct quic_host server, host;

        quic_world_start(&world, "", "Listen=" SECOND_ADDRESS ":*\n");
        listen_at(&server, &world, SECOND_ADDRESS ":0");
        quic_host_open(&host, &world, "acme");
        ck_assert_int_eq(fail_to_connect(&host, nb_control_address(server.control)), EACCES);
        daemon_expect_audit(&world.daemon, "\"connect\"", "\"denied\"", "\"transport\":\"quic\"", SECOND_ADDRESS);
        quic_host_close(&host);
        quic_host_close(&server);
        quic_world_end(&world);
}
END_TEST

START_TEST(nobody_is_there) {
        struct quic_world world;
        struct quic_host server, host;
        char address[NB_ADDRESS_TEXT_MAX];

        quic_world_start(&world, "", "");
        listen_at(&server, &world, "127.0.0.1:0");
        (void)snprintf(address, sizeof(address), "%s", nb_control_address(server.control));
        quic_host_close(&server);
        quic_host_open(&host, &world, "acme");
        ck_assert_int_eq(fail_to_connect(&host, address), ECONNREFUSED);
        ck_assert_int_eq(fail_to_connect(&host, "192.0.2.1:443"), EACCES);
        quic_host_close(&host);
        quic_world_end(&world);
}
END_TEST

/* A client that a Deny rule names is not let in, and is not shown to the guest. */
START_TEST(a_client_that_is_denied) {
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_host host;
        struct quic_echo echo;

        quic_world_start(&world, "", "Listen=" SECOND_ADDRESS ":*\nConnectTimeout=1s\n");
        quic_world_write(&world, "other", "", "Deny=" SECOND_ADDRESS ":*\n");
        daemon_reload(&world.daemon);
        quic_echo_start(&echo, &world, "other");
        quic_host_open_at(&host, &world, "acme", SECOND_ADDRESS ":0", NB_SOCKET_STREAM);
        ck_assert_int_ne(fail_to_connect(&host, echo.address), EACCES);
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"denied\"", "\"address\":\"" SECOND_ADDRESS);
        quic_host_close(&host);
        quic_host_open(&host, &world, "acme");
        connection = quic_host_connect(&host, echo.address);
        quic_host_echo(connection, 1, 1000, 1);
        (void)nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        quic_world_end(&world);
}
END_TEST

/* With Existing=close what a reload no longer grants ends, on the client's side or on the server's; and what it grants goes on, by the new policy. */
START_TEST(a_reload) {
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_host host;
        struct quic_echo echo;
        int fd;

        quic_world_start(&world, "Existing=close\n", "Listen=" SECOND_ADDRESS ":*\n");
        quic_world_write(&world, "other", "Existing=close\n", "");
        daemon_reload(&world.daemon);
        quic_echo_start(&echo, &world, "other");
        quic_host_open_at(&host, &world, "acme", SECOND_ADDRESS ":0", NB_SOCKET_STREAM);
        connection = quic_host_connect(&host, echo.address);
        fd = open_stream(connection);
        /* What is granted as before goes on. */
        quic_world_write(&world, "other", "Existing=close\n", "MaxStreams=50\n");
        daemon_reload(&world.daemon);
        quic_host_echo(connection, 1, 1000, 1);
        if (_i == 0)
                quic_world_write(&world, "acme", "Existing=close\n", "Deny=127.0.0.1:*\n");
        else
                quic_world_write(&world, "other", "Existing=close\n", "Deny=" SECOND_ADDRESS ":*\n");
        daemon_reload(&world.daemon);
        expect_reset(fd);
        (void)nb_fd_close(fd);
        (void)nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        quic_world_end(&world);
}
END_TEST

/* New connections are made by the new policy, also by a listener that was there before. */
START_TEST(a_listener_outlives_a_reload) {
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_host host;
        struct quic_echo echo;

        quic_world_start(&world, "", "");
        quic_echo_start(&echo, &world, "other");
        quic_host_open(&host, &world, "acme");
        for (int i = 0; i < 3; ++i) {
                connection = quic_host_connect(&host, echo.address);
                quic_host_echo(connection, 1, 1000, (uint64_t)i);
                (void)nb_connection_free(connection);
                quic_world_write(&world, "other", "", i % 2 == 0 ? "MaxStreams=10\n" : "");
                daemon_reload(&world.daemon);
        }
        quic_host_close(&host);
        quic_echo_stop(&echo);
        quic_world_end(&world);
}
END_TEST

/*
 * A relay that is killed ends its streams, and the next serves the same port. What a server's relay had is known to nobody then, and the client's ends by being
 * idle.
 */
START_TEST(a_relay_that_is_killed) {
        struct nb_connection *connection;
        struct quic_world world;
        struct quic_host host;
        struct quic_echo echo;
        uint64_t start_ms;
        pid_t relays[4];
        int fd, r;

        quic_world_start(&world, "", "ConnectTimeout=2s\nIdleTimeout=2s\n");
        quic_echo_start(&echo, &world, "other");
        quic_host_open(&host, &world, "acme");
        connection = quic_host_connect(&host, echo.address);
        fd = open_stream(connection);
        ck_assert_uint_eq(quic_world_relays(&world, relays, 4), 2);
        /* The server's has begun first, with its Listen. */
        ck_assert_int_eq(kill(relays[1 - _i], SIGKILL), 0);
        expect_reset(fd);
        (void)nb_fd_close(fd);
        (void)nb_connection_free(connection);
        start_ms = harness_now_ms();
        do {
                r = nb_connect(host.control, echo.address, strlen(echo.address), &connection);
                if (r < 0)
                        harness_wait_a_moment(start_ms, "the relay to come back");
        } while (r < 0);
        quic_host_echo(connection, 1, 1000, 1);
        (void)nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        quic_world_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("quic_daemon");
        TCase *all = tcase_create("QUIC through the whole");

        tcase_add_loop_test(all, streams_go_through, 0, 2);
        tcase_add_loop_test(all, a_server_of_all_addresses, 0, 2);
        tcase_add_test(all, a_server_that_is_another);
        tcase_add_test(all, nobody_is_there);
        tcase_add_test(all, a_client_that_is_denied);
        tcase_add_loop_test(all, a_reload, 0, 2);
        tcase_add_test(all, a_listener_outlives_a_reload);
        tcase_add_loop_test(all, a_relay_that_is_killed, 0, 2);
        suite_add_tcase(suite, all);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
