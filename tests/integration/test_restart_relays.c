/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker ends, or is killed, and its relays go on: what they carry, what of it the next broker knows, and what becomes of them if they do not.
 *
 * Relays are started by a socket, as systemd does it, and so outlive the broker. Each test is done twice: with a broker that ends as it should, and with one
 * that is killed.
 */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "proto/wasi.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_relay.h"
#include "tests/support/keeper.h"
#include "tests/support/operator.h"
#include "tests/support/peer.h"
#include "tests/support/relay_units.h"
#include "tests/support/runner.h"

#define POLICY                                                                                                         \
        "[Tenant]\nName=acme\nUser=%u\nExplainDenials=yes\n%s"                                                         \
        "[Protocol web]\nFamily=ip\nDataPath=relay\nSocketTypes=stream dgram\n" SCENE_LOOPBACK                         \
        "[Protocol tls]\nFamily=ip\nTLS=both\nTLSTrust=%s\nTLSCertificate=%s %s\n" SCENE_LOOPBACK                      \
        "[Protocol plain]\nFamily=ip\nDataPath=direct\n" SCENE_LOOPBACK

/* How soon a relay that was killed must be replaced (the issue's), with what a sanitizer and a busy machine add. */
#define BACK_MS 5000

static struct certificates certificates;

static void make_certificates(void) {
        static const struct certificate server = {
                .name = "server",
                .issuer = "root",
                .template = "ip_address = 127.0.0.1\ntls_www_server\nsigning_key\n",
        };

        certificates_init(&certificates);
        certificates_make_authority(&certificates, "root", NULL);
        certificates_make(&certificates, &server);
}

static void remove_certificates(void) {
        certificates_deinit(&certificates);
}

/* How it ends, by the number of a loop test. */
static bool is_killed(int i) {
        return i == 1;
}

/* ---- the world ---- */

struct world {
        struct restart_scene restart;
        struct relay_units units;
        char admin_socket[HARNESS_PATH_MAX];
        struct wire *web, *tls, *plain;
};

static struct wire_session *session_of(struct world *world) {
        return &world->restart.scene.session;
}

static void write_policy(const struct world *world, const char *limits) {
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];

        daemon_write_policy(&world->restart.scene.daemon, POLICY, (unsigned)getuid(), limits,
                            certificates_path(&certificates, "root.pem", trust),
                            certificates_path(&certificates, "server.chain", chain),
                            certificates_path(&certificates, "server.key", key));
}

static void world_start(struct world *world, const char *limits) {
        struct scene *scene = &world->restart.scene;

        restart_prepare(&world->restart);
        relay_units_start(&world->units, scene->daemon.folder);
        restart_argument(&world->restart, "--relay-socket");
        restart_argument(&world->restart, world->units.path);
        (void)snprintf(world->admin_socket, sizeof(world->admin_socket), "%s/admin.sock", scene->daemon.folder);
        restart_argument(&world->restart, "--admin-socket");
        restart_argument(&world->restart, world->admin_socket);
        write_policy(world, limits);
        restart_again(&world->restart);
        /* The one that has tried the certificates is gone. */
        relay_units_wait(&world->units, 0);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        world->web = scene->web = &scene->session.protocols[0];
        world->tls = &scene->session.protocols[1];
        world->plain = &scene->session.protocols[2];
}

static void world_restart(struct world *world, bool killed) {
        restart_one(&world->restart, killed);
        restart_expect_session_resumed(&world->restart);
}

static void world_end(struct world *world) {
        wire_session_close(session_of(world));
        daemon_stop(&world->restart.scene.daemon);
        keeper_kill(&world->restart.keeper);
        relay_units_wait(&world->units, 0);
        relay_units_stop(&world->units);
        daemon_deinit(&world->restart.scene.daemon);
}

/* ---- what operators see ---- */

static json_t *ask(const struct world *world, const char *verb) {
        NB_CLEANUP_FREE char *text = NULL;
        json_t *answer;

        ck_assert_int_eq(operator_run(world->admin_socket, (const char *const[]){ verb, "--json", NULL }, &text), 0);
        answer = json_loads(text, 0, NULL);
        ck_assert_msg(answer != NULL, "%s", text);
        return answer;
}

static char *dump(json_t *value) {
        char *text = json_dumps(value, JSON_SORT_KEYS | JSON_INDENT(1));

        json_decref(value);
        return text;
}

/* What was there before the restart is there again, as it was. */
static void expect_same(const struct world *world, char *before_owned, const char *verb) {
        NB_CLEANUP_FREE char *before = before_owned;
        NB_CLEANUP_FREE char *now = dump(ask(world, verb));

        ck_assert_str_eq(now, before);
}

static uint64_t used_of(const struct world *world, const char *quota) {
        json_t *answer = ask(world, "quota"), *one;
        uint64_t used = UINT64_MAX;
        size_t i;

        json_array_foreach(answer, i, one) {
                if (strcmp(json_string_value(json_object_get(one, "quota")), quota) == 0)
                        used = (uint64_t)json_integer_value(json_object_get(one, "used"));
        }
        json_decref(answer);
        return used;
}

static size_t count_connections(const struct world *world) {
        json_t *answer = ask(world, "connections");
        json_t *list = json_is_array(answer) ? answer : json_object_get(answer, "connections");
        size_t n = json_array_size(list);

        json_decref(answer);
        return n;
}

static void expect_connections(const struct world *world, size_t n) {
        uint64_t start_ms = harness_now_ms();

        while (count_connections(world) != n)
                harness_wait_a_moment(start_ms, "the account of connections");
}

/* ---- connections ---- */

/* What a guest has of one, and its peer. */
struct pair {
        int ours;
        int theirs;
};

static struct pair connect_out(struct wire *protocol) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct wire control = wire_open_control(protocol, "0.0.0.0:0");
        struct pair pair;

        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &pair.ours), 0);
        pair.theirs = peer_accept(&peer);
        (void)wire_close(&control);
        peer_close(&peer);
        peer_exchange(pair.ours, pair.theirs);
        return pair;
}

/* Both ends are guests': one listens, and the other one connects to it. */
static struct pair connect_guests(struct wire *protocol, struct wire *ret_listener) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct wire control = wire_open_control(protocol, "0.0.0.0:0");
        struct pair pair;

        *ret_listener = wire_open_control(protocol, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(ret_listener, 16, address), 0);
        ck_assert_uint_eq(wire_connect_to(&control, address, &pair.ours), 0);
        pair.theirs = wire_receive_accepted(ret_listener, 1);
        (void)wire_close(&control);
        peer_exchange(pair.ours, pair.theirs);
        return pair;
}

/* Ends well in both directions. */
static void pair_close(struct pair *pair) {
        peer_exchange(pair->ours, pair->theirs);
        pair->ours = nb_fd_close(pair->ours);
        peer_expect_end(pair->theirs);
        pair->theirs = nb_fd_close(pair->theirs);
}

static void expect_reset(int fd) {
        char byte;

        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_lt(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
        ck_assert_int_eq(errno, ECONNRESET);
}

START_TEST(relayed_streams_go_on_and_are_known) {
        struct pair pairs[4];
        struct wire listeners[2];
        struct world world;
        char *connections;
        pid_t before[4], after[4];

        world_start(&world, "MaxConnections=7\n");
        pairs[0] = connect_out(world.web);
        pairs[1] = connect_guests(world.web, &listeners[0]);
        pairs[2] = connect_guests(world.tls, &listeners[1]);
        pairs[3] = connect_out(world.plain);
        ck_assert_uint_eq(relay_units_list(&world.units, before, 4), 1);
        connections = dump(ask(&world, "connections"));
        ck_assert_uint_eq(used_of(&world, "MaxConnections"), 6);
        world_restart(&world, is_killed(_i));
        expect_same(&world, connections, "connections");
        ck_assert_uint_eq(used_of(&world, "MaxConnections"), 6);
        ck_assert_uint_eq(relay_units_list(&world.units, after, 4), 1);
        ck_assert_int_eq(before[0], after[0]);
        for (size_t i = 0; i < 4; ++i) {
                peer_exchange(pairs[i].ours, pairs[i].theirs);
                pair_close(&pairs[i]);
        }
        expect_connections(&world, 0);
        (void)wire_close(&listeners[0]);
        (void)wire_close(&listeners[1]);
        world_end(&world);
}
END_TEST

/* The limit counts those that came back. */
START_TEST(the_account_goes_on) {
        struct world world;
        struct wire control;
        struct pair pairs[2];
        int fd;

        world_start(&world, "MaxConnections=2\n");
        pairs[0] = connect_out(world.web);
        pairs[1] = connect_out(world.plain);
        world_restart(&world, is_killed(_i));
        control = wire_open_control(world.web, "0.0.0.0:0");
        ck_assert_uint_eq(wire_connect_to(&control, "127.0.0.1:9", &fd), NB_WASI_EMFILE);
        pair_close(&pairs[1]);
        expect_connections(&world, 1);
        pairs[1] = connect_out(world.web);
        pair_close(&pairs[0]);
        pair_close(&pairs[1]);
        (void)wire_close(&control);
        expect_connections(&world, 0);
        world_end(&world);
}
END_TEST

/* What was closed while there was no broker is no more. */
START_TEST(what_ended_meanwhile_has_ended) {
        struct world world;
        struct pair pairs[3];

        world_start(&world, "");
        pairs[0] = connect_out(world.web);
        pairs[1] = connect_out(world.plain);
        pairs[2] = connect_out(world.web);
        restart_take_down(&world.restart, is_killed(_i));
        pair_close(&pairs[0]);
        pair_close(&pairs[1]);
        restart_again(&world.restart);
        restart_expect_session_resumed(&world.restart);
        expect_connections(&world, 1);
        pair_close(&pairs[2]);
        expect_connections(&world, 0);
        world_end(&world);
}
END_TEST

START_TEST(a_relay_that_is_killed_meanwhile_ends_its_own) {
        struct world world;
        struct pair pairs[2];
        pid_t relay;

        world_start(&world, "");
        pairs[0] = connect_out(world.web);
        pairs[1] = connect_out(world.plain);
        ck_assert_uint_eq(relay_units_list(&world.units, &relay, 1), 1);
        restart_take_down(&world.restart, is_killed(_i));
        ck_assert_int_eq(kill(relay, SIGKILL), 0);
        expect_reset(pairs[0].ours);
        (void)nb_fd_close(pairs[0].ours);
        (void)nb_fd_close(pairs[0].theirs);
        restart_again(&world.restart);
        restart_expect_session_resumed(&world.restart);
        expect_connections(&world, 1);
        pairs[0] = connect_out(world.web);
        pair_close(&pairs[0]);
        pair_close(&pairs[1]);
        world_end(&world);
}
END_TEST

static void expect_revoked(const struct world *world, const char *id) {
        NB_CLEANUP_FREE char *text = NULL;
        int status =
                operator_run(world->admin_socket, (const char *const[]){ "revoke", "connection", id, NULL }, &text);

        ck_assert_msg(status == 0, "%d: %s", status, text);
}

/* The number of a connection is that which it had. */
START_TEST(what_came_back_can_be_revoked) {
        struct world world;
        struct pair pair;
        json_t *answer, *list, *one;
        char id[32];

        world_start(&world, "");
        pair = connect_out(world.web);
        answer = ask(&world, "connections");
        list = json_is_array(answer) ? answer : json_object_get(answer, "connections");
        one = json_object_get(json_array_get(list, 0), "connection");
        (void)snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(one));
        json_decref(answer);
        world_restart(&world, is_killed(_i));
        expect_revoked(&world, id);
        expect_reset(pair.ours);
        (void)nb_fd_close(pair.ours);
        (void)nb_fd_close(pair.theirs);
        expect_connections(&world, 0);
        world_end(&world);
}
END_TEST

/* ---- servers of datagrams ---- */

static void listen_again(struct wire *control, uint64_t credit, uint64_t received) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        restart_expect_resumed(control);
        wire_send_listen(control, 16, credit, received);
        ck_assert(wire_receive(control, reply));
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_LISTENING);
}

static void expect_datagram(int fd, const char *text) {
        char buffer[64];
        ssize_t n;

        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        ck_assert_int_eq(n, (ssize_t)strlen(text));
        ck_assert_mem_eq(buffer, text, strlen(text));
}

START_TEST(a_server_of_datagrams_goes_on) {
        struct peer peers[2] = { peer_udp("127.0.0.1"), peer_udp("127.0.0.1") };
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        int streams[2];

        world_start(&world, "");
        ck_assert_uint_eq(wire_open_dgram(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        peer_udp_send(&peers[0], address, "one");
        streams[0] = wire_receive_accepted(&control, 1);
        expect_datagram(streams[0], "one");
        restart_take_down(&world.restart, is_killed(_i));
        /* Who is known is served, and who is new waits. */
        peer_udp_send(&peers[0], address, "two");
        expect_datagram(streams[0], "two");
        ck_assert_int_eq(send(streams[0], "back", 4, MSG_NOSIGNAL), 4);
        peer_udp_expect(peers[0].fd, "back", NULL);
        peer_udp_send(&peers[1], address, "new");
        restart_again(&world.restart);
        restart_expect_session_resumed(&world.restart);
        listen_again(&control, 16, 1);
        streams[1] = wire_receive_accepted(&control, 2);
        expect_datagram(streams[1], "new");
        peer_udp_send(&peers[0], address, "three");
        expect_datagram(streams[0], "three");
        expect_connections(&world, 2);
        for (int i = 0; i < 2; ++i) {
                (void)nb_fd_close(streams[i]);
                peer_close(&peers[i]);
        }
        expect_connections(&world, 0);
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* ---- a relay that ends ---- */

static void kill_relay(const struct world *world, int number) {
        pid_t relay;

        ck_assert_uint_eq(relay_units_list(&world->units, &relay, 1), 1);
        ck_assert_int_eq(kill(relay, number), 0);
}

/* Neither side takes what was cut for a whole. */
START_TEST(a_relay_that_is_told_to_end_resets) {
        struct world world;
        struct pair pair;

        world_start(&world, "");
        pair = connect_out(world.web);
        kill_relay(&world, SIGTERM);
        expect_reset(pair.ours);
        expect_reset(pair.theirs);
        (void)nb_fd_close(pair.ours);
        (void)nb_fd_close(pair.theirs);
        expect_connections(&world, 0);
        world_end(&world);
}
END_TEST

/* The next one serves the same socket, within a second. */
START_TEST(a_server_is_there_again_when_its_relay_was_killed) {
        struct peer peer = peer_udp("127.0.0.1");
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct world world;
        struct wire control;
        uint64_t start_ms;
        int streams[2];

        world_start(&world, "");
        ck_assert_uint_eq(wire_open_dgram(world.web, "127.0.0.1:0", &control, NULL), 0);
        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        peer_udp_send(&peer, address, "one");
        streams[0] = wire_receive_accepted(&control, 1);
        expect_datagram(streams[0], "one");
        world_restart(&world, true);
        listen_again(&control, 16, 1);
        start_ms = harness_now_ms();
        kill_relay(&world, SIGKILL);
        peer_udp_send(&peer, address, "two");
        streams[1] = wire_receive_accepted(&control, 2);
        expect_datagram(streams[1], "two");
        ck_assert_uint_lt(harness_now_ms() - start_ms, BACK_MS);
        for (int i = 0; i < 2; ++i)
                (void)nb_fd_close(streams[i]);
        peer_close(&peer);
        (void)wire_close(&control);
        world_end(&world);
}
END_TEST

/* ---- a relay that lies ---- */

/* A scene in which the relay is the test, and has one connection. */
struct lie {
        struct restart_scene restart;
        struct fake_relays relays;
        struct fake_relay *relay;
        struct wire control;
        struct peer peer;
        uint64_t link;
        int fd;
        int relay_fds
                [2]; /* the peer's socket, and the other end of `fd`: without them the connection would have ended */
        uint64_t inventory; /* the number of the last order for it */
};

static void expect_inventory(struct lie *lie) {
        fake_relay_expect(lie->relay, NB__RELAY__ORDER__BODY_INVENTORY);
        lie->inventory = lie->relay->order->inventory->number;
}

static void lie_start(struct lie *lie) {
        struct scene *scene = &lie->restart.scene;

        lie->peer = peer_listen("127.0.0.1", 8);
        restart_prepare(&lie->restart);
        fake_relays_listen(&lie->relays, &scene->daemon);
        restart_argument(&lie->restart, "--relay-socket");
        restart_argument(&lie->restart, lie->relays.path);
        daemon_write_policy(&scene->daemon,
                            "[Tenant]\nName=acme\nUser=%u\n[Protocol web]\nFamily=ip\nDataPath=relay\n" SCENE_LOOPBACK,
                            (unsigned)getuid());
        restart_again(&lie->restart);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        scene->web = &scene->session.protocols[0];
        lie->control = wire_open_control(scene->web, "0.0.0.0:0");
        wire_send_connect(&lie->control, lie->peer.text);
        lie->relay = fake_relay_start(&lie->relays);
        fake_relay_expect(lie->relay, NB__RELAY__ORDER__BODY_BEGIN);
        lie->link = lie->relay->order->begin->link;
        ck_assert_uint_eq(lie->relay->fds.n, 2);
        for (size_t i = 0; i < 2; ++i)
                lie->relay_fds[i] = nb_steal_fd(&lie->relay->fds.fds[i]);
        ck_assert_int_eq(fake_relay_ready(lie->relay, lie->link), 0);
        ck_assert_uint_eq(wire_receive_connected(&lie->control, &lie->fd), 0);
        restart_one(&lie->restart, true);
        restart_expect_session_resumed(&lie->restart);
        expect_inventory(lie);
}

/* The session goes on in any case. */
static void lie_end(struct lie *lie) {
        struct wire control = wire_open_control(lie->restart.scene.web, "0.0.0.0:0");

        (void)wire_close(&control);
        (void)wire_close(&lie->control);
        lie->fd = nb_fd_close(lie->fd);
        for (size_t i = 0; i < 2; ++i)
                lie->relay_fds[i] = nb_fd_close(lie->relay_fds[i]);
        lie->relay = fake_relay_free(lie->relay);
        wire_session_close(&lie->restart.scene.session);
        daemon_stop(&lie->restart.scene.daemon);
        keeper_kill(&lie->restart.keeper);
        fake_relays_close(&lie->relays);
        peer_close(&lie->peer);
        daemon_deinit(&lie->restart.scene.daemon);
}

#define HELD_MAX (NB_RELAY_STOCK_MAX + 1)

static void send_stock(const struct lie *lie, const Nb__Relay__Held *held, size_t n, bool is_last) {
        NB_CLEANUP_FREE Nb__Relay__Held **pointers = calloc(n + 1, sizeof(*pointers));
        Nb__Relay__Stock stock = NB__RELAY__STOCK__INIT;
        Nb__Relay__Report report = NB__RELAY__REPORT__INIT;

        for (size_t i = 0; i < n; ++i)
                pointers[i] = (Nb__Relay__Held *)&held[i];
        stock.n_held = n;
        stock.held = pointers;
        stock.is_last = is_last;
        stock.number = lie->inventory;
        report.body_case = NB__RELAY__REPORT__BODY_STOCK;
        report.stock = &stock;
        (void)fake_relay_report(lie->relay, &report);
}

static Nb__Relay__Held held_of(uint64_t number, bool is_server, bool is_ready) {
        Nb__Relay__Held held = NB__RELAY__HELD__INIT;

        held.number = number;
        held.is_server = is_server;
        held.is_ready = is_ready;
        return held;
}

static void tell_of_nobody(const struct lie *lie) {
        const Nb__Relay__Held held = held_of(UINT64_C(1) << 60, false, true);

        send_stock(lie, &held, 1, true);
}

static void tell_of_zero(const struct lie *lie) {
        const Nb__Relay__Held held = held_of(0, false, true);

        send_stock(lie, &held, 1, true);
}

static void tell_twice(const struct lie *lie) {
        const Nb__Relay__Held held[] = { held_of(lie->link, false, true), held_of(lie->link, false, true) };

        send_stock(lie, held, 2, true);
}

static void tell_of_a_server(const struct lie *lie) {
        const Nb__Relay__Held held = held_of(lie->link, true, false);

        send_stock(lie, &held, 1, true);
}

static void tell_of_too_many(const struct lie *lie) {
        NB_CLEANUP_FREE Nb__Relay__Held *held = calloc(HELD_MAX, sizeof(*held));

        for (size_t i = 0; i < HELD_MAX; ++i)
                held[i] = held_of(1, false, false);
        send_stock(lie, held, HELD_MAX, false);
}

static void tell_something_in_between(const struct lie *lie) {
        send_stock(lie, NULL, 0, false);
        (void)fake_relay_ended(lie->relay, lie->link, NB__RELAY__CAUSE__CAUSE_CLOSED, "");
}

static void tell_again(const struct lie *lie) {
        const Nb__Relay__Held held = held_of(lie->link, false, true);

        send_stock(lie, &held, 1, true);
        send_stock(lie, NULL, 0, true);
}

static void tell_another_in_between(const struct lie *lie) {
        struct lie other = *lie;

        other.inventory++;
        send_stock(lie, NULL, 0, false);
        send_stock(&other, NULL, 0, true);
}

/* Each is answered by an order to end it, which waits where the relay does not read. */
static void tell_ever_more(const struct lie *lie) {
        Nb__Relay__Held held[NB_RELAY_STOCK_MAX];

        for (size_t i = 0; i < NB_RELAY_STOCK_MAX; ++i)
                held[i] = held_of(lie->link, false, false);
        for (size_t i = 0; i <= NB_RELAY_STOCK_ENDS_MAX / NB_RELAY_STOCK_MAX; ++i) {
                ck_assert(harness_poll(lie->relay->fd, POLLOUT, HARNESS_DEADLINE_MS) & POLLOUT);
                send_stock(lie, held, NB_RELAY_STOCK_MAX, false);
        }
        send_stock(lie, NULL, 0, true);
}

static void tell_nothing(const struct lie *lie) {
        (void)lie;
}

static void (*const lies[])(const struct lie *lie) = {
        tell_of_nobody,   tell_of_zero,
        tell_twice,       tell_of_a_server,
        tell_of_too_many, tell_something_in_between,
        tell_again,       tell_another_in_between,
        tell_ever_more,   tell_nothing,
};

START_TEST(a_relay_that_lies_about_what_it_has_is_ended) {
        struct lie lie;

        lie_start(&lie);
        lies[_i](&lie);
        fake_relay_expect_end(lie.relay);
        lie_end(&lie);
}
END_TEST

/* Its guest repeats the request. */
START_TEST(what_was_not_ready_is_ended) {
        struct lie lie;
        Nb__Relay__Held held;

        lie_start(&lie);
        held = held_of(lie.link, false, false);
        send_stock(&lie, &held, 1, true);
        fake_relay_expect(lie.relay, NB__RELAY__ORDER__BODY_END);
        ck_assert_uint_eq(lie.relay->order->end->link, lie.link);
        daemon_expect_log(&lie.restart.scene.daemon, "with 0 connections and servers; 1 that were not ready are ended");
        lie_end(&lie);
}
END_TEST

START_TEST(what_was_reported_before_is_passed_over) {
        struct lie lie;
        Nb__Relay__Held held;

        lie_start(&lie);
        ck_assert_int_eq(fake_relay_ended(lie.relay, lie.link, NB__RELAY__CAUSE__CAUSE_CLOSED, ""), 0);
        ck_assert_int_eq(fake_relay_ready(lie.relay, UINT64_C(1) << 60), 0);
        held = held_of(lie.link, false, true);
        send_stock(&lie, &held, 1, true);
        daemon_expect_log(&lie.restart.scene.daemon, "with 1 connections and servers; 0 that were not ready are ended");
        lie_end(&lie);
}
END_TEST

/* A broker asks, and ends before it has read the answer, which is for the next one to pass over: its own comes behind it. */
START_TEST(an_answer_to_the_broker_before_is_passed_over) {
        struct lie lie;
        Nb__Relay__Held held;

        lie_start(&lie);
        send_stock(&lie, NULL, 0, false);
        restart_one(&lie.restart, _i == 1);
        restart_expect_session_resumed(&lie.restart);
        send_stock(&lie, NULL, 0, true);
        expect_inventory(&lie);
        held = held_of(lie.link, false, true);
        send_stock(&lie, &held, 1, true);
        daemon_expect_log(&lie.restart.scene.daemon,
                          "with 1 connections and servers; 0 that were not ready are ended, and 0 have ended");
        lie_end(&lie);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("restart_relays");
        TCase *tcase = tcase_create("relays");

        tcase_add_unchecked_fixture(tcase, make_certificates, remove_certificates);
        tcase_add_loop_test(tcase, relayed_streams_go_on_and_are_known, 0, 2);
        tcase_add_loop_test(tcase, the_account_goes_on, 0, 2);
        tcase_add_loop_test(tcase, what_ended_meanwhile_has_ended, 0, 2);
        tcase_add_loop_test(tcase, a_relay_that_is_killed_meanwhile_ends_its_own, 0, 2);
        tcase_add_loop_test(tcase, what_came_back_can_be_revoked, 0, 2);
        tcase_add_loop_test(tcase, a_server_of_datagrams_goes_on, 0, 2);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("ends");
        tcase_add_unchecked_fixture(tcase, make_certificates, remove_certificates);
        tcase_add_test(tcase, a_relay_that_is_told_to_end_resets);
        tcase_add_test(tcase, a_server_is_there_again_when_its_relay_was_killed);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("lies");
        tcase_add_loop_test(tcase, a_relay_that_lies_about_what_it_has_is_ended, 0,
                            (int)(sizeof(lies) / sizeof(lies[0])));
        tcase_add_test(tcase, what_was_not_ready_is_ended);
        tcase_add_test(tcase, what_was_reported_before_is_passed_over);
        tcase_add_loop_test(tcase, an_answer_to_the_broker_before_is_passed_over, 0, 2);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
