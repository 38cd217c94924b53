/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker makes of QUIC, with a relay that is the test (tests/support/fake_relay.h): the orders it gives, what it makes of each report, and
 * what a relay gets that lies.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_dns.h"
#include "tests/support/fake_relay.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"
#include "tests/support/wire.h"

#define ALPN "nb-test"
#define CLIENT "127.0.0.2:4000"
#define DENIED "127.0.0.66:4000"

/* A number that the broker has not given to anything. */
#define NOBODY (UINT64_C(1) << 60)

#define TENANT                                                                                                         \
        "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\n%s"                                                         \
        "[Protocol quic]\nFamily=quic\nSocketTypes=stream dgram\n"                                                     \
        "TLSALPN=" ALPN "\nTLSTrust=%s\nTLSCertificate=%s %s\n"                                                        \
        "Connect=127.0.0.0/8:*\nConnect=*.example.com:*\nAddresses=127.0.0.0/8\nListen=127.0.0.1:*\n"                  \
        "Deny=127.0.0.66:*\n%s"                                                                                        \
        "[Protocol web]\nFamily=ip\nDataPath=relay\nConnect=127.0.0.0/8:*\n"

struct world {
        struct certificates certificates;
        struct daemon daemon;
        struct fake_relays relays;
        char admin_socket[HARNESS_PATH_MAX];
        struct wire_session session;
        struct wire *protocol;
        struct fake_relay *relay;
};

/* A server, and the relay's side of it. */
struct server {
        struct wire control;
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        uint64_t number;
        uint64_t peers;
        uint64_t granted; /* clients that may be announced, at the beginning */
};

/* ---- the world ---- */

static void write_policy(const struct world *world, const char *limits, const char *keys) {
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];

        daemon_write_policy(&world->daemon, TENANT, (unsigned)getuid(), limits,
                            certificates_path(&world->certificates, "root.pem", trust),
                            certificates_path(&world->certificates, "server.chain", chain),
                            certificates_path(&world->certificates, "server.key", key), keys);
}

/* @param helper  the path of netbroker-helper's socket, or NULL */
static void start_world_with(struct world *world, const char *helper, const char *limits, const char *keys) {
        const char *arguments[] = { "--relay-socket",
                                    world->relays.path,
                                    "--admin-socket",
                                    world->admin_socket,
                                    helper ? "--helper" : NULL,
                                    helper,
                                    NULL };
        const struct daemon_options options = { .arguments = arguments };
        pid_t trial;

        *world = (struct world){ .relay = NULL };
        certificates_init(&world->certificates);
        certificates_make_authority(&world->certificates, "root", NULL);
        certificates_make_server(&world->certificates, "server", "root", "quic.example.com");
        daemon_init(&world->daemon);
        (void)snprintf(world->admin_socket, sizeof(world->admin_socket), "%s/admin.sock", world->daemon.folder);
        fake_relays_listen(&world->relays, &world->daemon);
        write_policy(world, limits, keys);
        trial = fake_relays_say_yes(&world->relays);
        daemon_start(&world->daemon, &options);
        ck_assert_int_eq(harness_wait_exit(trial), 0);
        wire_session_open(world->daemon.socket_path, "acme", &world->session);
        world->protocol = &world->session.protocols[0];
}

static void start_world(struct world *world, const char *limits, const char *keys) {
        start_world_with(world, NULL, limits, keys);
}

static void reload(struct world *world, const char *limits, const char *keys) {
        pid_t trial;

        write_policy(world, limits, keys);
        trial = fake_relays_say_yes(&world->relays);
        daemon_reload(&world->daemon);
        ck_assert_int_eq(harness_wait_exit(trial), 0);
}

static void end_world(struct world *world) {
        world->relay = fake_relay_free(world->relay);
        wire_session_close(&world->session);
        daemon_stop(&world->daemon);
        fake_relays_close(&world->relays);
        daemon_deinit(&world->daemon);
        certificates_deinit(&world->certificates);
}

/* Contexts come before what needs them, and are dropped after a reload; credit is given whenever there is some. */
static bool is_beside_the_point(Nb__Relay__Order__BodyCase kind) {
        return kind == NB__RELAY__ORDER__BODY_CONTEXT || kind == NB__RELAY__ORDER__BODY_DROP ||
               kind == NB__RELAY__ORDER__BODY_CREDIT;
}

/* Waits for an order of that kind. */
static void expect_order(struct world *world, Nb__Relay__Order__BodyCase kind) {
        do
                ck_assert(fake_relay_receive(world->relay));
        while (world->relay->order->body_case != kind && is_beside_the_point(world->relay->order->body_case));
        ck_assert_int_eq((int)world->relay->order->body_case, (int)kind);
}

static void start_relay(struct world *world) {
        if (!world->relay)
                world->relay = fake_relay_start(&world->relays);
}

/* ---- reports ---- */

static void report(const struct world *world, const Nb__Relay__Report *message) {
        ck_assert_int_eq(fake_relay_report(world->relay, message), 0);
}

static void report_ready_with(const struct world *world, uint64_t link, Nb__Relay__Security *security) {
        Nb__Relay__Ready ready = NB__RELAY__READY__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        ready.link = link;
        ready.security = security;
        message.body_case = NB__RELAY__REPORT__BODY_READY;
        message.ready = &ready;
        report(world, &message);
}

static void report_ready(const struct world *world, uint64_t link) {
        Nb__Relay__Security security = NB__RELAY__SECURITY__INIT;

        security.version = (char *)"TLS1.3";
        security.cipher = (char *)"TLS_AES_128_GCM_SHA256";
        security.alpn = (char *)ALPN;
        report_ready_with(world, link, &security);
}

static void report_new_peer(const struct world *world, uint64_t server, uint64_t number, const char *address) {
        Nb__Relay__NewPeer peer = NB__RELAY__NEW_PEER__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        peer.server = server;
        peer.peer = number;
        peer.address = (char *)address;
        message.body_case = NB__RELAY__REPORT__BODY_NEW_PEER;
        message.new_peer = &peer;
        report(world, &message);
}

static void report_new_path(const struct world *world, uint64_t link, uint32_t path, const char *address,
                            bool preferred) {
        Nb__Relay__NewPath new_path = NB__RELAY__NEW_PATH__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        new_path.link = link;
        new_path.path = path;
        new_path.address = (char *)address;
        new_path.preferred = preferred;
        message.body_case = NB__RELAY__REPORT__BODY_NEW_PATH;
        message.new_path = &new_path;
        report(world, &message);
}

static void report_facts(const struct world *world, Nb__Relay__QuicFacts *facts, Nb__Relay__QuicServerFacts *server) {
        Nb__Relay__QuicState state = NB__RELAY__QUIC_STATE__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        state.n_connections = facts ? 1 : 0;
        state.connections = &facts;
        state.n_servers = server ? 1 : 0;
        state.servers = &server;
        message.body_case = NB__RELAY__REPORT__BODY_QUIC_STATE;
        message.quic_state = &state;
        report(world, &message);
}

static void report_ended(const struct world *world, uint64_t link, Nb__Relay__Cause cause) {
        ck_assert_int_eq(fake_relay_ended(world->relay, link, cause, ""), 0);
}

/* ---- servers ---- */

static void expect_serve(struct world *world, struct server *server) {
        expect_order(world, NB__RELAY__ORDER__BODY_SERVE);
        ck_assert_uint_eq(world->relay->fds.n, 1);
        ck_assert_ptr_nonnull(world->relay->order->serve->quic);
        server->number = world->relay->order->serve->server;
        server->peers = 0;
        expect_order(world, NB__RELAY__ORDER__BODY_CREDIT);
        ck_assert_uint_eq(world->relay->order->credit->server, server->number);
        server->granted = world->relay->order->credit->total;
}

/* Listens on a port of the kernel's choice. @return the control, whose answer has not come yet */
static struct wire send_listen(struct world *world, uint64_t credit) {
        struct wire control = wire_open_control(world->protocol, "127.0.0.1:0");

        wire_send_listen(&control, 16, credit, 0);
        start_relay(world);
        return control;
}

static void open_server(struct world *world, struct server *server, uint64_t credit) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        *server = (struct server){ .control = send_listen(world, credit) };
        expect_serve(world, server);
        ck_assert(wire_receive(&server->control, reply));
        ck_assert_int_eq((int)reply->reply->body_case, (int)NB__REPLY__BODY_LISTENING);
        (void)snprintf(server->address, sizeof(server->address), "%s", reply->reply->listening->address);
}

static void expect_take(struct world *world, const struct server *server) {
        expect_order(world, NB__RELAY__ORDER__BODY_TAKE_PEER);
        ck_assert_uint_eq(world->relay->order->take_peer->server, server->number);
        ck_assert_uint_eq(world->relay->order->take_peer->peer, server->peers);
}

/* A client, up to its link. @param ret_channel_fd  the relay's end of its channel, owned by the caller */
static uint64_t take_client(struct world *world, struct server *server, const char *address, int *ret_channel_fd) {
        report_new_peer(world, server->number, ++server->peers, address);
        expect_take(world, server);
        ck_assert(world->relay->order->take_peer->allowed);
        ck_assert_uint_eq(world->relay->fds.n, 1);
        *ret_channel_fd = nb_steal_fd(&world->relay->fds.fds[0]);
        world->relay->fds.n = 0;
        return world->relay->order->take_peer->link;
}

/* Waits for Accepted. @return the guest's end of the channel, owned by the caller */
static int expect_accepted(const struct server *server, uint64_t number, const char *peer) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        ck_assert(wire_receive(&server->control, reply));
        ck_assert_int_eq((int)reply->reply->body_case, (int)NB__REPLY__BODY_ACCEPTED);
        ck_assert_uint_eq(reply->reply->accepted->number, number);
        ck_assert(reply->reply->accepted->multiplexed);
        ck_assert_str_eq(reply->reply->accepted->peer, peer);
        ck_assert_str_eq(reply->reply->accepted->local, server->address);
        ck_assert_ptr_nonnull(reply->reply->accepted->security);
        ck_assert_str_eq(reply->reply->accepted->security->alpn, ALPN);
        ck_assert_uint_eq(reply->fds.n, 1);
        return reply->fds.fds[0];
}

static int option_of(int fd, int option) {
        socklen_t length = sizeof(int);
        int value = -1;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, option, &value, &length), 0);
        return value;
}

/* A byte goes from one end to the other. */
static void expect_connected(int fd, int other_fd) {
        char byte = 0;

        ck_assert_int_eq(option_of(fd, SO_TYPE), SOCK_SEQPACKET);
        ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
        ck_assert_int_ne(harness_poll(other_fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(other_fd, &byte, 1, 0), 1);
        ck_assert_int_eq(byte, 'x');
}

static void expect_end_of_channel(int fd) {
        char byte;

        ck_assert_int_ne(harness_poll(fd, POLLIN | POLLHUP, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
}

START_TEST(a_server) {
        const Nb__Relay__Serve *serve;
        struct server server;
        struct world world;
        uint64_t link;
        int relay_fd, fd;

        start_world(&world, "",
                    "MaxStreams=7\nStreamWindow=64K\nConnectionWindow=512K\nIdleTimeout=20s\nKeepAlive=5s\n"
                    "Retry=always\nHandshakeTimeout=3s\n");
        open_server(&world, &server, 16);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        fd = expect_accepted(&server, 1, CLIENT);
        expect_connected(fd, relay_fd);
        expect_connected(relay_fd, fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        /* The server ends with its control, its connection does not. */
        expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, server.number);
        report_ended(&world, server.number, NB__RELAY__CAUSE__CAUSE_ENDED);
        report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_CLOSED);

        server.control = send_listen(&world, 1);
        expect_order(&world, NB__RELAY__ORDER__BODY_SERVE);
        serve = world.relay->order->serve;
        ck_assert_int_eq(option_of(world.relay->fds.fds[0], SO_TYPE), SOCK_DGRAM);
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
        end_world(&world);
}
END_TEST

START_TEST(a_client_that_is_denied) {
        struct server server;
        struct world world;

        start_world(&world, "", "");
        open_server(&world, &server, 16);
        report_new_peer(&world, server.number, ++server.peers, DENIED);
        expect_take(&world, &server);
        ck_assert(!world.relay->order->take_peer->allowed);
        ck_assert_uint_eq(world.relay->fds.n, 0);
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"denied\"", "127.0.0.66");
        wire_expect_silence(&server.control);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* A handshake that fails is never shown to the guest, and takes none of its credit. */
START_TEST(a_handshake_that_fails) {
        struct server server;
        struct world world;
        uint64_t bad, good;
        int bad_fd, good_fd, fd;

        start_world(&world, "", "");
        open_server(&world, &server, 1);
        bad = take_client(&world, &server, "127.0.0.3:1", &bad_fd);
        good = take_client(&world, &server, CLIENT, &good_fd);
        report_ended(&world, bad, NB__RELAY__CAUSE__CAUSE_TLS_ALPN);
        daemon_expect_audit(&world.daemon, "\"accept\"", "tls_alpn", "127.0.0.3");
        report_ready(&world, good);
        fd = expect_accepted(&server, 1, CLIENT);
        expect_connected(good_fd, fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(good_fd);
        expect_end_of_channel(bad_fd);
        (void)nb_fd_close(bad_fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* Who is ready waits for the guest's credit. */
START_TEST(credit_is_the_guests) {
        struct server server;
        struct world world;
        uint64_t links[2];
        int relay_fds[2], fd;

        start_world(&world, "", "");
        open_server(&world, &server, 1);
        for (int i = 0; i < 2; ++i)
                links[i] = take_client(&world, &server, CLIENT, &relay_fds[i]);
        for (int i = 0; i < 2; ++i)
                report_ready(&world, links[i]);
        fd = expect_accepted(&server, 1, CLIENT);
        expect_connected(relay_fds[0], fd);
        (void)nb_fd_close(fd);
        wire_settle(world.protocol);
        wire_expect_silence(&server.control);
        wire_send_credit(&server.control, 2);
        fd = expect_accepted(&server, 2, CLIENT);
        expect_connected(relay_fds[1], fd);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fds[0]);
        (void)nb_fd_close(relay_fds[1]);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* A connection is in the account until its relay has reported its end, whatever the guest closes; then there is room for another. */
START_TEST(a_place_is_given_back_by_the_report) {
        struct server server;
        struct world world;
        uint64_t link;
        int relay_fd, fd;

        start_world(&world, "MaxConnections=1\n", "");
        open_server(&world, &server, 16);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        fd = expect_accepted(&server, 1, CLIENT);
        (void)nb_fd_close(fd);
        wire_settle(world.protocol);
        report_new_peer(&world, server.number, ++server.peers, "127.0.0.3:1");
        expect_take(&world, &server);
        ck_assert(!world.relay->order->take_peer->allowed);
        report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_GUEST_GONE);
        (void)nb_fd_close(relay_fd);
        link = take_client(&world, &server, "127.0.0.4:1", &relay_fd);
        report_ready(&world, link);
        (void)nb_fd_close(expect_accepted(&server, 2, "127.0.0.4:1"));
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* Who may be announced is bounded by the places of handshakes; one that is over makes room. */
START_TEST(handshakes_have_places) {
        struct server server;
        struct world world;
        uint64_t link;
        int relay_fd;

        start_world(&world, "MaxHandshakes=1\n", "");
        open_server(&world, &server, 16);
        ck_assert_uint_eq(server.granted, 1);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_TIMED_OUT);
        expect_order(&world, NB__RELAY__ORDER__BODY_CREDIT);
        ck_assert_uint_eq(world.relay->order->credit->total, 2);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* The guest's channel ends without a word, and the next relay serves the same port. */
START_TEST(a_relay_that_is_gone_is_replaced) {
        struct server server;
        struct world world;
        uint64_t link;
        int relay_fd, fd;

        start_world(&world, "MaxConnections=1\n", "");
        open_server(&world, &server, 16);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        fd = expect_accepted(&server, 1, CLIENT);
        world.relay = fake_relay_free(world.relay);
        (void)nb_fd_close(relay_fd);
        expect_end_of_channel(fd);
        (void)nb_fd_close(fd);
        start_relay(&world);
        expect_serve(&world, &server);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        (void)nb_fd_close(expect_accepted(&server, 2, CLIENT));
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* The listener stays; what holds now is said with each client, for the relay may not have been able to use it when it was said first. */
START_TEST(a_reload_changes_what_the_next_may) {
        struct server server;
        struct world world;
        int fds[3];

        start_world(&world, "", "");
        open_server(&world, &server, 16);
        (void)take_client(&world, &server, CLIENT, &fds[0]);
        ck_assert_ptr_null(world.relay->order->take_peer->quic);
        reload(&world, "", "MaxStreams=3\nHandshakeTimeout=2s\n");
        for (int i = 1; i < 3; ++i) {
                (void)take_client(&world, &server, "127.0.0.3:1", &fds[i]);
                ck_assert_ptr_nonnull(world.relay->order->take_peer->quic);
                ck_assert_uint_eq(world.relay->order->take_peer->quic->streams_max, 3);
                ck_assert_uint_eq(world.relay->order->take_peer->handshake_timeout_ms, 2000);
                ck_assert_uint_ne(world.relay->order->take_peer->tls_context, 0);
        }
        for (int i = 0; i < 3; ++i)
                (void)nb_fd_close(fds[i]);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* A relay that was given a socket of TCP for a client of QUIC would take that for a broker's mistake, and end with all that it has. */
START_TEST(a_listener_of_tcp_whose_protocol_becomes_quic) {
        char chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX], keys[3 * CERTIFICATES_PATH_MAX];
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        int fd;

        start_world(&world, "Existing=keep\n", "[Protocol late]\nFamily=ip\nDataPath=direct\nListen=127.0.0.1:*\n");
        control = wire_open_control(&world.session.protocols[1], "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        (void)snprintf(keys, sizeof(keys),
                       "[Protocol late]\nFamily=quic\nTLSALPN=" ALPN "\nTLSCertificate=%s %s\nListen=127.0.0.1:*\n",
                       certificates_path(&world.certificates, "server.chain", chain),
                       certificates_path(&world.certificates, "server.key", key));
        reload(&world, "Existing=keep\n", keys);
        fd = peer_connect(address);
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"late\"", "Permission denied");
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        end_world(&world);
}
END_TEST

/* With Existing=close a connection that is no longer granted is ended by an order, and so is a handshake. */
START_TEST(a_reload_ends_what_is_no_longer_granted) {
        struct server server;
        struct world world;
        uint64_t link, shaking;
        int relay_fd, shaking_fd, fd;

        start_world(&world, "Existing=close\n", "");
        open_server(&world, &server, 16);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        fd = expect_accepted(&server, 1, CLIENT);
        shaking = take_client(&world, &server, CLIENT, &shaking_fd);
        reload(&world, "Existing=close\n", "Deny=127.0.0.2:*\n");
        for (int i = 0; i < 2; ++i) {
                expect_order(&world, NB__RELAY__ORDER__BODY_END);
                ck_assert(world.relay->order->end->link == (i == 0 ? shaking : link));
        }
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)nb_fd_close(shaking_fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* ---- clients ---- */

/* Connects, up to Begin. @return the link's number */
static uint64_t begin(struct world *world, struct wire *control, const char *address) {
        wire_send_connect(control, address);
        start_relay(world);
        expect_order(world, NB__RELAY__ORDER__BODY_BEGIN);
        ck_assert_uint_eq(world->relay->fds.n, 2);
        ck_assert_ptr_nonnull(world->relay->order->begin->quic);
        return world->relay->order->begin->link;
}

/* What a relay has of a client's connection. */
struct client_fds {
        int socket_fd;
        int channel_fd;
};

/* Takes them out of the last Begin. */
static struct client_fds keep_fds(struct world *world) {
        const struct client_fds fds = { .socket_fd = world->relay->fds.fds[0], .channel_fd = world->relay->fds.fds[1] };

        world->relay->fds.n = 0;
        return fds;
}

static void close_fds(const struct client_fds *fds) {
        (void)nb_fd_close(fds->socket_fd);
        (void)nb_fd_close(fds->channel_fd);
}

static int expect_multiplexed(const struct wire *control, const char *peer) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        ck_assert(wire_receive(control, reply));
        ck_assert_int_eq((int)reply->reply->body_case, (int)NB__REPLY__BODY_CONNECTED);
        ck_assert(reply->reply->connected->multiplexed);
        ck_assert_str_eq(reply->reply->connected->peer, peer);
        ck_assert_str_eq(reply->reply->connected->security->version, "TLS1.3");
        ck_assert_uint_eq(reply->fds.n, 1);
        return reply->fds.fds[0];
}

START_TEST(a_client) {
        struct peer server = peer_udp("127.0.0.1");
        const Nb__Relay__Begin *order;
        struct world world;
        struct wire control;
        uint64_t link;
        struct client_fds fds;
        int fd;

        start_world(&world, "", "ConnectTimeout=4s\n");
        if (_i == 0)
                control = wire_open_control(world.protocol, "0.0.0.0:0");
        else
                ck_assert_uint_eq(wire_open_dgram(world.protocol, "0.0.0.0:0", &control, NULL), 0);
        link = begin(&world, &control, server.text);
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
        ck_assert_int_eq(option_of(world.relay->fds.fds[0], SO_TYPE), SOCK_DGRAM);
        ck_assert_int_eq(send(world.relay->fds.fds[0], "hello", 5, MSG_NOSIGNAL), 5);
        peer_udp_expect(server.fd, "hello", NULL);
        fds = keep_fds(&world);
        report_ready(&world, link);
        fd = expect_multiplexed(&control, server.text);
        expect_connected(fd, fds.channel_fd);
        (void)nb_fd_close(fd);
        close_fds(&fds);
        (void)wire_close(&control);
        end_world(&world);
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
        struct world world;
        struct wire control;
        uint64_t link;
        int fd;

        start_world(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = begin(&world, &control, "127.0.0.1:4433");
        report_ended(&world, link, failures[_i].cause);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), failures[_i].error);
        (void)wire_close(&control);
        end_world(&world);
}
END_TEST

START_TEST(a_relay_that_ends_during_a_connect) {
        struct world world;
        struct wire control;
        int fd;

        start_world(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        (void)begin(&world, &control, "127.0.0.1:4433");
        world.relay = fake_relay_free(world.relay);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), NB_WASI_ECONNRESET);
        (void)wire_close(&control);
        end_world(&world);
}
END_TEST

/* Who closes the control is not waited for: the attempt ends. */
START_TEST(a_connect_that_is_given_up) {
        struct world world;
        struct wire control;
        uint64_t link;

        start_world(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = begin(&world, &control, "127.0.0.1:4433");
        (void)wire_close(&control);
        expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        end_world(&world);
}
END_TEST

START_TEST(what_is_not_granted) {
        NB_CLEANUP_FREE char *reason = NULL;
        struct world world;
        struct wire control;

        start_world(&world, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_refused(&control, DENIED, &reason), NB_WASI_EACCES);
        ck_assert_uint_eq(wire_open(world.protocol, "127.0.0.2:0", &control, NULL), NB_WASI_EACCES);
        (void)wire_close(&control);
        end_world(&world);
}
END_TEST

/* ---- names ---- */

/* Two addresses: the first says nothing, so the second is tried beside it; whoever shakes hands first wins, and the other is given up. */
START_TEST(the_handshake_decides) {
        static const struct fake_dns_name names[] = { { .name = "two.example.com", .ipv4 = "127.0.0.11 127.0.0.12" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[64];
        struct world world;
        struct wire control;
        uint64_t links[2];
        struct client_fds fds[2];
        int fd;

        (void)snprintf(limits, sizeof(limits), "Resolvers=%s\n", fake_dns_address(dns));
        start_world(&world, limits, "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        links[0] = begin(&world, &control, "two.example.com:443");
        ck_assert_str_eq(world.relay->order->begin->server_name, "two.example.com");
        fds[0] = keep_fds(&world);
        expect_order(&world, NB__RELAY__ORDER__BODY_BEGIN);
        links[1] = world.relay->order->begin->link;
        fds[1] = keep_fds(&world);
        report_ready(&world, links[1]);
        fd = expect_multiplexed(&control, "127.0.0.12:443");
        expect_connected(fds[1].channel_fd, fd);
        expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, links[0]);
        for (int i = 0; i < 2; ++i)
                close_fds(&fds[i]);
        (void)nb_fd_close(fd);
        (void)wire_close(&control);
        end_world(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

/* What an answer of somebody says is told, and not that another did not answer. */
START_TEST(the_most_telling_failure_is_told) {
        static const struct fake_dns_name names[] = { { .name = "two.example.com", .ipv4 = "127.0.0.11 127.0.0.12" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[64];
        struct world world;
        struct wire control;
        uint64_t links[2];
        int fd;

        (void)snprintf(limits, sizeof(limits), "Resolvers=%s\n", fake_dns_address(dns));
        start_world(&world, limits, "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        links[0] = begin(&world, &control, "two.example.com:443");
        report_ended(&world, links[0], NB__RELAY__CAUSE__CAUSE_CERTIFICATE_NAME);
        expect_order(&world, NB__RELAY__ORDER__BODY_BEGIN);
        links[1] = world.relay->order->begin->link;
        report_ended(&world, links[1], NB__RELAY__CAUSE__CAUSE_TIMED_OUT);
        ck_assert_uint_eq(wire_receive_connected(&control, &fd), NB_WASI_EACCES);
        daemon_expect_audit(&world.daemon, "\"connect\"", "127.0.0.11", "certificate_name");
        daemon_expect_audit(&world.daemon, "\"connect\"", "127.0.0.12", "timed_out");
        (void)wire_close(&control);
        end_world(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

/* ---- asking the daemon ---- */

/* Waits until the page of metrics has a line. */
static void expect_metric(const struct world *world, const char *line) {
        uint64_t start_ms = harness_now_ms();

        for (;;) {
                NB_CLEANUP_FREE char *page = NULL;

                ck_assert_int_eq(operator_run(world->admin_socket, (const char *const[]){ "metrics", NULL }, &page), 0);
                if (strstr(page, line))
                        return;
                harness_wait_a_moment(start_ms, line);
        }
}

static json_t *ask_connection(const struct world *world) {
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

static bool path_is_taken(struct world *world, uint64_t link, uint32_t path, size_t n_fds) {
        expect_order(world, NB__RELAY__ORDER__BODY_TAKE_PATH);
        ck_assert_uint_eq(world->relay->order->take_path->link, link);
        ck_assert_uint_eq(world->relay->order->take_path->path, path);
        ck_assert_uint_eq(world->relay->fds.n, n_fds);
        return world->relay->order->take_path->allowed;
}

START_TEST(a_client_that_moves) {
        struct server server;
        struct world world;
        uint64_t link;
        int relay_fd, fd;

        start_world(&world, "", "");
        open_server(&world, &server, 1);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        fd = expect_accepted(&server, 1, CLIENT);
        /* Its session may be gone. */
        if (_i == 1) {
                (void)wire_close(&server.control);
                expect_order(&world, NB__RELAY__ORDER__BODY_END);
        }
        report_new_path(&world, link, 1, "127.0.0.3:5000", false);
        ck_assert(path_is_taken(&world, link, 1, 0));
        report_new_path(&world, link, 2, DENIED, false);
        ck_assert(!path_is_taken(&world, link, 2, 0));
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"denied\"", "127.0.0.66");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        if (_i == 0)
                (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

START_TEST(a_preferred_address) {
        struct peer preferred = peer_udp("127.0.0.1");
        struct world world;
        struct wire control;
        uint64_t link;
        json_t *connection;
        struct client_fds fds;
        int fd;

        start_world(&world, "MaxConnections=1\n", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = begin(&world, &control, "127.0.0.1:4433");
        fds = keep_fds(&world);
        report_ready(&world, link);
        fd = expect_multiplexed(&control, "127.0.0.1:4433");
        report_new_path(&world, link, 1, DENIED, true);
        ck_assert(!path_is_taken(&world, link, 1, 0));
        report_new_path(&world, link, 2, preferred.text, true);
        ck_assert(path_is_taken(&world, link, 2, 1));
        ck_assert_int_eq(send(world.relay->fds.fds[0], "moved", 5, MSG_NOSIGNAL), 5);
        peer_udp_expect(preferred.fd, "moved", NULL);
        connection = ask_connection(&world);
        ck_assert_str_eq(json_string_value(json_object_get(connection, "peer")), preferred.text);
        json_decref(connection);
        /* Neither socket's end is the connection's, but the report. */
        (void)nb_fd_close(fds.socket_fd);
        fds.socket_fd = -1;
        report_new_path(&world, link, 3, DENIED, true);
        ck_assert(!path_is_taken(&world, link, 3, 0));
        report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_CLOSED);
        expect_metric(&world, "netbroker_quic_connections{tenant=\"acme\"} 0\n");
        expect_metric(&world, "netbroker_quic_paths_total{tenant=\"acme\",verdict=\"allowed\"} 1\n");
        (void)nb_fd_close(fd);
        close_fds(&fds);
        (void)wire_close(&control);
        end_world(&world);
        peer_close(&preferred);
}
END_TEST

/* There is one socket at its port. */
START_TEST(a_bound_control_stays_where_it_is) {
        struct world world;
        struct wire control;
        struct client_fds fds;
        uint64_t link;
        int fd;

        start_world(&world, "", "");
        control = wire_open_control(world.protocol, "127.0.0.1:0");
        link = begin(&world, &control, "127.0.0.1:4433");
        fds = keep_fds(&world);
        report_ready(&world, link);
        fd = expect_multiplexed(&control, "127.0.0.1:4433");
        report_new_path(&world, link, 1, "127.0.0.1:4434", true);
        ck_assert(!path_is_taken(&world, link, 1, 0));
        daemon_expect_audit(&world.daemon, "\"connect\"", "127.0.0.1:4434", "a bound control has one socket");
        (void)nb_fd_close(fd);
        close_fds(&fds);
        (void)wire_close(&control);
        end_world(&world);
}
END_TEST

/* A name's preferred address is judged as the name's: an address that is granted by itself is not enough. */
START_TEST(a_preferred_address_of_a_name) {
        static const struct fake_dns_name names[] = { { .name = "one.example.com", .ipv4 = "127.0.0.11" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[64];
        struct world world;
        struct wire control;
        uint64_t link;
        struct client_fds fds;
        int fd;

        (void)snprintf(limits, sizeof(limits), "Resolvers=%s\n", fake_dns_address(dns));
        start_world(&world, limits, "Deny=*.example.com:444\n");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = begin(&world, &control, "one.example.com:443");
        fds = keep_fds(&world);
        report_ready(&world, link);
        fd = expect_multiplexed(&control, "127.0.0.11:443");
        report_new_path(&world, link, 1, "127.0.0.12:444", true);
        ck_assert(!path_is_taken(&world, link, 1, 0));
        report_new_path(&world, link, 2, "8.8.8.8:443", true);
        ck_assert(!path_is_taken(&world, link, 2, 0));
        report_new_path(&world, link, 3, "127.0.0.12:443", true);
        ck_assert(path_is_taken(&world, link, 3, 1));
        (void)nb_fd_close(fd);
        close_fds(&fds);
        (void)wire_close(&control);
        end_world(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

/* The peer may be where it was before, so a reload looks there as well; and at the port that a name's address has now. */
START_TEST(a_reload_denies_where_the_peer_was) {
        struct server server;
        struct world world;
        uint64_t link;
        int relay_fd, fd;

        start_world(&world, "Existing=close\n", "");
        open_server(&world, &server, 1);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        fd = expect_accepted(&server, 1, CLIENT);
        for (uint32_t path = 1; path <= 3; ++path) {
                report_new_path(&world, link, path, path % 2 ? "127.0.0.3:5000" : "127.0.0.4:5000", false);
                ck_assert(path_is_taken(&world, link, path, 0));
        }
        reload(&world, "Existing=close\n", "Deny=127.0.0.5:*\n");
        reload(&world, "Existing=close\n", _i == 0 ? "Deny=127.0.0.2:*\n" : "Deny=127.0.0.4:*\n");
        expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

START_TEST(a_reload_denies_the_port_that_a_name_has_moved_to) {
        static const struct fake_dns_name names[] = { { .name = "one.example.com", .ipv4 = "127.0.0.11" } };
        struct fake_dns *dns = fake_dns_start(names, 1);
        char limits[80];
        struct world world;
        struct wire control;
        uint64_t link;
        struct client_fds fds;
        int fd;

        (void)snprintf(limits, sizeof(limits), "Existing=close\nResolvers=%s\n", fake_dns_address(dns));
        start_world(&world, limits, "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = begin(&world, &control, "one.example.com:443");
        fds = keep_fds(&world);
        report_ready(&world, link);
        fd = expect_multiplexed(&control, "127.0.0.11:443");
        report_new_path(&world, link, 1, "127.0.0.11:444", true);
        ck_assert(path_is_taken(&world, link, 1, 1));
        reload(&world, limits, "Deny=*.example.com:444\n");
        expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        (void)nb_fd_close(fd);
        close_fds(&fds);
        (void)wire_close(&control);
        end_world(&world);
        (void)fake_dns_stop(dns);
}
END_TEST

/* ---- what operators are told ---- */

START_TEST(what_a_relay_tells) {
        Nb__Relay__QuicServerFacts server_facts = NB__RELAY__QUIC_SERVER_FACTS__INIT;
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT;
        NB_CLEANUP_FREE char *text = NULL;
        struct server server;
        struct world world;
        json_t *connection;
        int relay_fd, fd;

        start_world(&world, "", "");
        open_server(&world, &server, 1);
        facts.link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, facts.link);
        fd = expect_accepted(&server, 1, CLIENT);
        facts.rtt_us = 12345;
        facts.congestion_window = 54321;
        facts.packets_lost = 3;
        facts.streams = 7;
        facts.streams_accepted = 9;
        facts.bytes_buffered = UINT64_MAX;
        report_facts(&world, &facts, NULL);
        server_facts.server = server.number;
        server_facts.retries = 4;
        report_facts(&world, NULL, &server_facts);
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
        report_facts(&world, &facts, NULL);
        facts.packets_lost = 2;
        facts.streams_accepted = 10;
        report_facts(&world, &facts, NULL);
        expect_metric(&world, "netbroker_quic_streams_total{tenant=\"acme\",opened_by=\"peer\"} 10\n");
        expect_metric(&world, "netbroker_quic_packets_total{tenant=\"acme\",what=\"lost\"} 4\n");
        report_ended(&world, facts.link, NB__RELAY__CAUSE__CAUSE_IDLE);
        expect_metric(&world, "netbroker_quic_connections{tenant=\"acme\"} 0\n");
        expect_metric(&world, "netbroker_relayed_links_ended_total{tenant=\"acme\",reason=\"idle\"} 1\n");
        daemon_expect_audit(&world.daemon, "\"accept\"", "\"allowed\"", "\"transport\":\"quic\"");
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* An operator's revocation, of either role, is an order. */
START_TEST(a_connection_that_is_revoked) {
        NB_CLEANUP_FREE char *text = NULL;
        struct server server;
        struct world world;
        char id[24];
        uint64_t link;
        json_t *connection;
        int relay_fd, fd;

        start_world(&world, "", "");
        open_server(&world, &server, 1);
        link = take_client(&world, &server, CLIENT, &relay_fd);
        report_ready(&world, link);
        fd = expect_accepted(&server, 1, CLIENT);
        connection = ask_connection(&world);
        (void)snprintf(id, sizeof(id), "%lld",
                       (long long)json_integer_value(json_object_get(connection, "connection")));
        json_decref(connection);
        ck_assert_int_eq(operator_run(world.admin_socket, (const char *const[]){ "revoke", "connection", id, NULL },
                                      &text),
                         0);
        expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(world.relay->order->end->link, link);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(relay_fd);
        (void)wire_close(&server.control);
        end_world(&world);
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
        struct world world;
        struct wire control;
        struct client_fds fds;
        uint64_t link;
        int fd, moved;

        start_helper(&helper, folder, path);
        start_world_with(&world, path, "", "");
        control = wire_open_control(world.protocol, "0.0.0.0:0");
        link = begin(&world, &control, "127.0.0.1:4433");
        fds = keep_fds(&world);
        report_ready(&world, link);
        fd = expect_multiplexed(&control, "127.0.0.1:4433");
        report_new_path(&world, link, 1, preferred.text, true);
        ck_assert(path_is_taken(&world, link, 1, 1));
        moved = dup(world.relay->fds.fds[0]);
        ck_assert_int_ge(moved, 0);
        report_new_path(&world, link, 2, another.text, true);
        ck_assert(!path_is_taken(&world, link, 2, 0));
        reload(&world, "", "Deny=127.0.0.1:*\n");
        expect_order(&world, NB__RELAY__ORDER__BODY_END);
        ck_assert_int_eq(harness_poll(moved, POLLIN, HARNESS_DEADLINE_MS) & POLLERR, POLLERR);
        ck_assert_int_eq(option_of(moved, SO_ERROR), ECONNABORTED);
        /* The socket's end is not the connection's. */
        (void)nb_fd_close(moved);
        json_decref(ask_connection(&world));
        report_ended(&world, link, NB__RELAY__CAUSE__CAUSE_ENDED);
        expect_metric(&world, "netbroker_quic_connections{tenant=\"acme\"} 0\n");
        (void)nb_fd_close(fd);
        close_fds(&fds);
        (void)wire_close(&control);
        end_world(&world);
        end_helper(&helper, folder, path);
        peer_close(&preferred);
        peer_close(&another);
}
END_TEST

/* Each relay has a share of what may be under way to guests; there is always some. */
START_TEST(streams_under_way_are_bounded) {
        struct server server;
        struct world world;

        start_world(&world, "", "");
        open_server(&world, &server, 1);
        ck_assert_uint_gt(world.relay->in_flight_max, 0);
        ck_assert_uint_le(world.relay->in_flight_max, 1024);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

/* ---- lies ---- */

/** What a relay may not say; there are a server, a client that is ready and one that is not. */
struct lie_scene {
        struct world *world;
        struct server *server;
        uint64_t ready;
        uint64_t shaking;
};
typedef void (*lie_function)(const struct lie_scene *scene);

static void ready_without_tls(const struct lie_scene *scene) {
        report_ready_with(scene->world, scene->shaking, NULL);
}

static void ready_again(const struct lie_scene *scene) {
        report_ready(scene->world, scene->ready);
}

static void ready_of_the_server(const struct lie_scene *scene) {
        report_ready(scene->world, scene->server->number);
}

static void ready_of_nobody(const struct lie_scene *scene) {
        report_ready(scene->world, NOBODY);
}

static void path_of_nobody(const struct lie_scene *scene) {
        report_new_path(scene->world, NOBODY, 1, CLIENT, false);
}

static void path_of_the_server(const struct lie_scene *scene) {
        report_new_path(scene->world, scene->server->number, 1, CLIENT, false);
}

static void path_before_ready(const struct lie_scene *scene) {
        report_new_path(scene->world, scene->shaking, 1, CLIENT, false);
}

static void path_that_skips_a_number(const struct lie_scene *scene) {
        report_new_path(scene->world, scene->ready, 2, CLIENT, false);
}

static void path_of_no_address(const struct lie_scene *scene) {
        report_new_path(scene->world, scene->ready, 1, "nowhere", false);
}

static void path_of_a_unix_socket(const struct lie_scene *scene) {
        report_new_path(scene->world, scene->ready, 1, "/run/x.sock", false);
}

static void path_without_a_port(const struct lie_scene *scene) {
        report_new_path(scene->world, scene->ready, 1, "127.0.0.1:0", false);
}

static void preferred_address_of_a_client(const struct lie_scene *scene) {
        report_new_path(scene->world, scene->ready, 1, CLIENT, true);
}

/* As many as the broker lets pass, and one more. */
static void too_many_paths(const struct lie_scene *scene) {
        for (uint32_t i = 1; i <= NB_RELAY_PATHS_A_MINUTE; ++i) {
                report_new_path(scene->world, scene->ready, i, CLIENT, false);
                ck_assert(path_is_taken(scene->world, scene->ready, i, 0));
        }
        report_new_path(scene->world, scene->ready, NB_RELAY_PATHS_A_MINUTE + 1, CLIENT, false);
}

static void facts_of_nobody(const struct lie_scene *scene) {
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT;

        facts.link = NOBODY;
        report_facts(scene->world, &facts, NULL);
}

static void facts_of_the_server_as_a_connection(const struct lie_scene *scene) {
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT;

        facts.link = scene->server->number;
        report_facts(scene->world, &facts, NULL);
}

static void facts_of_a_connection_as_a_server(const struct lie_scene *scene) {
        Nb__Relay__QuicServerFacts facts = NB__RELAY__QUIC_SERVER_FACTS__INIT;

        facts.server = scene->ready;
        report_facts(scene->world, NULL, &facts);
}

static void too_many_facts(const struct lie_scene *scene) {
        Nb__Relay__QuicFacts facts = NB__RELAY__QUIC_FACTS__INIT, *all[NB_RELAY_QUIC_FACTS_MAX + 1];
        Nb__Relay__QuicState state = NB__RELAY__QUIC_STATE__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        facts.link = scene->ready;
        for (size_t i = 0; i < NB_RELAY_QUIC_FACTS_MAX + 1; ++i)
                all[i] = &facts;
        state.n_connections = NB_RELAY_QUIC_FACTS_MAX + 1;
        state.connections = all;
        message.body_case = NB__RELAY__REPORT__BODY_QUIC_STATE;
        message.quic_state = &state;
        report(scene->world, &message);
}

static void a_peer_that_skips_a_number(const struct lie_scene *scene) {
        report_new_peer(scene->world, scene->server->number, scene->server->peers + 2, CLIENT);
}

static void a_peer_of_a_unix_socket(const struct lie_scene *scene) {
        report_new_peer(scene->world, scene->server->number, scene->server->peers + 1, "/run/x.sock");
}

static void a_peer_of_a_connection(const struct lie_scene *scene) {
        report_new_peer(scene->world, scene->ready, 1, CLIENT);
}

static const struct {
        const char *name;
        lie_function tell;
} lies[] = {
        { "Ready without TLS", ready_without_tls },
        { "Ready again", ready_again },
        { "Ready of the server", ready_of_the_server },
        { "Ready of nobody", ready_of_nobody },
        { "NewPath of nobody", path_of_nobody },
        { "NewPath of the server", path_of_the_server },
        { "NewPath before Ready", path_before_ready },
        { "NewPath that skips a number", path_that_skips_a_number },
        { "NewPath of no address", path_of_no_address },
        { "NewPath of a Unix socket", path_of_a_unix_socket },
        { "NewPath without a port", path_without_a_port },
        { "a preferred address of a client", preferred_address_of_a_client },
        { "too many paths", too_many_paths },
        { "facts of nobody", facts_of_nobody },
        { "facts of the server as of a connection", facts_of_the_server_as_a_connection },
        { "facts of a connection as of a server", facts_of_a_connection_as_a_server },
        { "too many facts", too_many_facts },
        { "NewPeer that skips a number", a_peer_that_skips_a_number },
        { "NewPeer of a Unix socket", a_peer_of_a_unix_socket },
        { "NewPeer of a connection", a_peer_of_a_connection },
};

#define N_LIES ((int)(sizeof(lies) / sizeof(lies[0])))

START_TEST(a_relay_that_lies_is_ended) {
        struct server server;
        struct world world;
        struct lie_scene scene = { .world = &world, .server = &server };
        int relay_fds[2], fd;

        start_world(&world, "", "");
        open_server(&world, &server, 16);
        scene.ready = take_client(&world, &server, CLIENT, &relay_fds[0]);
        report_ready(&world, scene.ready);
        fd = expect_accepted(&server, 1, CLIENT);
        scene.shaking = take_client(&world, &server, CLIENT, &relay_fds[1]);
        lies[_i].tell(&scene);
        fake_relay_expect_end(world.relay);
        daemon_expect_log(&world.daemon, "a report that does not fit");
        world.relay = fake_relay_free(world.relay);
        /* And the server is served by the next. */
        start_relay(&world);
        expect_serve(&world, &server);
        for (int i = 0; i < 2; ++i)
                (void)nb_fd_close(relay_fds[i]);
        (void)nb_fd_close(fd);
        (void)wire_close(&server.control);
        end_world(&world);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("quic_broker");
        TCase *servers = tcase_create("servers"), *clients = tcase_create("clients"), *paths = tcase_create("paths");
        TCase *told = tcase_create("operators");
        TCase *liars = tcase_create("a relay that lies");

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
        tcase_add_loop_test(liars, a_relay_that_lies_is_ended, 0, N_LIES);
        suite_add_tcase(suite, liars);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
