/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/quic_world.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Behind the numbers of all links. */
#define SERVERS 1000000u

void quic_world_make_certificates(struct certificates *certificates) {
        certificates_init(certificates);
        certificates_make_authority(certificates, "root", NULL);
        certificates_make_server(certificates, "server", "root", "api.example.com");
}

/* ---- both relays ---- */

static uint32_t send_context(struct quic_world *world, const struct certificates *certificates,
                             const struct tls_setup *setup) {
        struct relay_world *relay = setup->as_server ? world->server : world->client;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct tls_order context;

        tls_order_init(&context, certificates, setup);
        context.context.id = ++world->n_contexts;
        order.body_case = NB__RELAY__ORDER__BODY_CONTEXT;
        order.context = &context.context;
        relay_world_order(relay, &order, context.fds, context.context.n_files);
        tls_order_deinit(&context);
        (void)relay_world_expect(relay, NB__RELAY__REPORT__BODY_LOADED);
        return world->n_contexts;
}

static int udp_socket(uint32_t where, struct sockaddr_in *ret_address) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(where) };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        socklen_t size = sizeof(address);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
        *ret_address = address;
        return fd;
}

static void serve(struct quic_world *world, uint32_t context) {
        Nb__Relay__Serve serve = NB__RELAY__SERVE__INIT;
        Nb__Relay__Credit credit = NB__RELAY__CREDIT__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        int fd = udp_socket(world->is_wildcard ? INADDR_ANY : INADDR_LOOPBACK, &world->address);

        world->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        world->n_peers = 0;
        serve.server = SERVERS + ++world->n_servers;
        serve.waiting_max = 64;
        serve.peers_max = 1024;
        serve.quic = &world->quic;
        serve.tls_context = context;
        serve.handshake_timeout_ms = 10000;
        order.body_case = NB__RELAY__ORDER__BODY_SERVE;
        order.serve = &serve;
        relay_world_order(world->server, &order, &fd, 1);
        ck_assert_int_eq(close(fd), 0);

        credit.server = SERVERS + world->n_servers;
        credit.total = UINT32_MAX;
        order.body_case = NB__RELAY__ORDER__BODY_CREDIT;
        order.credit = &credit;
        relay_world_order(world->server, &order, NULL, 0);
}

static const struct tls_setup client_setup = {
        .no_tls12 = true,
        .files = { TLS_FILE(TRUST, "root.pem") },
        .alpn = { "test" },
};

static const struct tls_setup server_setup = {
        .as_server = true,
        .no_tls12 = true,
        .files = { TLS_FILE(CERTIFICATE, "server.chain"), TLS_FILE(KEY, "server.key") },
        .alpn = { "test" },
};

void quic_world_use(struct quic_world *world, const struct certificates *certificates, const struct tls_setup *setup) {
        uint32_t context = send_context(world, certificates, setup);

        if (setup->as_server)
                serve(world, context);
        else
                world->client_context = context;
        if (setup->server_name)
                world->server_name = setup->server_name;
}

void quic_world_init(struct quic_world *world, const struct certificates *certificates, const Nb__Relay__Quic *quic) {
        *world = (struct quic_world){ .client = relay_world_new(1024), .server = relay_world_new(1024) };
        if (quic) {
                world->quic = *quic;
        } else {
                nb__relay__quic__init(&world->quic);
                world->quic.streams_max = 100;
                world->quic.stream_window = 256 * 1024;
                world->quic.connection_window = 1024 * 1024;
                world->quic.idle_timeout_ms = 30000;
        }
        world->server_name = "api.example.com";
        world->timeout_ms = 10000;
        quic_world_use(world, certificates, &client_setup);
        quic_world_use(world, certificates, &server_setup);
}

void quic_world_deinit(struct quic_world *world) {
        world->client = relay_world_free(world->client);
        world->server = relay_world_free(world->server);
}

void quic_world_turn(struct quic_world *world) {
        struct pollfd ready[] = {
                { .fd = world->client->relay.watches.epoll_fd, .events = POLLIN },
                { .fd = world->server->relay.watches.epoll_fd, .events = POLLIN },
        };

        relay_turn(&world->client->relay, false);
        relay_turn(&world->server->relay, false);
        if (nb_list_is_empty(&world->client->relay.queue) && nb_list_is_empty(&world->server->relay.queue))
                (void)poll(ready, 2, 1);
}

const Nb__Relay__Report *quic_world_report(struct quic_world *world, struct relay_world *relay) {
        Nb__Relay__Report *report;
        int length;

        while ((length = nb_channel_receive_bytes(relay->channel, relay->frame)) == -EAGAIN)
                quic_world_turn(world);
        ck_assert_int_gt(length, 0);
        ck_assert_int_eq(nb_relay_report_decode(&relay->arena, relay->frame, (size_t)length, &report), 0);
        return report;
}

const Nb__Relay__Report *quic_world_expect(struct quic_world *world, struct relay_world *relay,
                                           Nb__Relay__Report__BodyCase kind) {
        for (;;) {
                const Nb__Relay__Report *report = quic_world_report(world, relay);

                if (report->body_case == kind)
                        return report;
                if (report->body_case == NB__RELAY__REPORT__BODY_ENDED)
                        ck_abort_msg("the link has ended: %d %s", report->ended->cause, report->ended->reason);
                /* Figures come at any time. */
                ck_assert_int_eq(report->body_case, NB__RELAY__REPORT__BODY_QUIC_STATE);
        }
}

const Nb__Relay__Ended *quic_world_expect_end(struct quic_world *world, struct relay_world *relay, uint64_t link,
                                              Nb__Relay__Cause cause) {
        const Nb__Relay__Ended *ended = quic_world_expect(world, relay, NB__RELAY__REPORT__BODY_ENDED)->ended;

        ck_assert_uint_eq(ended->link, link);
        if (ended->cause != cause)
                ck_abort_msg("ended by %d, not by %d: %s", ended->cause, cause, ended->reason);
        return ended;
}

/* ---- a connection ---- */

void quic_world_begin(struct quic_world *world, struct quic_ends *ends) {
        Nb__Relay__Begin begin = NB__RELAY__BEGIN__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        struct sockaddr_in local;
        int fds[2], pair[2];

        ends->link = ++world->n_links;
        memset(&ends->client, 0, offsetof(struct quic_host, arena));
        memset(&ends->server, 0, offsetof(struct quic_host, arena));
        ends->client.fd = ends->server.fd = -1;
        fds[0] = udp_socket(INADDR_LOOPBACK, &local);
        ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&world->address, sizeof(world->address)), 0);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        fds[1] = pair[0];
        ends->client.fd = pair[1];
        begin.link = ends->link;
        begin.role = NB__RELAY__ROLE__ROLE_CLIENT;
        begin.tls_context = world->client_context;
        begin.server_name = (char *)(uintptr_t)world->server_name;
        begin.timeout_ms = world->timeout_ms;
        begin.quic = &world->quic;
        order.body_case = NB__RELAY__ORDER__BODY_BEGIN;
        order.begin = &begin;
        relay_world_order(world->client, &order, fds, 2);
        ends->socket = nb_steal_fd(&fds[0]);
        nb_fds_close(fds, 2);
}

void quic_world_take(struct quic_world *world, struct quic_ends *ends) {
        const Nb__Relay__Report *report = quic_world_expect(world, world->server, NB__RELAY__REPORT__BODY_NEW_PEER);
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__Order order = NB__RELAY__ORDER__INIT;
        int pair[2];

        ck_assert_uint_eq(report->new_peer->peer, ++world->n_peers);
        ck_assert_int_eq(nb_channel_pair(pair), 0);
        ends->server.fd = pair[1];
        take.server = SERVERS + world->n_servers;
        take.peer = world->n_peers;
        take.allowed = true;
        take.link = ends->link;
        order.body_case = NB__RELAY__ORDER__BODY_TAKE_PEER;
        order.take_peer = &take;
        relay_world_order(world->server, &order, &pair[0], 1);
        ck_assert_int_eq(close(pair[0]), 0);
}

void quic_world_connect(struct quic_world *world, struct quic_ends *ends) {
        quic_world_begin(world, ends);
        quic_world_take(world, ends);
        ck_assert_uint_eq(quic_world_expect(world, world->server, NB__RELAY__REPORT__BODY_READY)->ready->link,
                          ends->link);
        ck_assert_uint_eq(quic_world_expect(world, world->client, NB__RELAY__REPORT__BODY_READY)->ready->link,
                          ends->link);
}

void quic_ends_close(struct quic_ends *ends) {
        ends->client.fd = nb_fd_close(ends->client.fd);
        ends->server.fd = nb_fd_close(ends->server.fd);
        ends->socket = nb_fd_close(ends->socket);
}

/* ---- a host ---- */

const Nb__Reply *quic_host_expect(struct quic_world *world, struct quic_host *host, Nb__Reply__BodyCase kind,
                                  struct nb_channel_fds *ret_fds) {
        Nb__Reply *reply;
        int length;

        for (;;) {
                while ((length = nb_channel_receive(host->fd, host->frame, ret_fds)) == -EAGAIN)
                        quic_world_turn(world);
                ck_assert_int_gt(length, 0);
                ck_assert_int_eq(nb_reply_decode(&host->arena, host->frame, (size_t)length, &reply), 0);
                if (reply->body_case == NB__REPLY__BODY_STREAMS) {
                        host->allowed[0] = reply->streams->bidirectional;
                        host->allowed[1] = reply->streams->unidirectional;
                }
                if (reply->body_case == kind)
                        return reply;
                /* Totals come at any time. */
                ck_assert_int_eq(reply->body_case, NB__REPLY__BODY_STREAMS);
        }
}

void quic_host_ask(struct quic_host *host, Nb__Request *request) {
        if (request->body_case != NB__REQUEST__BODY_CREDIT)
                request->serial = ++host->serial;
        ck_assert_int_eq(nb_request_send(host->fd, request, NULL, 0), 0);
}

void quic_host_wait_for_room(struct quic_world *world, struct quic_host *host, bool unidirectional, uint64_t n) {
        struct nb_channel_fds fds;

        while (host->allowed[unidirectional] <= n) {
                (void)quic_host_expect(world, host, NB__REPLY__BODY_STREAMS, &fds);
                ck_assert_uint_eq(fds.n, 0);
        }
}

int quic_host_create(struct quic_world *world, struct quic_host *host, bool unidirectional, uint64_t *ret_id) {
        Nb__StreamCreate create = NB__STREAM_CREATE__INIT;
        Nb__Request request = NB__REQUEST__INIT;
        struct nb_channel_fds fds;
        const Nb__Reply *reply;

        quic_host_wait_for_room(world, host, unidirectional, 0);
        create.unidirectional = unidirectional;
        request.body_case = NB__REQUEST__BODY_STREAM_CREATE;
        request.stream_create = &create;
        quic_host_ask(host, &request);
        reply = quic_host_expect(world, host, NB__REPLY__BODY_STREAM_CREATED, &fds);
        ck_assert_uint_eq(fds.n, 1);
        if (ret_id)
                *ret_id = reply->stream_created->id;
        return fds.fds[0];
}

void quic_host_credit(struct quic_host *host, uint64_t total) {
        Nb__Credit credit = NB__CREDIT__INIT;
        Nb__Request request = NB__REQUEST__INIT;

        credit.total = total;
        request.body_case = NB__REQUEST__BODY_CREDIT;
        request.credit = &credit;
        quic_host_ask(host, &request);
}

int quic_host_accept(struct quic_world *world, struct quic_host *host, uint64_t number, uint64_t *ret_id) {
        struct nb_channel_fds fds;
        const Nb__Reply *reply = quic_host_expect(world, host, NB__REPLY__BODY_STREAM_INCOMING, &fds);

        ck_assert_uint_eq(fds.n, 1);
        ck_assert_uint_eq(reply->stream_incoming->number, number);
        ck_assert_int_eq(reply->stream_incoming->unidirectional, (reply->stream_incoming->id & 2) != 0);
        if (ret_id)
                *ret_id = reply->stream_incoming->id;
        return fds.fds[0];
}

/* ---- bytes ---- */

void quic_world_send(struct quic_world *world, int fd, const void *bytes, size_t length) {
        size_t done = 0;

        while (done < length) {
                ssize_t n = send(fd, (const char *)bytes + done, length - done, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN)
                        ck_abort_msg("send: %s", strerror(errno));
                done += n > 0 ? (size_t)n : 0;
                quic_world_turn(world);
        }
}

ssize_t quic_world_read(struct quic_world *world, int fd, void *buffer, size_t size) {
        ssize_t n;

        while ((n = recv(fd, buffer, size, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
                quic_world_turn(world);
        return n < 0 ? -errno : n;
}

void quic_world_receive(struct quic_world *world, int fd, const void *bytes, size_t length) {
        uint8_t buffer[65536];
        size_t done = 0;

        while (done < length) {
                size_t size = length - done < sizeof(buffer) ? length - done : sizeof(buffer);
                ssize_t n = quic_world_read(world, fd, buffer, size);

                if (n <= 0)
                        ck_abort_msg("%zu of %zu bytes, then %s", done, length, n < 0 ? strerror((int)-n) : "the end");
                ck_assert_mem_eq(buffer, (const uint8_t *)bytes + done, (size_t)n);
                done += (size_t)n;
        }
}
