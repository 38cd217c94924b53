/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of QUIC that move, as the broker sees them by a relay that is the test; and what it tells operators of them.
 */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/fake_dns.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/quic_scene.h"
#include "tests/support/runner.h"

/* ---- asking the daemon ---- */

/* Waits until the page of metrics has a line. */
static void expect_metric(const struct quic_scene *world, const char *line) {
        uint64_t start_ms = harness_now_ms();

        for (;;) {
                NB_CLEANUP_FREE char *page = NULL;

                ck_assert_int_eq(operator_run(world->admin_socket, (const char *const[]){ "metrics", NULL }, &page), 0);
                if (strstr(page, line))
                        return;
                harness_wait_a_moment(start_ms, line);
        }
}

static json_t *ask_connection(const struct quic_scene *world) {
        NB_CLEANUP_FREE char *text = NULL;
        json_t *list, *connection;

        ck_assert_int_eq(operator_run(world->admin_socket, (const char *const[]){ "connections", "--json", NULL },
                                      &text),
                         0);
        list = json_loads(text, 0, NULL);
        ck_assert_uint_eq(json_array_size(list), 1);
        connection = json_incref(json_array_get(list, 0));
        json_decref(list);
        return connection;
}

static json_int_t fact_of(const json_t *connection, const char *key) {
        return json_integer_value(json_object_get(json_object_get(connection, "quic"), key));
}

/* ---- paths ---- */

START_TEST(a_client_that_moves) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t link;
        int relay_fd, fd;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 1);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        /* Its session may be gone. */
        if (_i == 1) {
                (void)wire_close(&server.control);
                quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        }
        quic_scene_report_new_path(&world, link, 1, "127.0.0.3:5000", false);
        ck_assert(quic_scene_path_is_taken(&world, link, 1, 0));
        quic_scene_report_new_path(&world, link, 2, QUIC_SCENE_DENIED, false);
        ck_assert(!quic_scene_path_is_taken(&world, link, 2, 0));
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"denied\"", "127.0.0.66");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        if (_i == 0)
                (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

START_TEST(a_preferred_address) {
        struct peer preferred = peer_udp("127.0.0.1");
        struct quic_scene world;
        struct wire control;
        uint64_t link;
        json_t *connection;
        struct quic_scene_client fds;
        int fd;

        quic_scene_start(&world, "MaxConnections=1\n", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = quic_scene_begin(&world, &control, "127.0.0.1:4433");
        fds = quic_scene_keep_fds(&world);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_multiplexed(&control, "127.0.0.1:4433");
        quic_scene_report_new_path(&world, link, 1, QUIC_SCENE_DENIED, true);
        ck_assert(!quic_scene_path_is_taken(&world, link, 1, 0));
        quic_scene_report_new_path(&world, link, 2, preferred.text, true);
        ck_assert(quic_scene_path_is_taken(&world, link, 2, 1));
        ck_assert_int_eq(send(world.relay->fds.fds[0], "moved", 5, MSG_NOSIGNAL), 5);
        peer_udp_expect(preferred.fd, "moved", NULL);
        connection = ask_connection(&world);
        ck_assert_str_eq(json_string_value(json_object_get(connection, "peer")), preferred.text);
        json_decref(connection);
        /* Neither socket's end is the connection's, but the report. */
        (void)nb_fd_close(fds.socket_fd);
        fds.socket_fd = -1;
        quic_scene_report_new_path(&world, link, 3, QUIC_SCENE_DENIED, true);
        ck_assert(!quic_scene_path_is_taken(&world, link, 3, 0));
        quic_scene_report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_CLOSED);
        expect_metric(&world, "netbroker_quic_connections{tenant=\"acme\"} 0\n");
        expect_metric(&world, "netbroker_quic_paths_total{tenant=\"acme\",verdict=\"allowed\"} 1\n");
        (void)nb_fd_close(fd);
        quic_scene_close_fds(&fds);
        (void)wire_close(&control);
        quic_scene_end(&world);
        peer_close(&preferred);
}
END_TEST

/* There is one socket at its port. */
START_TEST(a_bound_control_stays_where_it_is) {
        struct quic_scene world;
        struct wire control;
        struct quic_scene_client fds;
        uint64_t link;
        int fd;

        quic_scene_start(&world, "", "");
        control = wire_open_control(world.protocol, "127.0.0.1:0");
        link = quic_scene_begin(&world, &control, "127.0.0.1:4433");
        fds = quic_scene_keep_fds(&world);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_multiplexed(&control, "127.0.0.1:4433");
        quic_scene_report_new_path(&world, link, 1, "127.0.0.1:4434", true);
        ck_assert(!quic_scene_path_is_taken(&world, link, 1, 0));
        daemon_expect_audit(&world.daemon, "\"connect\"", "127.0.0.1:4434", "a bound control has one socket");
        (void)nb_fd_close(fd);
        quic_scene_close_fds(&fds);
        (void)wire_close(&control);
        quic_scene_end(&world);
}
END_TEST

/* A name's preferred address is judged as the name's: an address that is granted by itself is not enough. */
START_TEST(a_preferred_address_of_a_name) {
        static const struct fake_dns_name names[] = { { .name = "one.example.com", .ipv4 = "127.0.0.11" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[64];
        struct quic_scene world;
        struct wire control;
        uint64_t link;
        struct quic_scene_client fds;
        int fd;

        (void)snprintf(limits, sizeof(limits), "Resolvers=%s\n", fake_dns_address(dns));
        quic_scene_start(&world, limits, "Deny=*.example.com:444\n");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = quic_scene_begin(&world, &control, "one.example.com:443");
        fds = quic_scene_keep_fds(&world);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_multiplexed(&control, "127.0.0.11:443");
        quic_scene_report_new_path(&world, link, 1, "127.0.0.12:444", true);
        ck_assert(!quic_scene_path_is_taken(&world, link, 1, 0));
        quic_scene_report_new_path(&world, link, 2, "8.8.8.8:443", true);
        ck_assert(!quic_scene_path_is_taken(&world, link, 2, 0));
        quic_scene_report_new_path(&world, link, 3, "127.0.0.12:443", true);
        ck_assert(quic_scene_path_is_taken(&world, link, 3, 1));
        (void)nb_fd_close(fd);
        quic_scene_close_fds(&fds);
        (void)wire_close(&control);
        quic_scene_end(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

/* The peer may be where it was before, so a reload looks there as well; and at the port that a name's address has now. */
START_TEST(a_reload_denies_where_the_peer_was) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t link;
        int relay_fd, fd;

        quic_scene_start(&world, "Existing=close\n", "");
        quic_scene_open_server(&world, &server, 1);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        for (uint32_t path = 1; path <= 3; ++path) {
                quic_scene_report_new_path(&world, link, path, path % 2 ? "127.0.0.3:5000" : "127.0.0.4:5000", false);
                ck_assert(quic_scene_path_is_taken(&world, link, path, 0));
        }
        quic_scene_reload(&world, "Existing=close\n", "Deny=127.0.0.5:*\n");
        quic_scene_reload(&world, "Existing=close\n", _i == 0 ? "Deny=127.0.0.2:*\n" : "Deny=127.0.0.4:*\n");
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

START_TEST(a_reload_denies_the_port_that_a_name_has_moved_to) {
        static const struct fake_dns_name names[] = { { .name = "one.example.com", .ipv4 = "127.0.0.11" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[80];
        struct quic_scene world;
        struct wire control;
        uint64_t link;
        struct quic_scene_client fds;
        int fd;

        (void)snprintf(limits, sizeof(limits), "Existing=close\nResolvers=%s\n", fake_dns_address(dns));
        quic_scene_start(&world, limits, "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = quic_scene_begin(&world, &control, "one.example.com:443");
        fds = quic_scene_keep_fds(&world);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_multiplexed(&control, "127.0.0.11:443");
        quic_scene_report_new_path(&world, link, 1, "127.0.0.11:444", true);
        ck_assert(quic_scene_path_is_taken(&world, link, 1, 1));
        quic_scene_reload(&world, limits, "Deny=*.example.com:444\n");
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        (void)nb_fd_close(fd);
        quic_scene_close_fds(&fds);
        (void)wire_close(&control);
        quic_scene_end(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

/* ---- what operators are told ---- */

START_TEST(what_a_relay_tells) {
        Nb__Relay__QuicServerFacts server_facts = NB__RELAY__QUIC_SERVER_FACTS__INIT;
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT;
        NB_CLEANUP_FREE char *text = NULL;
        struct quic_scene_server server;
        struct quic_scene world;
        json_t *connection;
        int relay_fd, fd;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 1);
        facts.link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, facts.link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        facts.rtt_us = 12345;
        facts.congestion_window = 54321;
        facts.packets_lost = 3;
        facts.streams = 7;
        facts.streams_accepted = 9;
        facts.bytes_buffered = UINT64_MAX;
        quic_scene_report_facts(&world, &facts, NULL);
        server_facts.server = server.number;
        server_facts.retries = 4;
        quic_scene_report_facts(&world, NULL, &server_facts);
        expect_metric(&world, "netbroker_quic_strangers_total{tenant=\"acme\",what=\"retry\"} 4\n");
        expect_metric(&world, "netbroker_quic_packets_total{tenant=\"acme\",what=\"lost\"} 3\n");
        expect_metric(&world, "netbroker_quic_streams_total{tenant=\"acme\",opened_by=\"peer\"} 9\n");
        expect_metric(&world, "netbroker_quic_connections{tenant=\"acme\"} 1\n");
        expect_metric(&world, "netbroker_quic_handshakes_total{tenant=\"acme\",role=\"server\",result=\"done\"} 1\n");
        connection = ask_connection(&world);
        ck_assert_int_eq(fact_of(connection, "rtt_us"), 12345);
        ck_assert_int_eq(fact_of(connection, "congestion_window"), 54321);
        ck_assert_int_eq(fact_of(connection, "streams"), 7);
        ck_assert_int_eq(fact_of(connection, "bytes_buffered"), INT64_MAX);
        json_decref(connection);
        ck_assert_int_eq(operator_run(world.admin_socket, (const char *const[]){ "connections", NULL }, &text), 0);
        operator_expect(text, "RTT(US)");
        operator_expect(text, "12345");
        /* Totals that become less count for nothing. */
        facts.packets_lost = 1;
        quic_scene_report_facts(&world, &facts, NULL);
        facts.packets_lost = 2;
        facts.streams_accepted = 10;
        quic_scene_report_facts(&world, &facts, NULL);
        expect_metric(&world, "netbroker_quic_streams_total{tenant=\"acme\",opened_by=\"peer\"} 10\n");
        expect_metric(&world, "netbroker_quic_packets_total{tenant=\"acme\",what=\"lost\"} 4\n");
        quic_scene_report_ended(&world, facts.link, NB__RELAY__CAUSE__CAUSE_IDLE);
        expect_metric(&world, "netbroker_quic_connections{tenant=\"acme\"} 0\n");
        expect_metric(&world, "netbroker_relayed_links_ended_total{tenant=\"acme\",reason=\"idle\"} 1\n");
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"allowed\"", "\"transport\":\"quic\"");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* An operator's revocation, of either role, is an order. */
START_TEST(a_connection_that_is_revoked) {
        NB_CLEANUP_FREE char *text = NULL;
        struct quic_scene_server server;
        struct quic_scene world;
        char id[24];
        uint64_t link;
        json_t *connection;
        int relay_fd, fd;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 1);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        connection = ask_connection(&world);
        (void)snprintf(id, sizeof(id), "%lld",
                       (long long)json_integer_value(json_object_get(connection, "connection")));
        json_decref(connection);
        ck_assert_int_eq(operator_run(world.admin_socket, (const char *const[]){ "revoke", "connection", id, NULL },
                                      &text),
                         0);
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

static void start_helper(struct process *helper, char folder[static 40], char path[static 64]) {
        uint64_t start_ms = harness_now_ms();

        (void)snprintf(folder, 40, "/tmp/netbroker-helper-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        ck_assert_int_eq(chmod(folder, 0755), 0);
        (void)snprintf(path, 64, "%s/helper.sock", folder);
        PROCESS_START(helper, getenv("NETBROKER_HELPER"), "--socket", path);
        while (access(path, F_OK) < 0)
                harness_wait_a_moment(start_ms, "netbroker-helper");
}

static void end_helper(struct process *helper, const char *folder, const char *path) {
        (void)process_stop(helper);
        process_deinit(helper);
        (void)unlink(path);
        ck_assert_int_eq(rmdir(folder), 0);
}

/* What a client of QUIC goes on by is reached in the hands of a relay that does not do what it is ordered to. There is not a third socket. */
START_TEST(a_connection_that_has_moved_is_revoked) {
        struct peer preferred = peer_udp("127.0.0.1"), another = peer_udp("127.0.0.1");
        char folder[40], path[64];
        struct process helper;
        struct quic_scene world;
        struct wire control;
        struct quic_scene_client fds;
        uint64_t link;
        int fd, moved;

        start_helper(&helper, folder, path);
        quic_scene_start_with(&world, path, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = quic_scene_begin(&world, &control, "127.0.0.1:4433");
        fds = quic_scene_keep_fds(&world);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_multiplexed(&control, "127.0.0.1:4433");
        quic_scene_report_new_path(&world, link, 1, preferred.text, true);
        ck_assert(quic_scene_path_is_taken(&world, link, 1, 1));
        moved = dup(world.relay->fds.fds[0]);
        ck_assert_int_ge(moved, 0);
        quic_scene_report_new_path(&world, link, 2, another.text, true);
        ck_assert(!quic_scene_path_is_taken(&world, link, 2, 0));
        quic_scene_reload(&world, "", "Deny=127.0.0.1:*\n");
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_int_eq(harness_poll(moved, POLLIN, HARNESS_DEADLINE_MS) & POLLERR, POLLERR);
        ck_assert_int_eq(quic_scene_option_of(moved, SO_ERROR), ECONNABORTED);
        /* The socket's end is not the connection's. */
        (void)nb_fd_close(moved);
        json_decref(ask_connection(&world));
        quic_scene_report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_ENDED);
        expect_metric(&world, "netbroker_quic_connections{tenant=\"acme\"} 0\n");
        (void)nb_fd_close(fd);
        quic_scene_close_fds(&fds);
        (void)wire_close(&control);
        quic_scene_end(&world);
        end_helper(&helper, folder, path);
        peer_close(&preferred);
        peer_close(&another);
}
END_TEST

/* Each relay has a share of what may be under way to guests; there is always some. */
START_TEST(streams_under_way_are_bounded) {
        struct quic_scene_server server;
        struct quic_scene world;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 1);
        ck_assert_uint_gt(world.relay->in_flight_max, 0);
        ck_assert_uint_le(world.relay->in_flight_max, 1024);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("quic_broker_paths");
        TCase *paths = tcase_create("paths");
        TCase *told = tcase_create("operators");

        tcase_add_loop_test(paths, a_client_that_moves, 0, 2);
        tcase_add_test(paths, a_preferred_address);
        tcase_add_test(paths, a_bound_control_stays_where_it_is);
        tcase_add_test(paths, a_preferred_address_of_a_name);
        tcase_add_loop_test(paths, a_reload_denies_where_the_peer_was, 0, 2);
        tcase_add_test(paths, a_reload_denies_the_port_that_a_name_has_moved_to);
        suite_add_tcase(suite, paths);
        tcase_add_test(told, what_a_relay_tells);
        tcase_add_test(told, a_connection_that_is_revoked);
        tcase_add_test(told, a_connection_that_has_moved_is_revoked);
        tcase_add_test(told, streams_under_way_are_bounded);
        suite_add_tcase(suite, told);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
