/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker makes of QUIC, with a relay that is the test: servers, clients, names. What becomes of connections is in test_quic_broker_paths.c,
 * a relay that lies in test_quic_broker_lies.c.
 */
#include <check.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/support/fake_dns.h"
#include "tests/support/peer.h"
#include "tests/support/quic_scene.h"
#include "tests/support/runner.h"

START_TEST(a_server) {
        const Nb__Relay__Serve *serve;
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t link;
        int relay_fd, fd;

        quic_scene_start(&world, "",
                         "MaxStreams=7\nStreamWindow=64K\nConnectionWindow=512K\nIdleTimeout=20s\nKeepAlive=5s\n"
                         "Retry=always\nHandshakeTimeout=3s\n");
        quic_scene_open_server(&world, &server, 16);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        quic_scene_expect_connected(fd, relay_fd);
        quic_scene_expect_connected(relay_fd, fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        /* The server ends with its control, its connection does not. */
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, server.number);
        quic_scene_report_ended(&world, server.number, NB__RELAY__CAUSE__CAUSE_ENDED);
        quic_scene_report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_CLOSED);

        server.control = quic_scene_send_listen(&world, 1);
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_SERVE);
        serve = world.relay->order->serve;
        ck_assert_int_eq(quic_scene_option_of(world.relay->fds.fds[0], SO_TYPE), SOCK_DGRAM);
        ck_assert_uint_ne(serve->tls_context, 0);
        ck_assert_uint_eq(serve->handshake_timeout_ms, 3000);
        ck_assert_uint_eq(serve->quic->streams_max, 7);
        ck_assert_uint_eq(serve->quic->stream_window, 64 * 1024);
        ck_assert_uint_eq(serve->quic->connection_window, 512 * 1024);
        ck_assert_uint_eq(serve->quic->idle_timeout_ms, 20000);
        ck_assert_uint_eq(serve->quic->keep_alive_ms, 5000);
        ck_assert(serve->quic->always_retry);
        ck_assert(!serve->quic->datagrams);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

START_TEST(a_client_that_is_denied) {
        struct quic_scene_server server;
        struct quic_scene world;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 16);
        quic_scene_report_new_peer(&world, server.number, ++server.peers, QUIC_SCENE_DENIED);
        quic_scene_expect_take(&world, &server);
        ck_assert(!world.relay->order->take_peer->allowed);
        ck_assert_uint_eq(world.relay->fds.n, 0);
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"denied\"", "127.0.0.66");
        wire_expect_silence(&server.control);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* A handshake that fails is never shown to the guest, and takes none of its credit. */
START_TEST(a_handshake_that_fails) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t bad, good;
        int bad_fd, good_fd, fd;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 1);
        bad = quic_scene_take_client(&world, &server, "127.0.0.3:1", &bad_fd);
        good = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &good_fd);
        quic_scene_report_ended(&world, bad, NB__RELAY__CAUSE__CAUSE_TLS_ALPN);
        daemon_expect_audit(&world.daemon, "\"accept\"", "tls_alpn", "127.0.0.3");
        quic_scene_report_ready(&world, good);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        quic_scene_expect_connected(good_fd, fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(good_fd);
        quic_scene_expect_end_of_channel(bad_fd);
        (void)nb_fd_close(bad_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* Who is ready waits for the guest's credit. */
START_TEST(credit_is_the_guests) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t links[2];
        int relay_fds[2], fd;

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 1);
        for (int i = 0; i < 2; ++i)
                links[i] = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fds[i]);
        for (int i = 0; i < 2; ++i)
                quic_scene_report_ready(&world, links[i]);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        quic_scene_expect_connected(relay_fds[0], fd);
        (void)nb_fd_close(fd);
        wire_settle(world.protocol);
        wire_expect_silence(&server.control);
        wire_send_credit(&server.control, 2);
        fd = quic_scene_expect_accepted(&server, 2, QUIC_SCENE_CLIENT);
        quic_scene_expect_connected(relay_fds[1], fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fds[0]);
        (void)nb_fd_close(relay_fds[1]);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* A connection is in the account until its relay has reported its end, whatever the guest closes; then there is room for another. */
START_TEST(a_place_is_given_back_by_the_report) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t link;
        int relay_fd, fd;

        quic_scene_start(&world, "MaxConnections=1\n", "");
        quic_scene_open_server(&world, &server, 16);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        (void)nb_fd_close(fd);
        wire_settle(world.protocol);
        quic_scene_report_new_peer(&world, server.number, ++server.peers, "127.0.0.3:1");
        quic_scene_expect_take(&world, &server);
        ck_assert(!world.relay->order->take_peer->allowed);
        quic_scene_report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        (void)nb_fd_close(relay_fd);
        link = quic_scene_take_client(&world, &server, "127.0.0.4:1", &relay_fd);
        quic_scene_report_ready(&world, link);
        (void)nb_fd_close(quic_scene_expect_accepted(&server, 2, "127.0.0.4:1"));
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* Who may be announced is bounded by the places of handshakes; one that is over makes room. */
START_TEST(handshakes_have_places) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t link;
        int relay_fd;

        quic_scene_start(&world, "MaxHandshakes=1\n", "");
        quic_scene_open_server(&world, &server, 16);
        ck_assert_uint_eq(server.granted, 1);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_TIMED_OUT);
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_CREDIT);
        ck_assert_uint_eq(world.relay->order->credit->total, 2);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* The guest's channel ends without a word, and the next relay serves the same port. */
START_TEST(a_relay_that_is_gone_is_replaced) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t link;
        int relay_fd, fd;

        quic_scene_start(&world, "MaxConnections=1\n", "");
        quic_scene_open_server(&world, &server, 16);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        world.relay = fake_relay_free(world.relay);
        (void)nb_fd_close(relay_fd);
        quic_scene_expect_end_of_channel(fd);
        (void)nb_fd_close(fd);
        quic_scene_start_relay(&world);
        quic_scene_expect_serve(&world, &server);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        (void)nb_fd_close(quic_scene_expect_accepted(&server, 2, QUIC_SCENE_CLIENT));
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* The listener stays; what holds now is said with each client, for the relay may not have been able to use it when it was said first. */
START_TEST(a_reload_changes_what_the_next_may) {
        struct quic_scene_server server;
        struct quic_scene world;
        int fds[3];

        quic_scene_start(&world, "", "");
        quic_scene_open_server(&world, &server, 16);
        (void)quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &fds[0]);
        ck_assert_ptr_null(world.relay->order->take_peer->quic);
        quic_scene_reload(&world, "", "MaxStreams=3\nHandshakeTimeout=2s\n");
        for (int i = 1; i < 3; ++i) {
                (void)quic_scene_take_client(&world, &server, "127.0.0.3:1", &fds[i]);
                ck_assert_ptr_nonnull(world.relay->order->take_peer->quic);
                ck_assert_uint_eq(world.relay->order->take_peer->quic->streams_max, 3);
                ck_assert_uint_eq(world.relay->order->take_peer->handshake_timeout_ms, 2000);
                ck_assert_uint_ne(world.relay->order->take_peer->tls_context, 0);
        }
        for (int i = 0; i < 3; ++i)
                (void)nb_fd_close(fds[i]);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* A relay that was given a socket of TCP for a client of QUIC would take that for a broker's mistake, and end with all that it has. */
START_TEST(a_listener_of_tcp_whose_protocol_becomes_quic) {
        char chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX], keys[3 * CERTIFICATES_PATH_MAX];
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct quic_scene world;
        struct wire control;
        int fd;

        quic_scene_start(&world, "Existing=keep\n",
                         "[Protocol late]\nFamily=ip\nDataPath=direct\nListen=127.0.0.1:*\n");
        control = wire_open_control(&world.session.protocols[1], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        (void)snprintf(keys, sizeof(keys),
                       "[Protocol late]\nFamily=quic\nTLSALPN=" QUIC_SCENE_ALPN
                       "\nTLSCertificate=%s %s\nListen=127.0.0.1:*\n",
                       certificates_path(&world.certificates, "server.chain", chain),
                       certificates_path(&world.certificates, "server.key", key));
        quic_scene_reload(&world, "Existing=keep\n", keys);
        fd = peer_connect(address);
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"late\"", "Permission denied");
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        quic_scene_end(&world);
}
END_TEST

/* With Existing=close a connection that is no longer granted is ended by an order, and so is a handshake. */
START_TEST(a_reload_ends_what_is_no_longer_granted) {
        struct quic_scene_server server;
        struct quic_scene world;
        uint64_t link, shaking;
        int relay_fd, shaking_fd, fd;

        quic_scene_start(&world, "Existing=close\n", "");
        quic_scene_open_server(&world, &server, 16);
        link = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &relay_fd);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_accepted(&server, 1, QUIC_SCENE_CLIENT);
        shaking = quic_scene_take_client(&world, &server, QUIC_SCENE_CLIENT, &shaking_fd);
        quic_scene_reload(&world, "Existing=close\n", "Deny=127.0.0.2:*\n");
        for (int i = 0; i < 2; ++i) {
                quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
                ck_assert(world.relay->order->end->link == (i == 0 ? shaking : link));
        }
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)nb_fd_close(shaking_fd);
        (void)wire_close(&server.control);
        quic_scene_end(&world);
}
END_TEST

/* ---- clients ---- */

START_TEST(a_client) {
        struct peer server = peer_udp("127.0.0.1");
        const Nb__Relay__Begin *order;
        struct quic_scene world;
        struct wire control;
        uint64_t link;
        struct quic_scene_client fds;
        int fd;

        quic_scene_start(&world, "", "ConnectTimeout=4s\n");
        if (_i == 0)
                control = wire_open_control(world.protocol, "0.0.0.0:0");
        else
                ck_assert_uint_eq(wire_open_dgram(world.protocol, "0.0.0.0:0", &control, NULL), 0);
        link = quic_scene_begin(&world, &control, server.text);
        order = world.relay->order->begin;
        ck_assert_int_eq((int)order->role, (int)NB__RELAY__ROLE__ROLE_CLIENT);
        ck_assert_str_eq(order->server_name, "127.0.0.1");
        ck_assert_uint_ne(order->tls_context, 0);
        ck_assert_uint_le(order->timeout_ms, 4000);
        ck_assert_uint_gt(order->timeout_ms, 0);
        ck_assert_uint_eq(order->quic->streams_max, 100);
        ck_assert_int_eq(order->quic->datagrams, _i);
        ck_assert(!order->datagrams);
        /* The socket reaches who was judged. */
        ck_assert_int_eq(quic_scene_option_of(world.relay->fds.fds[0], SO_TYPE), SOCK_DGRAM);
        ck_assert_int_eq(send(world.relay->fds.fds[0], "hello", 5, MSG_NOSIGNAL), 5);
        peer_udp_expect(server.fd, "hello", NULL);
        fds = quic_scene_keep_fds(&world);
        quic_scene_report_ready(&world, link);
        fd = quic_scene_expect_multiplexed(&control, server.text);
        quic_scene_expect_connected(fd, fds.channel_fd);
        (void)nb_fd_close(fd);
        quic_scene_close_fds(&fds);
        (void)wire_close(&control);
        quic_scene_end(&world);
        peer_close(&server);
}
END_TEST

static const struct {
        Nb__Relay__Cause cause;
        uint32_t error;
} failures[] = {
        { NB__RELAY__CAUSE__CAUSE_CERTIFICATE_NAME, NB_WASI_EACCES },
        { NB__RELAY__CAUSE__CAUSE_TLS_ALPN, NB_WASI_EPROTO },
        { NB__RELAY__CAUSE__CAUSE_QUIC_VERSION, NB_WASI_EPROTO },
        { NB__RELAY__CAUSE__CAUSE_QUIC_PROTOCOL, NB_WASI_EPROTO },
        { NB__RELAY__CAUSE__CAUSE_QUIC_REFUSED, NB_WASI_ECONNREFUSED },
        { NB__RELAY__CAUSE__CAUSE_QUIC_UNREACHABLE, NB_WASI_EHOSTUNREACH },
        { NB__RELAY__CAUSE__CAUSE_QUIC_STATELESS_RESET, NB_WASI_ECONNRESET },
        { NB__RELAY__CAUSE__CAUSE_TIMED_OUT, NB_WASI_ETIMEDOUT },
};

START_TEST(a_connect_that_fails) {
        struct quic_scene world;
        struct wire control;
        uint64_t link;
        int fd;

        quic_scene_start(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = quic_scene_begin(&world, &control, "127.0.0.1:4433");
        quic_scene_report_ended(&world, link, failures[_i].cause);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), failures[_i].error);
        (void)wire_close(&control);
        quic_scene_end(&world);
}
END_TEST

START_TEST(a_relay_that_ends_during_a_connect) {
        struct quic_scene world;
        struct wire control;
        int fd;

        quic_scene_start(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        (void)quic_scene_begin(&world, &control, "127.0.0.1:4433");
        world.relay = fake_relay_free(world.relay);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), NB_WASI_ECONNRESET);
        (void)wire_close(&control);
        quic_scene_end(&world);
}
END_TEST

/* Who closes the control is not waited for: the attempt ends. */
START_TEST(a_connect_that_is_given_up) {
        struct quic_scene world;
        struct wire control;
        uint64_t link;

        quic_scene_start(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = quic_scene_begin(&world, &control, "127.0.0.1:4433");
        (void)wire_close(&control);
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        quic_scene_end(&world);
}
END_TEST

START_TEST(what_is_not_granted) {
        NB_CLEANUP_FREE char *reason = NULL;
        struct quic_scene world;
        struct wire control;

        quic_scene_start(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_refused(&control, QUIC_SCENE_DENIED, &reason), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(world.protocol, "127.0.0.2:0", &control, NULL), NB_WASI_EACCES);
        (void)wire_close(&control);
        quic_scene_end(&world);
}
END_TEST

/* ---- names ---- */

/* Two addresses: the first says nothing, so the second is tried beside it; whoever shakes hands first wins, and the other is given up. */
START_TEST(the_handshake_decides) {
        static const struct fake_dns_name names[] = { { .name = "two.example.com", .ipv4 = "127.0.0.11 127.0.0.12" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[64];
        struct quic_scene world;
        struct wire control;
        uint64_t links[2];
        struct quic_scene_client fds[2];
        int fd;

        (void)snprintf(limits, sizeof(limits), "Resolvers=%s\n", fake_dns_address(dns));
        quic_scene_start(&world, limits, "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        links[0] = quic_scene_begin(&world, &control, "two.example.com:443");
        ck_assert_str_eq(world.relay->order->begin->server_name, "two.example.com");
        fds[0] = quic_scene_keep_fds(&world);
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_BEGIN);
        links[1] = world.relay->order->begin->link;
        fds[1] = quic_scene_keep_fds(&world);
        quic_scene_report_ready(&world, links[1]);
        fd = quic_scene_expect_multiplexed(&control, "127.0.0.12:443");
        quic_scene_expect_connected(fds[1].channel_fd, fd);
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, links[0]);
        for (int i = 0; i < 2; ++i)
                quic_scene_close_fds(&fds[i]);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        quic_scene_end(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

/* What an answer of somebody says is told, and not that another did not answer. */
START_TEST(the_most_telling_failure_is_told) {
        static const struct fake_dns_name names[] = { { .name = "two.example.com", .ipv4 = "127.0.0.11 127.0.0.12" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[64];
        struct quic_scene world;
        struct wire control;
        uint64_t links[2];
        int fd;

        (void)snprintf(limits, sizeof(limits), "Resolvers=%s\n", fake_dns_address(dns));
        quic_scene_start(&world, limits, "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        links[0] = quic_scene_begin(&world, &control, "two.example.com:443");
        quic_scene_report_ended(&world, links[0], NB__RELAY__CAUSE__CAUSE_CERTIFICATE_NAME);
        quic_scene_expect_order(&world, NB__RELAY__ORDER__BODY_BEGIN);
        links[1] = world.relay->order->begin->link;
        quic_scene_report_ended(&world, links[1], NB__RELAY__CAUSE__CAUSE_TIMED_OUT);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "\"connect\"", "127.0.0.11", "certificate_name");
        daemon_expect_audit(&world.daemon, "\"connect\"", "127.0.0.12", "timed_out");
        (void)wire_close(&control);
        quic_scene_end(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("quic_broker");
        TCase *servers = tcase_create("servers");
        TCase *clients = tcase_create("clients");

        tcase_add_test(servers, a_server);
        tcase_add_test(servers, a_client_that_is_denied);
        tcase_add_test(servers, a_handshake_that_fails);
        tcase_add_test(servers, credit_is_the_guests);
        tcase_add_test(servers, a_place_is_given_back_by_the_report);
        tcase_add_test(servers, handshakes_have_places);
        tcase_add_test(servers, a_relay_that_is_gone_is_replaced);
        tcase_add_test(servers, a_reload_changes_what_the_next_may);
        tcase_add_test(servers, a_listener_of_tcp_whose_protocol_becomes_quic);
        tcase_add_test(servers, a_reload_ends_what_is_no_longer_granted);
        suite_add_tcase(suite, servers);
        tcase_add_loop_test(clients, a_client, 0, 2);
        tcase_add_loop_test(clients, a_connect_that_fails, 0, (int)(sizeof(failures) / sizeof(failures[0])));
        tcase_add_test(clients, a_relay_that_ends_during_a_connect);
        tcase_add_test(clients, a_connect_that_is_given_up);
        tcase_add_test(clients, what_is_not_granted);
        tcase_add_test(clients, the_handshake_decides);
        tcase_add_test(clients, the_most_telling_failure_is_told);
        suite_add_tcase(suite, clients);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
