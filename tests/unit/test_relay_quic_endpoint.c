/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers of QUIC as strangers meet them: raw packets over real sockets, the broker's part played here, and connections that only note what they are given.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "relay/inventory.h"
#include "relay/context.h"
#include "relay/quic/budget.h"
#include "relay/quic/connection.h"
#include "relay/quic/endpoint.h"
#include "relay/quic/guest_channel.h"
#include "relay/quic/ids.h"
#include "relay/quic/leftover.h"
#include "relay/quic/quic.h"
#include "relay/quic/settings.h"
#include "relay/quic/token.h"
#include "relay/relay.h"
#include "tests/fuzz/quic_initial.h"
#include "tests/support/runner.h"
#include "tests/unit/fds.h"

#define SERVER 7
#define INITIAL_LENGTH 1200
#define ID_LENGTH 8
#define MARKS_MAX 16

/* What the broker was told last, and how often. */
struct told {
        unsigned n_new_peers, n_gone, n_ended;
        uint64_t peer, gone_peer, ended;
        char address[QUIC_ADDRESS_TEXT_MAX];
        char local[QUIC_ADDRESS_TEXT_MAX];
        Nb__Relay__Cause cause;
};

/* What the last connection was made from, and what came for it. */
struct made {
        unsigned n;
        struct quic_connection *connection;
        bool after_retry;
        ngtcp2_cid dcid, scid, original_dcid;
        size_t token_length;
        unsigned n_packets;
        uint8_t marks[MARKS_MAX]; /* the last byte of each packet */
        int socket_error;
};

struct world {
        struct relay relay; /* first: the reports find the rest by it */
        struct told told;
        struct made made;
        struct context context;
        struct sockaddr_in address; /* of the server */
        uint64_t last_link;
        bool no_room;      /* connections cannot be made */
        int receive_error; /* of the next recvmmsg(); 0: the kernel's answer */
};

static struct world world;

void relay_report(struct relay *relay, const Nb__Relay__Report *report) {
        struct told *told = &nb_container_of(relay, struct world, relay)->told;

        switch (report->body_case) {
        case NB__RELAY__REPORT__BODY_NEW_PEER:
                told->n_new_peers++;
                ck_assert_uint_eq(report->new_peer->server, SERVER);
                told->peer = report->new_peer->peer;
                (void)snprintf(told->address, sizeof(told->address), "%s", report->new_peer->address);
                (void)snprintf(told->local, sizeof(told->local), "%s", report->new_peer->local);
                return;
        case NB__RELAY__REPORT__BODY_PEER_GONE:
                told->n_gone++;
                told->gone_peer = report->peer_gone->peer;
                return;
        case NB__RELAY__REPORT__BODY_ENDED:
                told->n_ended++;
                told->ended = report->ended->link;
                told->cause = report->ended->cause;
                return;
        default:
                ck_abort_msg("a report that no endpoint makes");
        }
}

/* ---- connections that note ---- */

int quic_connection_accept(struct quic *quic, struct quic_endpoint *endpoint, const struct quic_first *first,
                           uint64_t link, int channel_fd, struct quic_connection **ret) {
        struct quic_connection *connection;

        nb_fd_close(channel_fd);
        if (world.no_room)
                return -ENOMEM;
        connection = calloc(1, sizeof(*connection));
        ck_assert_ptr_nonnull(connection);
        nb_list_init(&connection->ids);
        nb_list_init(&connection->in_waiters);
        connection->quic = quic;
        connection->endpoint = endpoint;
        connection->socket = quic_endpoint_socket(endpoint);
        connection->link = link;
        nb_list_append(&quic->connections, &connection->in_quic);
        world.made = (struct made){
                .n = world.made.n + 1,
                .connection = connection,
                .after_retry = first->after_retry,
                .dcid = *first->dcid,
                .scid = *first->scid,
                .original_dcid = *first->original_dcid,
                .token_length = first->token_length,
        };
        *ret = connection;
        return 0;
}

void quic_connection_receive(struct quic_connection *connection, const struct quic_packet *packet) {
        ck_assert_ptr_eq(connection, world.made.connection);
        if (world.made.n_packets < MARKS_MAX)
                world.made.marks[world.made.n_packets] = packet->bytes[packet->length - 1];
        world.made.n_packets++;
}

struct quic_connection *quic_connection_free(struct quic_connection *connection) {
        if (!connection)
                return NULL;
        nb_list_remove(&connection->in_quic);
        quic_endpoint_release(connection->endpoint, connection);
        ck_assert(nb_list_is_empty(&connection->ids));
        free(connection);
        return NULL;
}

struct quic_connection *quic_connection_find(const struct quic *quic, uint64_t link) {
        struct quic_connection *connection = world.made.connection;

        return !nb_list_is_empty(&quic->connections) && connection->link == link ? connection : NULL;
}

void quic_connection_socket_failed(struct quic_connection *connection, int error) {
        (void)connection;
        world.made.socket_error = error;
}

void quic_connection_end(struct quic_connection *connection) {
        (void)connection;
}

void inventory_add(struct inventory *inventory, uint64_t number, bool is_server, bool is_ready) {
        (void)inventory;
        (void)number;
        (void)is_server;
        (void)is_ready;
}

void quic_connection_ask_again(struct quic_connection *connection) {
        (void)connection;
}

void quic_connection_say_goodbye(struct quic_connection *connection) {
        (void)connection;
}

void quic_connection_writable(struct quic_connection *connection) {
        (void)connection;
}

int quic_connection_take_path(struct quic_connection *connection, const Nb__Relay__TakePath *take, int fd) {
        (void)connection;
        (void)take;
        nb_fd_close(fd);
        return 0;
}

void quic_connection_dial(struct quic *quic, const Nb__Relay__Begin *begin, const struct quic_settings *settings,
                          int socket_fd, int channel_fd) {
        (void)quic;
        (void)begin;
        (void)settings;
        (void)socket_fd;
        (void)channel_fd;
        ck_abort_msg("nobody dials here");
}

/* ---- what else there is of a relay, and of the kernel ---- */

int recvmmsg(int fd, struct mmsghdr *headers, unsigned n, int flags, struct timespec *timeout) {
        if (world.receive_error == 0)
                return (int)syscall(SYS_recvmmsg, fd, headers, n, flags, timeout);
        errno = world.receive_error;
        world.receive_error = 0;
        return -1;
}

void quic_facts_init(struct quic *quic) {
        (void)quic;
}

void quic_facts_deinit(struct quic *quic) {
        (void)quic;
}

void quic_facts_server_changed(struct quic *quic) {
        (void)quic;
}

void quic_leftover_free_all(struct quic *quic) {
        ck_assert(nb_list_is_empty(&quic->leftovers));
}

void guest_channel_free_unread(struct quic *quic) {
        ck_assert(nb_list_is_empty(&quic->unread));
}

struct context *context_find(const struct relay *relay, uint32_t id) {
        (void)relay;
        return id == world.context.id ? &world.context : NULL;
}

struct context *context_ref(struct context *context) {
        context->n_refs++;
        return context;
}

struct context *context_unref(struct context *context) {
        if (context)
                context->n_refs--;
        return NULL;
}

/* ---- the world ---- */

static int bound_udp(uint32_t ip, struct sockaddr_in *ret) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip) };
        socklen_t length = sizeof(address);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, length), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
        if (ret)
                *ret = address;
        return fd;
}

static void settle(void) {
        for (int i = 0; i < 50; ++i)
                watch_set_turn(&world.relay.watches, false);
}

static void begin(void) {
        world = (struct world){ .last_link = 100, .relay.descriptors_max = UINT32_MAX };
        ck_assert_int_eq(uv_loop_init(&world.relay.loop), 0);
        ck_assert_int_eq(watch_set_start(&world.relay.watches, &world.relay.loop), 0);
        world.context.id = 1;
        world.context.n_refs = 1;
        world.context.tls = (struct tls_credentials *)&world; /* never looked at */
}

static void end(void) {
        world.relay.quic = quic_free(world.relay.quic);
        ck_assert_uint_eq(world.relay.n_descriptors, 0);
        ck_assert_uint_eq(world.context.n_refs, 1);
        watch_set_stop(&world.relay.watches);
        (void)uv_run(&world.relay.loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&world.relay.loop), 0);
}

struct serving {
        uint64_t credit;
        uint32_t waiting_max;
        bool always_retry;
        bool is_wildcard;
};

static void give_credit(uint64_t total) {
        Nb__Relay__Credit credit = NB__RELAY__CREDIT__INIT;

        credit.server = SERVER;
        credit.total = total;
        ck_assert(quic_credit(&world.relay, &credit));
}

static void serve(struct serving how) {
        Nb__Relay__Serve order = NB__RELAY__SERVE__INIT;
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;

        quic.always_retry = how.always_retry;
        order.server = SERVER;
        order.quic = &quic;
        order.tls_context = 1;
        order.waiting_max = how.waiting_max ? how.waiting_max : 64;
        order.peers_max = 1000;
        ck_assert_int_eq(quic_serve(&world.relay, &order,
                                    bound_udp(how.is_wildcard ? INADDR_ANY : INADDR_LOOPBACK, &world.address)),
                         0);
        ck_assert_uint_eq(world.told.n_ended, 0);
        if (how.credit > 0)
                give_credit(how.credit);
}

/* A socket that is connected to the server. */
static int client_of(uint32_t ip) {
        int fd = bound_udp(ip, NULL);

        ck_assert_int_eq(connect(fd, (struct sockaddr *)&world.address, sizeof(world.address)), 0);
        return fd;
}

static int client(void) {
        return client_of(INADDR_LOOPBACK);
}

static void answer(uint64_t peer, bool allowed) {
        Nb__Relay__TakePeer order = NB__RELAY__TAKE_PEER__INIT;

        order.server = SERVER;
        order.peer = peer;
        order.allowed = allowed;
        order.link = allowed ? ++world.last_link : 0;
        ck_assert_int_eq(quic_take_peer(&world.relay, &order, allowed ? bound_udp(INADDR_LOOPBACK, NULL) : -1), 0);
}

static struct quic_endpoint *endpoint(void) {
        return quic_endpoint_find(world.relay.quic, SERVER);
}

/* ---- packets ---- */

struct initial {
        uint32_t version;
        uint8_t dcid[NGTCP2_MAX_CIDLEN];
        size_t dcid_length;
        uint8_t scid; /* all its bytes */
        uint8_t token[256];
        size_t token_length;
        size_t length;
        uint32_t number;
};

static struct initial initial_of(uint8_t id) {
        struct initial initial = { .version = NGTCP2_PROTO_VER_V1, .dcid_length = ID_LENGTH, .length = INITIAL_LENGTH };

        memset(initial.dcid, id, sizeof(initial.dcid));
        initial.scid = (uint8_t)~id;
        return initial;
}

/* A header as RFC 9000, 17.2.2 draws it, and zeros: nobody has written it who speaks QUIC. */
static size_t write_hollow(const struct initial *initial, uint8_t *bytes) {
        uint8_t *p = bytes;
        size_t left;

        memset(bytes, 0, initial->length);
        *p++ = 0xc3;
        for (int shift = 24; shift >= 0; shift -= 8)
                *p++ = (uint8_t)(initial->version >> shift);
        *p++ = (uint8_t)initial->dcid_length;
        memcpy(p, initial->dcid, initial->dcid_length);
        p += initial->dcid_length;
        *p++ = ID_LENGTH;
        memset(p, initial->scid, ID_LENGTH);
        p += ID_LENGTH;
        *p++ = (uint8_t)(0x40 | initial->token_length >> 8);
        *p++ = (uint8_t)initial->token_length;
        memcpy(p, initial->token, initial->token_length);
        p += initial->token_length;
        left = initial->length - (size_t)(p - bytes) - 2;
        *p++ = (uint8_t)(0x40 | left >> 8);
        *p++ = (uint8_t)left;
        return initial->length;
}

/* One that is protected as it must be. */
static size_t write_initial(const struct initial *initial, uint8_t *bytes) {
        const uint8_t ping = 1;
        uint8_t scid[ID_LENGTH];
        struct quic_initial whole = {
                .dcid = initial->dcid,
                .dcid_length = initial->dcid_length,
                .key_id = initial->dcid,
                .key_id_length = initial->dcid_length,
                .scid = scid,
                .scid_length = sizeof(scid),
                .token = initial->token,
                .token_length = initial->token_length,
                .number = initial->number,
                .payload = &ping,
                .payload_length = sizeof(ping),
        };

        if (initial->version != NGTCP2_PROTO_VER_V1 || initial->length != QUIC_INITIAL_SIZE)
                return write_hollow(initial, bytes);
        memset(scid, initial->scid, sizeof(scid));
        quic_initial_write(&whole, bytes);
        return QUIC_INITIAL_SIZE;
}

static void send_bytes(int fd, const void *bytes, size_t length) {
        ck_assert_int_eq(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
        settle();
}

/* @return its last byte, by which it is known again */
static uint8_t send_initial(int fd, const struct initial *initial) {
        uint8_t bytes[2048];
        size_t length = write_initial(initial, bytes);

        send_bytes(fd, bytes, length);
        return bytes[length - 1];
}

/* @return the length of an answer; 0: there is none */
static size_t hear(int fd, uint8_t bytes[static 2048]) {
        ssize_t n = recv(fd, bytes, 2048, MSG_DONTWAIT);

        if (n < 0)
                ck_assert_int_eq(errno, EAGAIN);
        return n < 0 ? 0 : (size_t)n;
}

static bool is_retry(const uint8_t *bytes, size_t length) {
        return length > 7 && (bytes[0] & 0xf0) == 0xf0 && bytes[4] == 1;
}

/* What a client does with a Retry: the ID and the token are the server's from now on. */
static void hear_retry(int fd, struct initial *initial) {
        uint8_t bytes[2048];
        size_t length = hear(fd, bytes);
        ngtcp2_version_cid header;

        ck_assert(is_retry(bytes, length));
        ck_assert_uint_lt(length, initial->length);
        ck_assert_int_eq(ngtcp2_pkt_decode_version_cid(&header, bytes, length, 0), 0);
        ck_assert_uint_eq(header.dcidlen, ID_LENGTH);
        ck_assert_uint_eq(header.dcid[0], initial->scid);
        memcpy(initial->dcid, header.scid, header.scidlen);
        initial->dcid_length = header.scidlen;
        initial->token_length = length - (size_t)(header.scid + header.scidlen - bytes) - 16;
        memcpy(initial->token, header.scid + header.scidlen, initial->token_length);
}

static const Nb__Relay__QuicServerFacts *facts(void) {
        static Nb__Relay__QuicServerFacts facts; /* of a test that looks at one at a time */

        nb__relay__quic_server_facts__init(&facts);
        (void)quic_endpoint_news(world.relay.quic->servers.next, &facts);
        return &facts;
}

/* ---- who comes ---- */

START_TEST(a_first_packet_is_announced_and_becomes_a_connection) {
        struct initial initial = initial_of(1);
        uint8_t bytes[2048], marks[3];
        int fd;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        marks[0] = send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        ck_assert_int_eq(strncmp(world.told.address, "127.0.0.1:", 10), 0);
        ck_assert_str_eq(world.told.local, "");
        /* A ClientHello that fills two packets, and one of them again: it is still one client. */
        initial.number = 1;
        marks[1] = send_initial(fd, &initial);
        marks[2] = send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        answer(world.told.peer, true);
        ck_assert_uint_eq(world.made.n, 1);
        ck_assert(!world.made.after_retry);
        ck_assert_mem_eq(world.made.dcid.data, initial.dcid, ID_LENGTH);
        ck_assert(ngtcp2_cid_eq(&world.made.dcid, &world.made.original_dcid));
        ck_assert_uint_eq(world.made.scid.data[0], initial.scid);
        ck_assert_uint_eq(world.made.n_packets, 3);
        ck_assert_mem_eq(world.made.marks, marks, sizeof(marks));
        /* What comes later with the same ID is the connection's. */
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.made.n_packets, 4);
        ck_assert_uint_eq(hear(fd, bytes), 0);
        nb_fd_close(fd);
        end();
}
END_TEST

/* @return of a packet with a short header to that ID */
static size_t write_short(const uint8_t *id, size_t length, uint8_t *bytes) {
        memset(bytes, 0x5a, length);
        bytes[0] = 0x40;
        memcpy(bytes + 1, id, ID_LENGTH);
        return length;
}

START_TEST(packets_go_by_the_ids_that_a_connection_has) {
        const struct initial initial = initial_of(1);
        uint8_t bytes[2048];
        ngtcp2_cid id;
        int fd;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        send_initial(fd, &initial);
        answer(world.told.peer, true);
        ck_assert_int_eq(quic_id_choose(&id), 0);
        ck_assert_uint_eq(id.datalen, QUIC_ID_LENGTH);
        ck_assert_int_eq(quic_endpoint_add_id(endpoint(), &id, world.made.connection), 0);
        ck_assert_int_eq(quic_endpoint_add_id(endpoint(), &id, world.made.connection), -EEXIST);
        send_bytes(fd, bytes, write_short(id.data, 100, bytes));
        ck_assert_uint_eq(world.made.n_packets, 2);
        quic_endpoint_remove_id(endpoint(), &id);
        quic_endpoint_remove_id(endpoint(), &id);
        send_bytes(fd, bytes, write_short(id.data, 100, bytes));
        ck_assert_uint_eq(world.made.n_packets, 2);
        ck_assert_uint_gt(hear(fd, bytes), 0);
        /* Whatever it leaves goes with it. */
        ck_assert_int_eq(quic_endpoint_add_id(endpoint(), &id, world.made.connection), 0);
        (void)quic_connection_free(world.made.connection);
        ck_assert_uint_eq(quic_endpoint_load(endpoint()), 0);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(without_credit_clients_wait_and_retry_is_asked_of_more) {
        struct initial initial;
        uint8_t bytes[2048];
        int fds[3];

        begin();
        serve((struct serving){ .credit = 4 });
        for (uint8_t i = 0; i < 3; ++i) {
                fds[i] = client();
                initial = initial_of((uint8_t)(i + 1));
                send_initial(fds[i], &initial);
        }
        /* One in four is taken: nobody else takes a place who has not proved its address. */
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        ck_assert_uint_eq(hear(fds[0], bytes), 0);
        hear_retry(fds[2], &initial);
        send_initial(fds[2], &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 2);
        /* When those under way are through there is room again. */
        answer(1, true);
        quic_endpoint_confirmed(endpoint(), world.made.connection);
        quic_endpoint_confirmed(endpoint(), world.made.connection);
        answer(2, true);
        quic_endpoint_confirmed(endpoint(), world.made.connection);
        initial = initial_of(9);
        send_initial(fds[1], &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 3);
        nb_fds_close(fds, 3);
        end();
}
END_TEST

START_TEST(credit_announces_those_that_wait) {
        struct initial initial = initial_of(1);
        int fd;

        begin();
        serve((struct serving){ .credit = 0, .always_retry = true });
        fd = client();
        send_initial(fd, &initial);
        hear_retry(fd, &initial);
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 0);
        give_credit(1);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(who_waits_for_memory_is_announced_when_there_is_some) {
        struct initial initial = initial_of(1);
        int fd;

        begin();
        serve((struct serving){ .credit = 4 });
        world.relay.quic->bytes_buffered = QUIC_BUDGET_UNBOUNDED;
        fd = client();
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 0);
        world.relay.quic->bytes_buffered = 0;
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(places_and_bytes_of_those_that_wait_are_bounded) {
        struct initial initial;
        int fds[6];

        begin();
        serve((struct serving){ .credit = 0, .always_retry = true, .waiting_max = 4 });
        for (uint8_t i = 0; i < 6; ++i) {
                fds[i] = client();
                initial = initial_of((uint8_t)(i + 1));
                send_initial(fds[i], &initial);
                hear_retry(fds[i], &initial);
                for (int again = 0; again < 20; ++again)
                        send_initial(fds[i], &initial);
        }
        ck_assert_uint_eq(quic_endpoint_load(endpoint()), 4);
        ck_assert_uint_gt(facts()->refused, 0);
        give_credit(100);
        ck_assert_uint_eq(world.told.n_new_peers, 4);
        answer(1, true);
        ck_assert_uint_le(world.made.n_packets, 4);
        nb_fds_close(fds, 6);
        end();
}
END_TEST

START_TEST(who_is_refused_is_told_and_not_asked_about_again_at_once) {
        struct initial initial = initial_of(1);
        uint8_t bytes[2048];
        int fds[3] = { -1, -1, -1 };

        begin();
        serve((struct serving){ .credit = 100 });
        fds[0] = client();
        fds[1] = client();
        send_initial(fds[0], &initial);
        answer(1, false);
        ck_assert_uint_gt(hear(fds[0], bytes), 0);
        ck_assert_int_eq(bytes[0] & 0x80, 0x80);
        ck_assert(!is_retry(bytes, 100));
        /* Another port, and another ID, of the same address. */
        initial = initial_of(2);
        send_initial(fds[1], &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        ck_assert_uint_gt(hear(fds[1], bytes), 0);
        ck_assert_uint_eq(facts()->refused, 1);
        /* Another address. */
        fds[2] = client_of(INADDR_LOOPBACK + 1);
        initial = initial_of(3);
        send_initial(fds[2], &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 2);
        nb_fds_close(fds, 3);
        end();
}
END_TEST

START_TEST(a_connection_that_cannot_be_made_ends_its_link) {
        const struct initial initial = initial_of(1);
        int fd;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        send_initial(fd, &initial);
        world.no_room = true;
        answer(1, true);
        ck_assert_uint_eq(world.told.n_ended, 1);
        ck_assert_uint_eq(world.told.ended, world.last_link);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_NO_MEMORY);
        ck_assert_uint_eq(quic_endpoint_load(endpoint()), 0);
        /* The broker's word for one that is not there. */
        answer(1, true);
        ck_assert_uint_eq(world.told.n_ended, 2);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_ENDED);
        answer(1, false);
        ck_assert_uint_eq(world.told.n_ended, 2);
        nb_fd_close(fd);
        end();
}
END_TEST

/* A reload of the policy reaches clients that come after it, by the broker's word for the next. */
START_TEST(what_connections_may_can_be_replaced) {
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        struct initial initial = initial_of(1);
        int fd;

        begin();
        serve((struct serving){ .credit = 100 });
        fd = client();
        send_initial(fd, &initial);
        quic.streams_max = 5;
        quic.always_retry = true;
        take.server = SERVER;
        take.peer = 1;
        take.allowed = true;
        take.link = 8;
        take.quic = &quic;
        take.tls_context = 1;
        ck_assert_int_eq(quic_take_peer(&world.relay, &take, bound_udp(INADDR_LOOPBACK, NULL)), 0);
        ck_assert_uint_eq(world.made.n, 1);
        ck_assert_uint_eq(quic_endpoint_settings(endpoint())->streams_max, 5);
        initial = initial_of(2);
        send_initial(fd, &initial);
        hear_retry(fd, &initial);
        send_initial(fd, &initial);
        /* One that cannot be used is that link's end. */
        take.peer = 2;
        take.link = 9;
        take.tls_context = 77;
        ck_assert_int_eq(quic_take_peer(&world.relay, &take, bound_udp(INADDR_LOOPBACK, NULL)), 0);
        ck_assert_uint_eq(world.made.n, 1);
        ck_assert_uint_eq(world.told.ended, 9);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(of_a_wildcard_the_broker_is_told_which_address_was_asked) {
        const struct initial initial = initial_of(1);
        int fd;

        begin();
        serve((struct serving){ .credit = 10, .is_wildcard = true });
        world.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 8);
        fd = client();
        send_initial(fd, &initial);
        ck_assert_str_eq(world.told.local, "127.0.0.9");
        /* And an answer leaves from there, or the connected socket would not hear it. */
        answer(1, false);
        ck_assert_uint_gt(hear(fd, (uint8_t[2048]){ 0 }), 0);
        nb_fd_close(fd);
        end();
}
END_TEST

/* ---- answers to strangers ---- */

START_TEST(abuse_43_version_negotiation_is_short_and_only_for_full_packets) {
        struct initial initial = initial_of(1);
        uint8_t bytes[2048];
        size_t length;
        int fd;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        initial.version = 0x0a0b0c0d;
        send_initial(fd, &initial);
        length = hear(fd, bytes);
        ck_assert_uint_gt(length, 0);
        ck_assert_uint_le(length, 3 * INITIAL_LENGTH);
        ck_assert_mem_eq(bytes + 1, "\0\0\0\0", 4);
        ck_assert_uint_eq(bytes[6], initial.scid);
        ck_assert_ptr_nonnull(memmem(bytes, length, "\0\0\0\1", 4));
        ck_assert_uint_eq(facts()->version_negotiations, 1);
        initial.length = INITIAL_LENGTH - 1;
        send_initial(fd, &initial);
        ck_assert_uint_eq(hear(fd, bytes), 0);
        ck_assert_uint_eq(world.told.n_new_peers, 0);
        ck_assert_uint_eq(quic_endpoint_load(endpoint()), 0);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(retry_validates_an_address) {
        struct initial initial = initial_of(1);
        int fd;

        begin();
        serve((struct serving){ .credit = 10, .always_retry = true });
        fd = client();
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 0);
        ck_assert_uint_eq(quic_endpoint_load(endpoint()), 0);
        hear_retry(fd, &initial);
        ck_assert_uint_eq(facts()->retries, 1);
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        answer(1, true);
        ck_assert(world.made.after_retry);
        ck_assert_uint_eq(world.made.token_length, initial.token_length);
        ck_assert_mem_eq(world.made.dcid.data, initial.dcid, ID_LENGTH);
        ck_assert_uint_eq(world.made.original_dcid.data[0], 1);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(a_bad_token_is_refused) {
        struct initial initial = initial_of(1), bad;
        uint8_t bytes[2048];
        int fd, other;

        begin();
        serve((struct serving){ .credit = 10, .always_retry = true });
        fd = client();
        other = client();
        send_initial(fd, &initial);
        hear_retry(fd, &initial);
        /* From another address: of two ports, as of two machines. */
        send_initial(other, &initial);
        ck_assert_uint_gt(hear(other, bytes), 0);
        ck_assert(!is_retry(bytes, 100));
        /* Cut, changed, and with another ID than it was given with. */
        bad = initial;
        bad.token_length--;
        send_initial(fd, &bad);
        bad = initial;
        bad.token[bad.token_length / 2] ^= 1;
        send_initial(fd, &bad);
        bad = initial;
        bad.dcid[0] ^= 1;
        send_initial(fd, &bad);
        ck_assert_uint_eq(facts()->bad_tokens, 4);
        ck_assert_uint_eq(world.told.n_new_peers, 0);
        for (int i = 0; i < 3; ++i) {
                size_t length = hear(fd, bytes);

                ck_assert_uint_gt(length, 0);
                ck_assert_uint_lt(length, INITIAL_LENGTH);
                ck_assert(!is_retry(bytes, length));
        }
        /* One that is nothing of ours is none. */
        bad = initial_of(2);
        bad.token_length = 40;
        memset(bad.token, 0x77, bad.token_length);
        send_initial(fd, &bad);
        hear_retry(fd, &bad);
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        nb_fd_close(fd);
        nb_fd_close(other);
        end();
}
END_TEST

/* Times are the caller's, and keys are a server's own. */
START_TEST(tokens_expire_and_are_of_one_server) {
        const union quic_address address = { .in = { .sin_family = AF_INET, .sin_port = 1 } };
        struct initial initial = initial_of(1);
        struct quic_token_key keys[2];
        uint64_t now = 1000 * NGTCP2_SECONDS, lifetime = QUIC_RETRY_LIFETIME_MS * NGTCP2_MILLISECONDS;
        uint8_t first[2048], retry[2048];
        ngtcp2_cid original, dcid;
        ngtcp2_version_cid header;
        const uint8_t *token;
        ngtcp2_pkt_hd hd;
        size_t length;

        begin();
        serve((struct serving){ .credit = 0 });
        ck_assert_int_eq(ngtcp2_accept(&hd, first, write_initial(&initial, first)), 0);
        quic_token_key_init(world.relay.quic, 1, &keys[0]);
        quic_token_key_init(world.relay.quic, 2, &keys[1]);
        length = quic_retry_write(&keys[0], &hd, &address, now, retry, sizeof(retry));
        ck_assert(is_retry(retry, length));
        ck_assert_int_eq(ngtcp2_pkt_decode_version_cid(&header, retry, length, 0), 0);
        ngtcp2_cid_init(&dcid, header.scid, header.scidlen);
        token = header.scid + header.scidlen;
        length -= (size_t)(token - retry) + 16;
        ck_assert_int_eq(quic_token_judge(&keys[0], token, length, hd.version, &address, &dcid, now + lifetime / 2,
                                          &original),
                         QUIC_TOKEN_GOOD);
        ck_assert(ngtcp2_cid_eq(&original, &hd.dcid));
        ck_assert_int_eq(quic_token_judge(&keys[0], token, length, hd.version, &address, &dcid, now + 2 * lifetime,
                                          &original),
                         QUIC_TOKEN_BAD);
        ck_assert_int_eq(quic_token_judge(&keys[1], token, length, hd.version, &address, &dcid, now, &original),
                         QUIC_TOKEN_BAD);
        ck_assert_int_eq(quic_token_judge(&keys[0], token, 0, hd.version, &address, &dcid, now, &original),
                         QUIC_TOKEN_NONE);
        end();
}
END_TEST

START_TEST(abuse_43_a_reset_is_shorter_than_what_it_answers) {
        const uint8_t id[ID_LENGTH] = "unknown";
        uint8_t bytes[2048], token[NGTCP2_STATELESS_RESET_TOKENLEN];
        union quic_address bound = { 0 };
        ngtcp2_cid cid;
        int fd;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        ngtcp2_cid_init(&cid, id, sizeof(id));
        bound.in = world.address;
        ck_assert_int_eq(quic_reset_token(world.relay.quic, &bound, &cid, token), 0);
        for (size_t trigger = 9; trigger < 60; trigger += 3) {
                size_t length;

                send_bytes(fd, bytes, write_short(id, trigger, bytes));
                length = hear(fd, bytes);
                ck_assert_uint_lt(length, trigger);
                ck_assert_int_eq(length > 0, trigger > 21);
                if (length > 0) {
                        ck_assert_mem_eq(bytes + length - sizeof(token), token, sizeof(token));
                        ck_assert_int_eq(bytes[0] & 0xc0, 0x40);
                }
        }
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(abuse_43_resets_are_few) {
        const uint8_t id[ID_LENGTH] = "unknown";
        uint8_t bytes[2048];
        int fd, n = 0;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        for (int i = 0; i < 1000; ++i) {
                ck_assert_int_gt(send(fd, bytes, write_short(id, 100, bytes), 0), 0);
                if (i % 50 == 49)
                        settle();
                while (hear(fd, bytes) > 0)
                        n++;
        }
        while (hear(fd, bytes) > 0)
                n++;
        /* Some tens a second, and a machine that is slow needs more than one. */
        ck_assert_int_gt(n, 0);
        ck_assert_int_le(n, 320);
        ck_assert_uint_ge(facts()->packets_dropped, 1000 - 320);
        nb_fd_close(fd);
        end();
}
END_TEST

/* ---- what is left ---- */

static size_t write_garbage(unsigned i, uint8_t bytes[static 2048]) {
        struct initial initial = initial_of((uint8_t)i);
        size_t length;

        initial.length = 1100 + i % 400;
        length = write_initial(&initial, bytes);
        switch (i % 9) {
        case 0: /* an ID that is longer than any */
                bytes[5] = (uint8_t)(21 + i % 200);
                return length;
        case 1: /* one that is too short for a first packet */
                initial.dcid_length = i % 8;
                return write_initial(&initial, bytes);
        case 2: /* cut within the header */
                return 1 + i % 30;
        case 3: /* a token that is longer than the packet */
                bytes[7 + 2 * ID_LENGTH] = 0x7f;
                return length;
        case 4: /* a handshake that nobody has begun */
                bytes[0] = 0xe3;
                return length;
        case 5: /* a Retry, from a client */
                bytes[0] = 0xf3;
                return length;
        case 6: /* a Version Negotiation, from a client */
                memset(bytes + 1, 0, 4);
                return length;
        case 7: /* a header that makes sense, and nothing behind it */
                initial.length = INITIAL_LENGTH;
                return write_hollow(&initial, bytes);
        default: /* nothing at all */
                memset(bytes, (int)i, length);
                bytes[0] &= 0x3f;
                return length;
        }
}

START_TEST(abuse_43_malformed_first_packets_leave_nothing_behind) {
        uint8_t bytes[2048];
        size_t before = 0;
        int fd;

        begin();
        serve((struct serving){ .credit = 1000 });
        fd = client();
        for (unsigned i = 0; i < 4000; ++i) {
                if (i == 2000)
                        before = mallinfo2().uordblks;
                ck_assert_int_gt(send(fd, bytes, write_garbage(i, bytes), 0), 0);
                if (i % 20 == 19)
                        settle();
                (void)hear(fd, bytes);
        }
        ck_assert_uint_eq(mallinfo2().uordblks, before);
        ck_assert_uint_eq(world.told.n_new_peers, 0);
        ck_assert_uint_eq(quic_endpoint_load(endpoint()), 0);
        ck_assert_uint_eq(world.relay.n_descriptors, 1);
        ck_assert_uint_gt(facts()->packets_dropped, 3000);
        nb_fd_close(fd);
        end();
}
END_TEST

/* One bit of it is enough, wherever. */
START_TEST(abuse_43_a_first_packet_that_was_changed_asks_nobody) {
        const struct initial initial = initial_of(1);
        uint8_t bytes[2048];
        size_t length;
        int fd;

        begin();
        serve((struct serving){ .credit = 1000 });
        fd = client();
        length = write_initial(&initial, bytes);
        for (size_t i = 0; i < length; i += 7) {
                bytes[i] ^= 0x10;
                send_bytes(fd, bytes, length);
                bytes[i] ^= 0x10;
                (void)hear(fd, (uint8_t[2048]){ 0 });
        }
        ck_assert_uint_eq(world.told.n_new_peers, 0);
        send_bytes(fd, bytes, length);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(who_forges_many_addresses_takes_a_quarter_of_the_places) {
        struct initial initial;
        int fds[64];

        begin();
        serve((struct serving){ .credit = 32, .waiting_max = 32 });
        for (uint8_t i = 0; i < 64; ++i) {
                fds[i] = client();
                initial = initial_of((uint8_t)(i + 1));
                send_initial(fds[i], &initial);
        }
        ck_assert_uint_eq(world.told.n_new_peers, 8);
        ck_assert_uint_eq(facts()->retries, 56);
        nb_fds_close(fds, 64);
        end();
}
END_TEST

/* ---- ends ---- */

START_TEST(connections_outlive_their_server) {
        struct initial initial = initial_of(1);
        uint8_t bytes[2048];
        int fd, other;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        other = client();
        send_initial(fd, &initial);
        answer(1, true);
        ck_assert(quic_end(&world.relay, SERVER));
        ck_assert(!quic_has_server(&world.relay, SERVER));
        ck_assert(!quic_end(&world.relay, SERVER));
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.made.n_packets, 2);
        initial = initial_of(2);
        send_initial(other, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 1);
        ck_assert_uint_eq(hear(other, bytes), 0);
        ck_assert_uint_eq(world.relay.n_descriptors, 1);
        (void)quic_connection_free(world.made.connection);
        ck_assert(nb_list_is_empty(&world.relay.quic->servers));
        ck_assert_uint_eq(world.relay.n_descriptors, 0);
        nb_fd_close(fd);
        nb_fd_close(other);
        end();
}
END_TEST

/* As the kernel does it when it is told to (sock_diag(7)). */
START_TEST(a_socket_that_is_gone_ends_its_server) {
        struct initial initial = initial_of(1);
        int fd;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        send_initial(fd, &initial);
        answer(1, true);
        /* What a router says of one peer ends nobody. */
        world.receive_error = EHOSTUNREACH;
        initial = initial_of(2);
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_ended, 0);
        ck_assert_uint_eq(world.told.n_new_peers, 2);
        world.receive_error = ECONNABORTED;
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_ended, 1);
        ck_assert_uint_eq(world.told.ended, SERVER);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_INTERNAL);
        ck_assert_int_eq(world.made.socket_error, ECONNABORTED);
        ck_assert(!quic_has_server(&world.relay, SERVER));
        (void)quic_connection_free(world.made.connection);
        ck_assert(nb_list_is_empty(&world.relay.quic->servers));
        nb_fd_close(fd);
        end();
}
END_TEST

START_TEST(nobody_waits_for_ever) {
        struct initial initial = initial_of(1);
        int fd, other;

        begin();
        serve((struct serving){ .credit = 10 });
        fd = client();
        other = client_of(INADDR_LOOPBACK + 1);
        send_initial(fd, &initial);
        answer(1, false);
        initial = initial_of(2);
        send_initial(other, &initial);
        /* The refused address is forgotten, and who waits for the broker's word is gone. */
        while (world.told.n_gone == 0)
                watch_set_turn(&world.relay.watches, true);
        ck_assert_uint_eq(world.told.gone_peer, 2);
        ck_assert_uint_eq(quic_endpoint_load(endpoint()), 0);
        initial = initial_of(3);
        send_initial(fd, &initial);
        ck_assert_uint_eq(world.told.n_new_peers, 3);
        nb_fd_close(fd);
        nb_fd_close(other);
        end();
}
END_TEST

START_TEST(orders_that_make_no_sense_are_violations) {
        Nb__Relay__Serve serve_order = NB__RELAY__SERVE__INIT;
        Nb__Relay__Quic quic = NB__RELAY__QUIC__INIT;
        Nb__Relay__TakePeer take = NB__RELAY__TAKE_PEER__INIT;
        Nb__Relay__TakePath path = NB__RELAY__TAKE_PATH__INIT;

        begin();
        serve((struct serving){ .credit = 10 });
        serve_order.quic = &quic;
        ck_assert_int_eq(quic_serve(&world.relay, &serve_order, bound_udp(INADDR_LOOPBACK, NULL)), -EINVAL);
        serve_order.server = SERVER;
        ck_assert_int_eq(quic_serve(&world.relay, &serve_order, bound_udp(INADDR_LOOPBACK, NULL)), -EINVAL);
        take.server = SERVER;
        ck_assert_int_eq(quic_take_peer(&world.relay, &take, -1), -EPROTO);
        take.peer = 1;
        ck_assert_int_eq(quic_take_peer(&world.relay, &take, bound_udp(INADDR_LOOPBACK, NULL)), -EPROTO);
        take.allowed = true;
        take.link = 5;
        ck_assert_int_eq(quic_take_peer(&world.relay, &take, -1), -EPROTO);
        ck_assert_int_eq(quic_take_path(&world.relay, &path, bound_udp(INADDR_LOOPBACK, NULL)), -EPROTO);
        ck_assert_int_eq(quic_take_path(&world.relay, &path, -1), 0);
        /* A context that is not there is the server's end, and no violation. */
        serve_order.server = SERVER + 1;
        serve_order.tls_context = 77;
        ck_assert_int_eq(quic_serve(&world.relay, &serve_order, bound_udp(INADDR_LOOPBACK, NULL)), 0);
        ck_assert_uint_eq(world.told.ended, SERVER + 1);
        ck_assert_int_eq(world.told.cause, NB__RELAY__CAUSE__CAUSE_TLS_CONTEXT);
        end();
}
END_TEST

START_TEST(nothing_is_left_behind) {
        struct initial initial;
        int fds[20];
        int before;

        begin();
        end(); /* what libuv keeps for all loops is there now */
        before = count_fds();
        begin();
        serve((struct serving){ .credit = 100 });
        for (uint8_t i = 0; i < 20; ++i) {
                fds[i] = client_of(INADDR_LOOPBACK + i);
                initial = initial_of((uint8_t)(i + 1));
                send_initial(fds[i], &initial);
                if (i % 3 == 0 && world.told.n_new_peers > 0 && i < 3)
                        answer(world.told.peer, true);
        }
        end();
        nb_fds_close(fds, 20);
        ck_assert_int_eq(count_fds(), before);
}
END_TEST

static Suite *suite(void) {
        Suite *suite = suite_create("relay_quic_endpoint");
        TCase *who = tcase_create("who comes");
        TCase *answers = tcase_create("answers to strangers");
        TCase *ends = tcase_create("what is left");

        tcase_add_test(who, a_first_packet_is_announced_and_becomes_a_connection);
        tcase_add_test(who, packets_go_by_the_ids_that_a_connection_has);
        tcase_add_test(who, without_credit_clients_wait_and_retry_is_asked_of_more);
        tcase_add_test(who, credit_announces_those_that_wait);
        tcase_add_test(who, who_waits_for_memory_is_announced_when_there_is_some);
        tcase_add_test(who, places_and_bytes_of_those_that_wait_are_bounded);
        tcase_add_test(who, who_is_refused_is_told_and_not_asked_about_again_at_once);
        tcase_add_test(who, a_connection_that_cannot_be_made_ends_its_link);
        tcase_add_test(who, what_connections_may_can_be_replaced);
        tcase_add_test(who, of_a_wildcard_the_broker_is_told_which_address_was_asked);
        tcase_add_test(answers, abuse_43_version_negotiation_is_short_and_only_for_full_packets);
        tcase_add_test(answers, retry_validates_an_address);
        tcase_add_test(answers, a_bad_token_is_refused);
        tcase_add_test(answers, tokens_expire_and_are_of_one_server);
        tcase_add_test(answers, abuse_43_a_reset_is_shorter_than_what_it_answers);
        tcase_add_test(answers, abuse_43_resets_are_few);
        tcase_add_test(ends, abuse_43_malformed_first_packets_leave_nothing_behind);
        tcase_add_test(ends, abuse_43_a_first_packet_that_was_changed_asks_nobody);
        tcase_add_test(ends, who_forges_many_addresses_takes_a_quarter_of_the_places);
        tcase_add_test(ends, connections_outlive_their_server);
        tcase_add_test(ends, a_socket_that_is_gone_ends_its_server);
        tcase_add_test(ends, nobody_waits_for_ever);
        tcase_add_test(ends, orders_that_make_no_sense_are_violations);
        tcase_add_test(ends, nothing_is_left_behind);
        tcase_set_timeout(ends, 30);
        suite_add_tcase(suite, who);
        suite_add_tcase(suite, answers);
        suite_add_tcase(suite, ends);
        return suite;
}

int main(void) {
        return run_suite(suite());
}
