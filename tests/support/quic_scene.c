/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/quic_scene.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/runner.h"

#define QUIC_SCENE_TENANT                                                                                              \
        "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\n%s"                                                         \
        "[Protocol quic]\nFamily=quic\nSocketTypes=stream dgram\n"                                                     \
        "TLSALPN=" QUIC_SCENE_ALPN "\nTLSTrust=%s\nTLSCertificate=%s %s\n"                                             \
        "Connect=127.0.0.0/8:*\nConnect=*.example.com:*\nAddresses=127.0.0.0/8\nListen=127.0.0.1:*\n"                  \
        "Deny=127.0.0.66:*\n%s"                                                                                        \
        "[Protocol web]\nFamily=ip\nDataPath=relay\nConnect=127.0.0.0/8:*\n"

/* ---- the world ---- */

static void write_policy(const struct quic_scene *world, const char *limits, const char *keys) {
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];

        daemon_write_policy(&world->daemon, QUIC_SCENE_TENANT, (unsigned)getuid(), limits,
                            certificates_path(&world->certificates, "root.pem", trust),
                            certificates_path(&world->certificates, "server.chain", chain),
                            certificates_path(&world->certificates, "server.key", key), keys);
}

void quic_scene_start_with(struct quic_scene *world, const char *helper, const char *limits, const char *keys) {
        const char *arguments[] = { "--relay-socket",
                                    world->relays.path,
                                    "--admin-socket",
                                    world->admin_socket,
                                    helper ? "--helper" : NULL,
                                    helper,
                                    NULL };
        const struct daemon_options options = { .arguments = arguments };
        pid_t trial;

        *world = (struct quic_scene){ .relay = NULL };
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

void quic_scene_start(struct quic_scene *world, const char *limits, const char *keys) {
        quic_scene_start_with(world, NULL, limits, keys);
}

void quic_scene_reload(struct quic_scene *world, const char *limits, const char *keys) {
        pid_t trial;

        write_policy(world, limits, keys);
        trial = fake_relays_say_yes(&world->relays);
        daemon_reload(&world->daemon);
        ck_assert_int_eq(harness_wait_exit(trial), 0);
}

void quic_scene_end(struct quic_scene *world) {
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

void quic_scene_expect_order(struct quic_scene *world, Nb__Relay__Order__BodyCase kind) {
        do
                ck_assert(fake_relay_receive(world->relay));
        while (world->relay->order->body_case != kind && is_beside_the_point(world->relay->order->body_case));
        ck_assert_int_eq((int)world->relay->order->body_case, (int)kind);
}

void quic_scene_start_relay(struct quic_scene *world) {
        if (!world->relay)
                world->relay = fake_relay_start(&world->relays);
}

/* ---- reports ---- */

void quic_scene_report(const struct quic_scene *world, const Nb__Relay__Report *message) {
        ck_assert_int_eq(fake_relay_report(world->relay, message), 0);
}

void quic_scene_report_ready_with(const struct quic_scene *world, uint64_t link, Nb__Relay__Security *security) {
        Nb__Relay__Ready ready = NB__RELAY__READY__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        ready.link = link;
        ready.security = security;
        message.body_case = NB__RELAY__REPORT__BODY_READY;
        message.ready = &ready;
        quic_scene_report(world, &message);
}

void quic_scene_report_ready(const struct quic_scene *world, uint64_t link) {
        Nb__Relay__Security security = NB__RELAY__SECURITY__INIT;

        security.version = (char *)"TLS1.3";
        security.cipher = (char *)"TLS_AES_128_GCM_SHA256";
        security.alpn = (char *)QUIC_SCENE_ALPN;
        quic_scene_report_ready_with(world, link, &security);
}

void quic_scene_report_new_peer(const struct quic_scene *world, uint64_t server, uint64_t number, const char *address) {
        Nb__Relay__NewPeer peer = NB__RELAY__NEW_PEER__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        peer.server = server;
        peer.peer = number;
        peer.address = (char *)address;
        message.body_case = NB__RELAY__REPORT__BODY_NEW_PEER;
        message.new_peer = &peer;
        quic_scene_report(world, &message);
}

void quic_scene_report_new_path(const struct quic_scene *world, uint64_t link, uint32_t path, const char *address,
                                bool preferred) {
        Nb__Relay__NewPath new_path = NB__RELAY__NEW_PATH__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        new_path.link = link;
        new_path.path = path;
        new_path.address = (char *)address;
        new_path.preferred = preferred;
        message.body_case = NB__RELAY__REPORT__BODY_NEW_PATH;
        message.new_path = &new_path;
        quic_scene_report(world, &message);
}

void quic_scene_report_facts(const struct quic_scene *world, Nb__Relay__QuicFacts *facts,
                             Nb__Relay__QuicServerFacts *server) {
        Nb__Relay__QuicState state = NB__RELAY__QUIC_STATE__INIT;
        Nb__Relay__Report message = NB__RELAY__REPORT__INIT;

        state.n_connections = facts ? 1 : 0;
        state.connections = &facts;
        state.n_servers = server ? 1 : 0;
        state.servers = &server;
        message.body_case = NB__RELAY__REPORT__BODY_QUIC_STATE;
        message.quic_state = &state;
        quic_scene_report(world, &message);
}

void quic_scene_report_ended(const struct quic_scene *world, uint64_t link, Nb__Relay__Cause cause) {
        ck_assert_int_eq(fake_relay_ended(world->relay, link, cause, ""), 0);
}

/* ---- servers ---- */

void quic_scene_expect_serve(struct quic_scene *world, struct quic_scene_server *server) {
        quic_scene_expect_order(world, NB__RELAY__ORDER__BODY_SERVE);
        ck_assert_uint_eq(world->relay->fds.n, 1);
        ck_assert_ptr_nonnull(world->relay->order->serve->quic);
        server->number = world->relay->order->serve->server;
        server->peers = 0;
        quic_scene_expect_order(world, NB__RELAY__ORDER__BODY_CREDIT);
        ck_assert_uint_eq(world->relay->order->credit->server, server->number);
        server->granted = world->relay->order->credit->total;
}

struct wire quic_scene_send_listen(struct quic_scene *world, uint64_t credit) {
        struct wire control = wire_open_control(world->protocol, "127.0.0.1:0");

        wire_send_listen(&control, 16, credit, 0);
        quic_scene_start_relay(world);
        return control;
}

void quic_scene_open_server(struct quic_scene *world, struct quic_scene_server *server, uint64_t credit) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        *server = (struct quic_scene_server){ .control = quic_scene_send_listen(world, credit) };
        quic_scene_expect_serve(world, server);
        ck_assert(wire_receive(&server->control, reply));
        ck_assert_int_eq((int)reply->reply->body_case, (int)NB__REPLY__BODY_LISTENING);
        (void)snprintf(server->address, sizeof(server->address), "%s", reply->reply->listening->address);
}

void quic_scene_expect_take(struct quic_scene *world, const struct quic_scene_server *server) {
        quic_scene_expect_order(world, NB__RELAY__ORDER__BODY_TAKE_PEER);
        ck_assert_uint_eq(world->relay->order->take_peer->server, server->number);
        ck_assert_uint_eq(world->relay->order->take_peer->peer, server->peers);
}

uint64_t quic_scene_take_client(struct quic_scene *world, struct quic_scene_server *server, const char *address,
                                int *ret_channel_fd) {
        quic_scene_report_new_peer(world, server->number, ++server->peers, address);
        quic_scene_expect_take(world, server);
        ck_assert(world->relay->order->take_peer->allowed);
        ck_assert_uint_eq(world->relay->fds.n, 1);
        *ret_channel_fd = nb_steal_fd(&world->relay->fds.fds[0]);
        world->relay->fds.n = 0;
        return world->relay->order->take_peer->link;
}

int quic_scene_expect_accepted(const struct quic_scene_server *server, uint64_t number, const char *peer) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        ck_assert(wire_receive(&server->control, reply));
        ck_assert_int_eq((int)reply->reply->body_case, (int)NB__REPLY__BODY_ACCEPTED);
        ck_assert_uint_eq(reply->reply->accepted->number, number);
        ck_assert(reply->reply->accepted->multiplexed);
        ck_assert_str_eq(reply->reply->accepted->peer, peer);
        ck_assert_str_eq(reply->reply->accepted->local, server->address);
        ck_assert_ptr_nonnull(reply->reply->accepted->security);
        ck_assert_str_eq(reply->reply->accepted->security->alpn, QUIC_SCENE_ALPN);
        ck_assert_uint_eq(reply->fds.n, 1);
        return reply->fds.fds[0];
}

int quic_scene_option_of(int fd, int option) {
        socklen_t length = sizeof(int);
        int value = -1;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, option, &value, &length), 0);
        return value;
}

void quic_scene_expect_connected(int fd, int other_fd) {
        char byte = 0;

        ck_assert_int_eq(quic_scene_option_of(fd, SO_TYPE), SOCK_SEQPACKET);
        ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), 1);
        ck_assert_int_ne(harness_poll(other_fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(other_fd, &byte, 1, 0), 1);
        ck_assert_int_eq(byte, 'x');
}

void quic_scene_expect_end_of_channel(int fd) {
        char byte;

        ck_assert_int_ne(harness_poll(fd, POLLIN | POLLHUP, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
}

uint64_t quic_scene_begin(struct quic_scene *world, struct wire *control, const char *address) {
        wire_send_connect(control, address);
        quic_scene_start_relay(world);
        quic_scene_expect_order(world, NB__RELAY__ORDER__BODY_BEGIN);
        ck_assert_uint_eq(world->relay->fds.n, 2);
        ck_assert_ptr_nonnull(world->relay->order->begin->quic);
        return world->relay->order->begin->link;
}

struct quic_scene_client quic_scene_keep_fds(struct quic_scene *world) {
        const struct quic_scene_client fds = { .socket_fd = world->relay->fds.fds[0],
                                               .channel_fd = world->relay->fds.fds[1] };

        world->relay->fds.n = 0;
        return fds;
}

void quic_scene_close_fds(const struct quic_scene_client *fds) {
        (void)nb_fd_close(fds->socket_fd);
        (void)nb_fd_close(fds->channel_fd);
}

int quic_scene_expect_multiplexed(const struct wire *control, const char *peer) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        ck_assert(wire_receive(control, reply));
        ck_assert_int_eq((int)reply->reply->body_case, (int)NB__REPLY__BODY_CONNECTED);
        ck_assert(reply->reply->connected->multiplexed);
        ck_assert_str_eq(reply->reply->connected->peer, peer);
        ck_assert_str_eq(reply->reply->connected->security->version, "TLS1.3");
        ck_assert_uint_eq(reply->fds.n, 1);
        return reply->fds.fds[0];
}

bool quic_scene_path_is_taken(struct quic_scene *world, uint64_t link, uint32_t path, size_t n_fds) {
        quic_scene_expect_order(world, NB__RELAY__ORDER__BODY_TAKE_PATH);
        ck_assert_uint_eq(world->relay->order->take_path->link, link);
        ck_assert_uint_eq(world->relay->order->take_path->path, path);
        ck_assert_uint_eq(world->relay->fds.n, n_fds);
        return world->relay->order->take_path->allowed;
}
