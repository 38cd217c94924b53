/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of QUIC: two relays that speak with each other over loopback, and the test as the broker of both.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "proto/wasi.h"
#include "relay/context.h"
#include "relay/quic/connection.h"
#include "relay/quic/library.h"
#include "relay/quic/quic.h"
#include "relay/tls/credentials.h"
#include "tests/support/runner.h"
#include "tests/unit/quic_world.h"

static struct certificates certificates;

#define CAUSE(name) NB__RELAY__CAUSE__CAUSE_##name

/* Once for all tests, which do not change them. */
static void make_certificates(void) {
        quic_world_make_certificates(&certificates);
        certificates_make_authority(&certificates, "stranger", NULL);
        certificates_make_client(&certificates, "client", "root", "worker-7.example.net");
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

static void world_init(struct quic_world *world) {
        quic_world_init(world, &certificates, NULL);
}

#define WORLD __attribute__((cleanup(quic_world_deinit))) struct quic_world
#define ENDS __attribute__((cleanup(quic_ends_close))) struct quic_ends

static const struct tls_setup client_with_certificate = {
        .no_tls12 = true,
        .files = { TLS_FILE(TRUST, "root.pem"), TLS_FILE(CLIENT_CERTIFICATE, "client.chain"),
                   TLS_FILE(KEY, "client.key") },
        .alpn = { "test" },
};
static const struct tls_setup plain_server = {
        .as_server = true,
        .no_tls12 = true,
        .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "server.key") },
        .alpn = { "test" },
};
static const struct tls_setup server_that_requires = {
        .as_server = true,
        .no_tls12 = true,
        .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "server.key"), TLS_FILE(TRUST, "root.pem") },
        .alpn = { "test" },
        .client_auth = NB__RELAY__CLIENT_AUTH__CLIENT_AUTH_REQUIRE,
};

static const struct Nb__Relay__Security *ready(struct quic_world *world, struct relay_world *relay) {
        return quic_world_expect(world, relay, NB__RELAY__REPORT__BODY_READY)->ready->security;
}

/* The only connection of a relay. */
static struct quic_connection *connection_of(const struct relay_world *relay) {
        ck_assert(!nb_list_is_empty(&relay->relay.quic->connections));
        return nb_container_of(relay->relay.quic->connections.next, struct quic_connection, in_quic);
}

/* Waits until nothing is left of any connection, closing periods included. */
static void expect_nothing_left(struct quic_world *world) {
        struct relay *relays[] = { &world->client->relay, &world->server->relay };

        for (size_t i = 0; i < 2; ++i) {
                while (!nb_list_is_empty(&relays[i]->quic->connections))
                        quic_world_turn(world);
                ck_assert_uint_eq(relays[i]->n_links, 0);
        }
        ck_assert_uint_eq(relays[0]->n_descriptors, 0);
        ck_assert_uint_eq(relays[1]->n_descriptors, world->n_servers);
}

/* ---- handshakes ---- */

START_TEST(both_sides_are_told_what_was_agreed_on) {
        const Nb__Relay__Security *security;
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_begin(&world, &ends);
        quic_world_take(&world, &ends);
        security = ready(&world, world.server);
        ck_assert_str_eq(security->version, "TLS1.3");
        ck_assert_str_eq(security->cipher, "TLS_AES_128_GCM_SHA256");
        ck_assert_str_eq(security->alpn, "test");
        ck_assert_str_eq(security->server_name, "api.example.com");
        ck_assert_uint_eq(security->n_peer_names, 0);
        ck_assert(!security->resumed);
        security = ready(&world, world.client);
        ck_assert_str_eq(security->version, "TLS1.3");
        ck_assert_str_eq(security->alpn, "test");
        ck_assert_uint_eq(security->n_peer_names, 1);
        ck_assert_str_eq(security->peer_names[0], "api.example.com");
}
END_TEST

/* A client that refuses what it was shown, and what its server hears of that. */
static void refuse(const struct tls_setup *client, Nb__Relay__Cause cause, const char *reason, const char *alert) {
        const Nb__Relay__Ended *ended;
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_use(&world, &certificates, client);
        quic_world_begin(&world, &ends);
        quic_world_take(&world, &ends);
        ended = quic_world_expect_end(&world, world.client, ends.link, cause);
        ck_assert_ptr_nonnull(strstr(ended->reason, reason));
        ended = quic_world_expect_end(&world, world.server, ends.link, CAUSE(TLS_ALERT));
        ck_assert_ptr_nonnull(strstr(ended->reason, alert));
        expect_nothing_left(&world);
}

START_TEST(abuse_41_an_authority_that_is_not_trusted) {
        const struct tls_setup client = {
                .no_tls12 = true,
                .files = { TLS_FILE(TRUST, "stranger.pem") },
                .alpn = { "test" },
        };

        refuse(&client, CAUSE(CERTIFICATE_UNTRUSTED), "authority", "alert");
}
END_TEST

START_TEST(abuse_41_a_certificate_of_another_name) {
        const struct tls_setup client = {
                .no_tls12 = true,
                .files = { TLS_FILE(TRUST, "root.pem") },
                .alpn = { "test" },
                .server_name = "www.example.com",
        };

        refuse(&client, CAUSE(CERTIFICATE_NAME), "not for www.example.com, but for api.example.com", "alert");
}
END_TEST

START_TEST(no_protocol_that_both_speak) {
        const struct tls_setup client = {
                .no_tls12 = true,
                .files = { TLS_FILE(TRUST, "root.pem") },
                .alpn = { "other" },
        };
        const Nb__Relay__Ended *ended;
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_use(&world, &certificates, &client);
        quic_world_begin(&world, &ends);
        quic_world_take(&world, &ends);
        ended = quic_world_expect_end(&world, world.server, ends.link, CAUSE(TLS_ALPN));
        ck_assert_str_eq(ended->reason, "the peer offers no protocol that TLSALPN= names");
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(TLS_ALPN));
        expect_nothing_left(&world);
}
END_TEST

/* GnuTLS has a server take one that offers nothing. */
START_TEST(a_client_that_offers_no_protocol) {
        struct tls_credentials *credentials;
        const Nb__Relay__Ended *ended;
        WORLD world;
        ENDS ends;

        world_init(&world);
        credentials = context_find(&world.client->relay, world.client_context)->tls;
        credentials->n_alpn = 0;
        quic_world_begin(&world, &ends);
        quic_world_take(&world, &ends);
        ended = quic_world_expect_end(&world, world.server, ends.link, CAUSE(TLS_ALPN));
        ck_assert_str_eq(ended->reason, "the peer offers no protocol that TLSALPN= names");
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(TLS_ALPN));
        expect_nothing_left(&world);
        credentials->n_alpn = 1; /* it is there, and freed */
}
END_TEST

START_TEST(a_client_shows_its_certificate) {
        const Nb__Relay__Security *security;
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_use(&world, &certificates, &client_with_certificate);
        quic_world_use(&world, &certificates, &server_that_requires);
        quic_world_begin(&world, &ends);
        quic_world_take(&world, &ends);
        security = ready(&world, world.server);
        ck_assert_uint_eq(security->n_peer_names, 1);
        ck_assert_str_eq(security->peer_names[0], "worker-7.example.net");
        (void)ready(&world, world.client);
}
END_TEST

/* A client's handshake is complete before its server has judged what it shows: it must not be ready then. */
START_TEST(abuse_41_a_client_without_a_certificate) {
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_use(&world, &certificates, &server_that_requires);
        quic_world_begin(&world, &ends);
        quic_world_take(&world, &ends);
        (void)quic_world_expect_end(&world, world.server, ends.link, CAUSE(CERTIFICATE_MISSING));
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(TLS_ALERT));
        expect_nothing_left(&world);
}
END_TEST

START_TEST(a_context_without_protocols_is_none_for_quic) {
        const struct tls_setup client = { .no_tls12 = true, .files = { TLS_FILE(TRUST, "root.pem") } };
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_use(&world, &certificates, &client);
        quic_world_begin(&world, &ends);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(TLS_CONTEXT));
        expect_nothing_left(&world);
}
END_TEST

START_TEST(nobody_takes_the_client_in_time) {
        WORLD world;
        ENDS ends;

        world_init(&world);
        world.timeout_ms = 300;
        quic_world_begin(&world, &ends);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(TIMED_OUT));
        expect_nothing_left(&world);
}
END_TEST

START_TEST(nobody_listens) {
        struct sockaddr_in nobody = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(nobody);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        WORLD world;
        ENDS ends;

        world_init(&world);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&nobody, size), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&nobody, &size), 0);
        ck_assert_int_eq(close(fd), 0);
        world.address = nobody;
        quic_world_begin(&world, &ends);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(QUIC_REFUSED));
        expect_nothing_left(&world);
}
END_TEST

/* ---- resumption ---- */

static bool second_is_resumed(struct quic_world *world) {
        bool resumed;
        ENDS ends;

        {
                ENDS first;

                quic_world_connect(world, &first);
                /* The ticket comes behind what confirms the handshake, or with it. */
                for (int i = 0; i < 50; ++i)
                        quic_world_turn(world);
        }
        quic_world_begin(world, &ends);
        quic_world_take(world, &ends);
        for (;;) {
                const Nb__Relay__Report *report = quic_world_report(world, world->server);

                if (report->body_case != NB__RELAY__REPORT__BODY_READY)
                        continue;
                resumed = report->ready->security->resumed;
                break;
        }
        for (;;) {
                const Nb__Relay__Report *report = quic_world_report(world, world->client);

                if (report->body_case != NB__RELAY__REPORT__BODY_READY)
                        continue;
                ck_assert_int_eq(report->ready->security->resumed, resumed);
                ck_assert_uint_eq(report->ready->security->n_peer_names, 1);
                return resumed;
        }
}

START_TEST(a_session_is_resumed) {
        WORLD world;

        world_init(&world);
        ck_assert(second_is_resumed(&world));
}
END_TEST

START_TEST(nothing_is_resumed_without_tickets) {
        const struct tls_setup server = {
                .as_server = true,
                .no_tls12 = true,
                .no_tickets = true,
                .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "server.key") },
                .alpn = { "test" },
        };
        WORLD world;

        world_init(&world);
        quic_world_use(&world, &certificates, &server);
        ck_assert(!second_is_resumed(&world));
}
END_TEST

/* ---- ends ---- */

static void expect_closed(struct quic_world *world, struct quic_host *host, uint32_t error) {
        struct nb_channel_fds fds;
        const Nb__Reply *reply = quic_host_expect(world, host, NB__REPLY__BODY_CONNECTION_CLOSED, &fds);

        ck_assert_uint_eq(fds.n, 0);
        ck_assert_uint_eq(reply->connection_closed->error, error);
}

START_TEST(a_guest_closes) {
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_connect(&world, &ends);
        ends.client.fd = nb_fd_close(ends.client.fd);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(GUEST_GONE));
        (void)quic_world_expect_end(&world, world.server, ends.link, CAUSE(CLOSED));
        expect_closed(&world, &ends.server, 0);
        expect_nothing_left(&world);
}
END_TEST

START_TEST(the_broker_ends) {
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_connect(&world, &ends);
        relay_world_end(world.server, ends.link);
        (void)quic_world_expect_end(&world, world.server, ends.link, CAUSE(ENDED));
        expect_closed(&world, &ends.server, NB_WASI_ECONNRESET);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(CLOSED));
        expect_closed(&world, &ends.client, 0);
        expect_nothing_left(&world);
}
END_TEST

START_TEST(an_error_is_told_to_the_peer) {
        const Nb__Relay__Ended *ended;
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_connect(&world, &ends);
        quic_connection_fail(connection_of(world.client), CAUSE(INTERNAL), "something is wrong");
        ended = quic_world_expect_end(&world, world.client, ends.link, CAUSE(INTERNAL));
        ck_assert_str_eq(ended->reason, "something is wrong");
        (void)quic_world_expect_end(&world, world.server, ends.link, CAUSE(QUIC_PROTOCOL));
        expect_closed(&world, &ends.server, NB_WASI_ECONNRESET);
        expect_nothing_left(&world);
}
END_TEST

/* The library says the same of a peer that leaves too many gaps and of itself: nobody is accused. */
START_TEST(what_may_be_the_peers_fault_is_not_called_ours) {
        const Nb__Relay__Ended *ended;
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_connect(&world, &ends);
        quic_ending_note_library(connection_of(world.server), NGTCP2_ERR_INTERNAL);
        ended = quic_world_expect_end(&world, world.server, ends.link, CAUSE(QUIC_PROTOCOL));
        ck_assert_str_eq(ended->reason,
                         "QUIC could not go on: the peer leaves too many gaps, or the library has failed");
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(QUIC_PROTOCOL));
        expect_nothing_left(&world);
}
END_TEST

START_TEST(nothing_comes_for_too_long) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        WORLD world;
        ENDS ends;

        quic.streams_max = 10;
        quic.stream_window = quic.connection_window = 65536;
        quic.idle_timeout_ms = 300;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
        (void)quic_world_expect_end(&world, world.server, ends.link, CAUSE(IDLE));
        expect_closed(&world, &ends.server, NB_WASI_ETIMEDOUT);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(IDLE));
        expect_closed(&world, &ends.client, NB_WASI_ETIMEDOUT);
        expect_nothing_left(&world);
}
END_TEST

/* A server that has lost it answers by what only it can know. */
START_TEST(a_server_that_has_forgotten) {
        WORLD world;
        ENDS ends;
        int fd;

        world_init(&world);
        quic_world_connect(&world, &ends);
        (void)quic_connection_free(connection_of(world.server));
        fd = quic_host_create(&world, &ends.client, false, NULL);
        ck_assert_int_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(QUIC_STATELESS_RESET));
        expect_closed(&world, &ends.client, NB_WASI_ECONNRESET);
        ck_assert_int_eq(close(fd), 0);
        expect_nothing_left(&world);
}
END_TEST

/* ---- keys ---- */

static void echo_a_byte(struct quic_world *world, int client, int server) {
        quic_world_send(world, client, "x", 1);
        quic_world_receive(world, server, "x", 1);
        quic_world_send(world, server, "y", 1);
        quic_world_receive(world, client, "y", 1);
}

START_TEST(keys_are_updated) {
        WORLD world;
        ENDS ends;
        int client, server;

        world_init(&world);
        quic_world_connect(&world, &ends);
        client = quic_host_create(&world, &ends.client, false, NULL);
        quic_world_send(&world, client, "x", 1);
        server = quic_host_accept(&world, &ends.server, 1, NULL);
        quic_world_receive(&world, server, "x", 1);
        echo_a_byte(&world, client, server);
        ck_assert_int_eq(ngtcp2_conn_initiate_key_update(connection_of(world.client)->conn, quic_library_now()), 0);
        echo_a_byte(&world, client, server);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

/* Which is TLS's own way to do it, and forbidden over QUIC (RFC 9001, 6). */
START_TEST(abuse_43_a_key_update_of_tls) {
        const uint8_t key_update[] = { 24, 0, 0, 1, 0 };
        struct quic_connection *connection;
        WORLD world;
        ENDS ends;

        world_init(&world);
        quic_world_connect(&world, &ends);
        connection = connection_of(world.client);
        ck_assert_int_eq(ngtcp2_conn_submit_crypto_data(connection->conn, NGTCP2_ENCRYPTION_LEVEL_1RTT, key_update,
                                                        sizeof(key_update)),
                         0);
        quic_connection_run_later(connection);
        (void)quic_world_expect_end(&world, world.server, ends.link, CAUSE(TLS_PROTOCOL));
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(TLS_ALERT));
        expect_nothing_left(&world);
}
END_TEST

/* ---- paths ---- */

/* The client's NAT forgets it: what it sends comes from another port. */
static void rebind(const struct quic_world *world, const struct quic_ends *ends) {
        const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

        ck_assert_int_eq(connect(ends->socket, &nowhere, sizeof(nowhere)), 0);
        ck_assert_int_eq(connect(ends->socket, (const struct sockaddr *)&world->address, sizeof(world->address)), 0);
}

static const char *address_of(int fd, char text[static NB_ADDRESS_TEXT_MAX]) {
        struct sockaddr_storage bytes;
        socklen_t size = sizeof(bytes);
        struct nb_address address;

        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&bytes, &size), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&bytes, size, &address), 0);
        return nb_address_format(&address, text);
}

/* @param fd  borrowed; -1: none */
static void take_path(struct relay_world *relay, uint64_t link, uint32_t path, bool allowed, int fd) {
        Nb__Relay__TakePath take = NB__RELAY__TAKE_PATH__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;

        take.link = link;
        take.path = path;
        take.allowed = allowed;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PATH;
        order.take_path = &take;
        relay_world_order(relay, &order, &fd, fd >= 0 ? 1 : 0);
}

static void expect_new_path(struct quic_world *world, const struct quic_ends *ends, uint32_t number) {
        const Nb__Relay__NewPath *path =
                quic_world_expect(world, world->server, NB__RELAY__REPORT__BODY_NEW_PATH)->new_path;
        char text[NB_ADDRESS_TEXT_MAX];

        ck_assert_uint_eq(path->link, ends->link);
        ck_assert_uint_eq(path->path, number);
        ck_assert(!path->preferred);
        ck_assert_str_eq(path->address, address_of(ends->socket, text));
}

/* Both ends of a stream that the client has made. */
static void make_stream(struct quic_world *world, struct quic_ends *ends, int *ret_client, int *ret_server) {
        *ret_client = quic_host_create(world, &ends->client, false, NULL);
        quic_world_send(world, *ret_client, "x", 1);
        *ret_server = quic_host_accept(world, &ends->server, 1, NULL);
        quic_world_receive(world, *ret_server, "x", 1);
}

START_TEST(a_client_moves_where_it_may) {
        WORLD world;
        ENDS ends;
        int client, server;

        world_init(&world);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);
        for (uint32_t path = 1; path <= 3; ++path) {
                rebind(&world, &ends);
                quic_world_send(&world, client, "a", 1);
                expect_new_path(&world, &ends, path);
                take_path(world.server, ends.link, path, true, -1);
                quic_world_receive(&world, server, "a", 1);
                echo_a_byte(&world, client, server);
        }
        ck_assert_uint_eq(connection_of(world.server)->paths.n_taken, 3);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

START_TEST(abuse_43_a_client_moves_where_it_may_not) {
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        WORLD world;
        ENDS ends;
        int client, server;

        quic.streams_max = 10;
        quic.stream_window = quic.connection_window = 65536;
        quic.idle_timeout_ms = 500;
        quic_world_init(&world, &certificates, &quic);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);
        rebind(&world, &ends);
        quic_world_send(&world, client, "a", 1);
        expect_new_path(&world, &ends, 1);
        take_path(world.server, ends.link, 1, false, -1);
        /* The broker is not asked again, however often the client repeats itself, and the guest sees nothing of it. */
        (void)quic_world_expect_end(&world, world.server, ends.link, CAUSE(QUIC_PATH));
        ck_assert_int_eq(quic_world_read(&world, server, (char[1]){ 0 }, 1), -ECONNRESET);
        expect_closed(&world, &ends.server, NB_WASI_ETIMEDOUT);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(IDLE));
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

/* Whoever has seen the connection's packets repeats one from everywhere: one question is open at a time, and so many are asked in a minute. */
START_TEST(abuse_43_few_paths_are_asked_about) {
        uint32_t n_asked = 0;
        WORLD world;
        ENDS ends;
        int client, server;

        world_init(&world);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);
        for (uint32_t i = 1; i <= NB_RELAY_PATHS_A_MINUTE; ++i) {
                rebind(&world, &ends);
                quic_world_send(&world, client, "a", 1);
                while (connection_of(world.server)->paths.asked.remote.any.sa_family == 0 &&
                       connection_of(world.server)->paths.n_in_minute < NB_RELAY_PATHS_A_MINUTE / 2)
                        quic_world_turn(&world);
                if (connection_of(world.server)->paths.asked.remote.any.sa_family == 0)
                        break;
                expect_new_path(&world, &ends, ++n_asked);
                take_path(world.server, ends.link, n_asked, false, -1);
                while (connection_of(world.server)->paths.asked.remote.any.sa_family != 0)
                        quic_world_turn(&world);
        }
        ck_assert_uint_eq(n_asked, NB_RELAY_PATHS_A_MINUTE / 2);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

/* Another address of the same server, as it would announce it. */
static ngtcp2_preferred_addr preferred_address(const struct quic_world *world) {
        ngtcp2_preferred_addr preferred = { .ipv4_present = 1 };

        preferred.ipv4.sin_family = AF_INET;
        preferred.ipv4.sin_port = world->address.sin_port;
        preferred.ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
        return preferred;
}

static void expect_preferred(struct quic_world *world, struct quic_ends *ends) {
        const ngtcp2_preferred_addr preferred = preferred_address(world);
        struct quic_connection *connection = connection_of(world->client);
        const Nb__Relay__NewPath *path;
        struct nb_address address;
        char text[NB_ADDRESS_TEXT_MAX];

        ck_assert_int_eq(quic_paths_on_preferred(connection->conn, NULL, &preferred, connection), 0);
        quic_connection_run_later(connection);
        path = quic_world_expect(world, world->client, NB__RELAY__REPORT__BODY_NEW_PATH)->new_path;
        ck_assert_uint_eq(path->link, ends->link);
        ck_assert_uint_eq(path->path, 1);
        ck_assert(path->preferred);
        ck_assert_int_eq(nb_address_from_sockaddr((const struct sockaddr *)&preferred.ipv4, sizeof(preferred.ipv4),
                                                  &address),
                         0);
        ck_assert_str_eq(path->address, nb_address_format(&address, text));
}

/* Of the socket that it moves to. */
static void expect_no_harm_of_hearsay(struct quic_connection *connection) {
        struct quic_paths *paths = &connection->paths;

        ck_assert_ptr_nonnull(paths->other);
        ck_assert(quic_paths_socket_failed(connection, paths->other, ECONNREFUSED));
        ck_assert(!paths->has_failed);
        quic_connection_run_later(connection);
}

START_TEST(a_server_prefers_another_address) {
        struct quic_connection *connection;
        ngtcp2_preferred_addr preferred;
        uint32_t n_descriptors;
        WORLD world;
        ENDS ends;
        int client, server, fd;

        world_init(&world);
        world.is_wildcard = true;
        quic_world_use(&world, &certificates, &plain_server);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);
        expect_preferred(&world, &ends);
        n_descriptors = world.client->relay.n_descriptors;
        ck_assert_uint_eq(n_descriptors, 3); /* the socket, the channel, and a stream */

        preferred = preferred_address(&world);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&preferred.ipv4, sizeof(preferred.ipv4)), 0);
        take_path(world.client, ends.link, 1, true, fd);
        nb_fd_close(ends.socket);
        ends.socket = fd;
        expect_new_path(&world, &ends, 1);
        take_path(world.server, ends.link, 1, true, -1);

        connection = connection_of(world.client);
        expect_no_harm_of_hearsay(connection);
        while (!connection->paths.has_moved)
                quic_world_turn(&world);
        ck_assert_uint_eq(connection->paths.n_taken, 1);
        echo_a_byte(&world, client, server);
        /* The old socket goes when nothing comes there any more. */
        while (connection->paths.other)
                quic_world_turn(&world);
        ck_assert_uint_eq(world.client->relay.n_descriptors, n_descriptors);
        echo_a_byte(&world, client, server);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

/* The kernel has ended the socket that it was to move to. */
START_TEST(a_client_stays_whose_other_socket_was_ended) {
        ngtcp2_preferred_addr preferred;
        struct quic_connection *connection;
        WORLD world;
        ENDS ends;
        int client, server, fd;

        world_init(&world);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);
        expect_preferred(&world, &ends);
        preferred = preferred_address(&world);
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&preferred.ipv4, sizeof(preferred.ipv4)), 0);
        take_path(world.client, ends.link, 1, true, fd);
        ck_assert_int_eq(close(fd), 0);
        connection = connection_of(world.client);
        while (!connection->paths.other)
                quic_world_turn(&world);
        ck_assert(quic_paths_socket_failed(connection, connection->paths.other, ECONNABORTED));
        quic_connection_run_later(connection);
        while (connection->paths.other)
                quic_world_turn(&world);
        echo_a_byte(&world, client, server);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

START_TEST(abuse_43_a_server_prefers_an_address_that_it_may_not) {
        WORLD world;
        ENDS ends;
        int client, server;

        world_init(&world);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);
        expect_preferred(&world, &ends);
        take_path(world.client, ends.link, 1, false, -1);
        echo_a_byte(&world, client, server);
        ck_assert_ptr_null(connection_of(world.client)->paths.other);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

/* What anybody can say by ICMP ends no connection that has heard of its peer; what the kernel says of the socket does. */
START_TEST(hearsay_ends_nothing) {
        const int hearsay[] = { EACCES, ECONNREFUSED, EHOSTDOWN,   EHOSTUNREACH, ENETDOWN,
                                ENONET, ENETUNREACH,  ENOPROTOOPT, EOPNOTSUPP,   EPROTO };
        struct quic_connection *connection;
        WORLD world;
        ENDS ends;
        int client, server;

        world_init(&world);
        quic_world_connect(&world, &ends);
        connection = connection_of(world.client);
        for (size_t i = 0; i < sizeof(hearsay) / sizeof(hearsay[0]); ++i)
                quic_connection_socket_failed(connection, hearsay[i]);
        make_stream(&world, &ends, &client, &server);
        echo_a_byte(&world, client, server);
        quic_connection_socket_failed(connection, ECONNABORTED);
        (void)quic_world_expect_end(&world, world.client, ends.link, CAUSE(RESET));
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

/* What a peer chooses and nobody can be at, or not by the socket that there is, is not asked about: the broker would end the relay for it, with all that it has. */
START_TEST(abuse_43_what_is_no_address_is_not_asked_about) {
        const uint8_t bytes[64] = { 0x40 };
        struct quic_packet packet = { .bytes = bytes, .length = sizeof(bytes) };
        struct quic_connection *connection;
        ngtcp2_preferred_addr preferred[3];
        WORLD world;
        ENDS ends;
        int client, server;

        world_init(&world);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);

        preferred[0] = preferred[1] = preferred_address(&world);
        preferred[0].ipv4.sin_port = 0;
        preferred[1].ipv4.sin_addr.s_addr = htonl(INADDR_ANY);
        preferred[2] = (ngtcp2_preferred_addr){ .ipv6_present = 1 };
        preferred[2].ipv6.sin6_family = AF_INET6;
        preferred[2].ipv6.sin6_port = world.address.sin_port;
        preferred[2].ipv6.sin6_addr = in6addr_loopback;
        connection = connection_of(world.client);
        for (size_t i = 0; i < sizeof(preferred) / sizeof(preferred[0]); ++i) {
                ck_assert_int_eq(quic_paths_on_preferred(connection->conn, NULL, &preferred[i], connection), 0);
                ck_assert(!connection->paths.is_announced);
        }

        /* One of IPv6, whose server writes an address of IPv4 as one of IPv6. */
        connection->paths.allowed[0].in6 =
                (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = 1, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:127.0.0.2", &preferred[2].ipv6.sin6_addr), 1);
        ck_assert_int_eq(quic_paths_on_preferred(connection->conn, NULL, &preferred[2], connection), 0);
        ck_assert(!connection->paths.is_announced);

        /* The kernel lets everybody send from port 0 who can write packets himself. */
        connection = connection_of(world.server);
        packet.path.remote.in = world.address;
        packet.path.remote.in.sin_port = 0;
        ck_assert(!quic_paths_admit(connection, &packet));
        ck_assert_int_eq(connection->paths.asked.remote.any.sa_family, 0);
        echo_a_byte(&world, client, server);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

/* ---- facts ---- */

START_TEST(facts_are_told_while_they_change) {
        const Nb__Relay__QuicFacts *facts;
        WORLD world;
        ENDS ends;
        int client, server;

        world_init(&world);
        quic_world_connect(&world, &ends);
        make_stream(&world, &ends, &client, &server);
        facts = quic_world_expect(&world, world.client, NB__RELAY__REPORT__BODY_QUIC_STATE)->quic_state->connections[0];
        ck_assert_uint_eq(facts->link, ends.link);
        ck_assert_uint_gt(facts->rtt_us, 0);
        ck_assert_uint_gt(facts->rtt_min_us, 0);
        ck_assert_uint_gt(facts->congestion_window, 0);
        ck_assert_uint_gt(facts->packets_sent, 2);
        ck_assert_uint_gt(facts->packets_received, 2);
        ck_assert_uint_gt(facts->bytes_sent, 2400);
        ck_assert_uint_eq(facts->streams, 1);
        ck_assert_uint_eq(facts->streams_created, 1);
        ck_assert_uint_eq(facts->streams_accepted, 0);
        ck_assert_int_eq(close(client), 0);
        ck_assert_int_eq(close(server), 0);
}
END_TEST

static Suite *make_suite(void) {
        TCase *paths = tcase_create("paths");
        TCase *facts = tcase_create("facts");
        Suite *suite = suite_create("relay_quic_connection");
        TCase *handshake = tcase_create("handshake");
        TCase *end = tcase_create("end");

        tcase_add_unchecked_fixture(handshake, make_certificates, remove_certificates);
        tcase_add_test(handshake, both_sides_are_told_what_was_agreed_on);
        tcase_add_test(handshake, abuse_41_an_authority_that_is_not_trusted);
        tcase_add_test(handshake, abuse_41_a_certificate_of_another_name);
        tcase_add_test(handshake, no_protocol_that_both_speak);
        tcase_add_test(handshake, a_client_that_offers_no_protocol);
        tcase_add_test(handshake, a_client_shows_its_certificate);
        tcase_add_test(handshake, abuse_41_a_client_without_a_certificate);
        tcase_add_test(handshake, a_context_without_protocols_is_none_for_quic);
        tcase_add_test(handshake, nobody_takes_the_client_in_time);
        tcase_add_test(handshake, nobody_listens);
        tcase_add_test(handshake, a_session_is_resumed);
        tcase_add_test(handshake, nothing_is_resumed_without_tickets);
        suite_add_tcase(suite, handshake);

        tcase_add_unchecked_fixture(end, make_certificates, remove_certificates);
        tcase_add_test(end, a_guest_closes);
        tcase_add_test(end, the_broker_ends);
        tcase_add_test(end, an_error_is_told_to_the_peer);
        tcase_add_test(end, what_may_be_the_peers_fault_is_not_called_ours);
        tcase_add_test(end, nothing_comes_for_too_long);
        tcase_add_test(end, a_server_that_has_forgotten);
        tcase_add_test(end, keys_are_updated);
        tcase_add_test(end, abuse_43_a_key_update_of_tls);
        suite_add_tcase(suite, end);

        tcase_add_unchecked_fixture(paths, make_certificates, remove_certificates);
        tcase_add_test(paths, a_client_moves_where_it_may);
        tcase_add_test(paths, abuse_43_a_client_moves_where_it_may_not);
        tcase_add_test(paths, abuse_43_few_paths_are_asked_about);
        tcase_add_test(paths, a_server_prefers_another_address);
        tcase_add_test(paths, a_client_stays_whose_other_socket_was_ended);
        tcase_add_test(paths, abuse_43_a_server_prefers_an_address_that_it_may_not);
        tcase_add_test(paths, abuse_43_what_is_no_address_is_not_asked_about);
        tcase_add_test(paths, hearsay_ends_nothing);
        suite_add_tcase(suite, paths);

        tcase_add_unchecked_fixture(facts, make_certificates, remove_certificates);
        tcase_add_test(facts, facts_are_told_while_they_change);
        suite_add_tcase(suite, facts);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
