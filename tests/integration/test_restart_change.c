/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes while no broker is there, or with the broker: its policy, its user, its version, its keeper.
 */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/keep_message.h"
#include "proto/state.pb-c.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define RULES_MAX 1024

/* A listener, and what a restart brings it: the repeated Listen is answered, with the address that it had. */
static struct wire listen_on(struct restart_scene *world, const char *bind, char address[NB_ADDRESS_LENGTH_MAX + 1]) {
        struct wire control = wire_open_control(world->scene.web, bind);

        ck_assert_uint_eq(wire_listen(&control, 16, address), 0);
        return control;
}

/* ---- the policy ---- */

START_TEST(a_tenant_is_gone) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        control = listen_on(&world, "127.0.0.1:0", NULL);
        restart_kill(&world);
        daemon_write_policy(&world.scene.daemon, "[Tenant]\nName=other\nUser=%u\n", (unsigned)getuid());
        restart_again(&world);
        wire_expect_end(&world.scene.session.channel);
        wire_expect_end(world.scene.web);
        wire_expect_end(&control);
        daemon_expect_log(&world.scene.daemon, "the new policy does not admit");
        (void)wire_close(&control);
        wire_session_close(&world.scene.session);
        scene_write_policy(&world.scene, SCENE_LOOPBACK);
        daemon_reload(&world.scene.daemon);
        restart_end(&world);
}
END_TEST

START_TEST(a_rule_is_gone) {
        bool keep = _i == 1;
        char rules[RULES_MAX];
        struct restart_scene world;
        struct wire control;

        restart_prepare(&world);
        restart_begin(&world, SCENE_LOOPBACK);
        control = listen_on(&world, "127.0.0.1:0", NULL);
        restart_stop(&world);
        (void)snprintf(rules, sizeof(rules), "Connect=127.0.0.1:*\n");
        if (keep)
                daemon_write_policy(&world.scene.daemon,
                                    "[Tenant]\nName=acme\nUser=%u\nExisting=keep\n[Protocol web]\nFamily=ip\n"
                                    "DataPath=direct\n%s",
                                    (unsigned)getuid(), rules);
        else
                scene_write_policy(&world.scene, rules);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        if (keep)
                restart_expect_resumed(&control);
        else
                wire_expect_end(&control);
        (void)wire_close(&control);
        wire_settle(world.scene.web);
        restart_end(&world);
}
END_TEST

/* What is there stays, though it is more than may be by now, and nothing new is given. */
START_TEST(a_limit_is_lower) {
        struct restart_scene world;
        struct wire controls[3], other;

        restart_start(&world, SCENE_LOOPBACK);
        for (int i = 0; i < 3; ++i)
                controls[i] = listen_on(&world, "127.0.0.1:0", NULL);
        restart_kill(&world);
        daemon_write_policy(&world.scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\nMaxListeners=2\n[Protocol web]\nFamily=ip\n"
                            "DataPath=direct\n" SCENE_LOOPBACK,
                            (unsigned)getuid());
        restart_again(&world);
        restart_expect_session_resumed(&world);
        for (int i = 0; i < 3; ++i) {
                restart_expect_resumed(&controls[i]);
                ck_assert_uint_eq(wire_listen(&controls[i], 16, NULL), 0);
        }
        other = wire_open_control(world.scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&other, 16, NULL), NB_WASI_EMFILE);
        (void)wire_close(&controls[0]);
        (void)wire_close(&controls[1]);
        wire_settle(world.scene.web);
        ck_assert_uint_eq(wire_listen(&other, 16, NULL), 0);
        (void)wire_close(&controls[2]);
        (void)wire_close(&other);
        restart_end(&world);
}
END_TEST

/* ---- sockets ---- */

static ino_t inode_of(const char *path) {
        struct stat st;

        ck_assert_int_eq(stat(path, &st), 0);
        return st.st_ino;
}

/* The broker's own sockets are the same files as before; of another command line they go. */
START_TEST(the_brokers_own_sockets) {
        char admin[HARNESS_PATH_MAX], own[HARNESS_PATH_MAX];
        ino_t before[3];
        struct restart_scene world;
        struct wire_session session;

        restart_prepare(&world);
        (void)snprintf(admin, sizeof(admin), "%.60s/admin.sock", world.scene.daemon.folder);
        (void)snprintf(own, sizeof(own), "%.60s/own.sock", world.scene.daemon.folder);
        daemon_write_policy_file(&world.scene.daemon, "beta.conf", "[Tenant]\nName=beta\nSocket=%s\n", own);
        restart_argument(&world, "--admin-socket");
        restart_argument(&world, admin);
        restart_begin(&world, SCENE_LOOPBACK);
        before[0] = inode_of(world.scene.daemon.socket_path);
        before[1] = inode_of(admin);
        before[2] = inode_of(own);
        restart_one(&world, _i == 1);
        ck_assert_uint_eq(inode_of(world.scene.daemon.socket_path), before[0]);
        ck_assert_uint_eq(inode_of(admin), before[1]);
        ck_assert_uint_eq(inode_of(own), before[2]);
        wire_session_open(own, "beta", &session);
        wire_session_close(&session);
        restart_expect_session_resumed(&world);

        /* Without the operator's socket, and without the tenant. */
        restart_stop(&world);
        world.arguments[2] = NULL;
        daemon_remove_policy(&world.scene.daemon, "beta.conf");
        restart_again(&world);
        ck_assert_int_lt(access(admin, F_OK), 0);
        ck_assert_int_lt(access(own, F_OK), 0);
        ck_assert_uint_eq(inode_of(world.scene.daemon.socket_path), before[0]);
        restart_expect_session_resumed(&world);
        world.scene.baseline -= 2;
        restart_end(&world);
}
END_TEST

/* A path that was bound is there over a restart, and goes with its control. */
START_TEST(a_path_goes_with_its_control) {
        char path[HARNESS_PATH_MAX], rules[RULES_MAX];
        struct restart_scene world;
        struct wire control;
        int peer, stream;

        restart_prepare(&world);
        (void)snprintf(path, sizeof(path), "%.60s/guest.sock", world.scene.daemon.folder);
        (void)snprintf(rules, sizeof(rules),
                       SCENE_LOOPBACK "[Protocol local]\nFamily=unix\nDataPath=direct\nListen=%s\n", path);
        restart_begin(&world, rules);
        control = wire_open_control(&world.scene.session.protocols[1], path);
        ck_assert_uint_eq(wire_listen(&control, 16, NULL), 0);
        restart_one(&world, _i == 1);
        restart_expect_session_resumed(&world);
        restart_expect_resumed(&control);
        peer = peer_unix_connect(NULL, path);
        ck_assert_int_ge(peer, 0);
        ck_assert_uint_eq(wire_listen(&control, 16, NULL), 0);
        stream = wire_receive_accepted(&control, 1);
        peer_exchange(stream, peer);
        (void)nb_fd_close(stream);
        peer_expect_end(peer);
        (void)nb_fd_close(peer);
        (void)wire_close(&control);
        wire_settle(world.scene.web);
        ck_assert_int_lt(access(path, F_OK), 0);
        restart_end(&world);
}
END_TEST

/* An address of UDP is free again when its control is closed, though the keeper had its socket, too. */
START_TEST(an_address_is_free_again) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct restart_scene world;
        struct wire control;

        restart_start(&world, "SocketTypes=stream dgram\n" SCENE_LOOPBACK);
        ck_assert_uint_eq(wire_open_dgram(world.scene.web, "127.0.0.1:0", &control, address), 0);
        for (int i = 0; i < 20; ++i) {
                (void)wire_close(&control);
                wire_settle(world.scene.web);
                ck_assert_uint_eq(wire_open_dgram(world.scene.web, address, &control, NULL), 0);
        }
        restart_kill(&world);
        (void)wire_close(&control);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        ck_assert_uint_eq(wire_open_dgram(world.scene.web, address, &control, NULL), 0);
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

/* A socket that was bound becomes a connection, of which the keeper has no duplicate: its end is seen at once. */
START_TEST(a_bound_connection_ends) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        struct restart_scene world;
        struct wire control;
        int stream, accepted;

        restart_start(&world, SCENE_LOOPBACK);
        control = wire_open_control(world.scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_connect_to(&control, peer.text, &stream), 0);
        accepted = peer_accept(&peer);
        peer_exchange(stream, accepted);
        (void)nb_fd_close(stream);
        peer_expect_end(accepted);
        restart_one(&world, _i == 1);
        restart_expect_session_resumed(&world);
        restart_expect_resumed(&control);
        /* It has connected, and is not one that could listen. */
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), NB_WASI_EISCONN);
        (void)nb_fd_close(accepted);
        (void)wire_close(&control);
        peer_close(&peer);
        restart_end(&world);
}
END_TEST

START_TEST(preopened_sockets_come_back) {
        struct peer peer = peer_listen("127.0.0.1", 8);
        char rules[RULES_MAX], address[NB_ADDRESS_LENGTH_MAX + 1];
        struct restart_scene world;
        struct wire *listener, *connection;
        int fd, other;

        (void)snprintf(rules, sizeof(rules),
                       SCENE_LOOPBACK "[Preopen in]\nDataPath=direct\nListen=@nb-test-restart-%d\n"
                                      "[Preopen out]\nDataPath=direct\nConnect=%s\n",
                       (int)getpid(), peer.text);
        restart_prepare(&world);
        restart_begin(&world, rules);
        listener = &world.scene.session.preopens[0].control;
        connection = &world.scene.session.preopens[1].control;
        restart_one(&world, _i == 1);
        restart_expect_session_resumed(&world);
        restart_expect_resumed(listener);
        restart_expect_resumed(connection);
        ck_assert_uint_eq(wire_listen(listener, 16, address), 0);
        ck_assert_uint_eq(wire_connect_to(connection, peer.text, &fd), 0);
        other = peer_accept(&peer);
        peer_exchange(fd, other);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        restart_one(&world, _i == 1);
        restart_expect_resumed(listener);
        other = peer_unix_connect(NULL, address);
        ck_assert_uint_eq(wire_listen(listener, 16, NULL), 0);
        fd = wire_receive_accepted(listener, 1);
        peer_exchange(fd, other);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(other);
        restart_expect_session_resumed(&world);
        restart_end(&world);
        peer_close(&peer);
}
END_TEST

/* ---- versions ---- */

/* Changes what the keeper has, as another version of the broker would have written it; no broker is there. */
static int connect_to_keeper(const struct keeper *keeper) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        (void)memccpy(sa.sun_path, keeper->path, '\0', sizeof(sa.sun_path));
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        return fd;
}

static void put(int fd, uint64_t id, const Nb__State__Item *item, const struct nb_channel_fds *fds) {
        size_t length = nb__state__item__get_packed_size(item);
        struct nb_keep_header header = { .version = NB_KEEP_VERSION, .verb = NB_KEEP_PUT, .id = id };
        uint8_t message[sizeof(header) + NB_KEEP_BYTES_MAX];

        ck_assert_uint_le(length, NB_KEEP_BYTES_MAX);
        header.length = (uint32_t)length;
        memcpy(message, &header, sizeof(header));
        (void)nb__state__item__pack(item, message + sizeof(header));
        ck_assert_int_eq(nb_channel_send(fd, message, sizeof(header) + length, fds->fds, fds->n), 0);
}

typedef void (*change_function)(Nb__State__Item *item, const struct nb_channel_fds *fds);

/* One entry of the keeper's, as it arrives. @return whether it was the last */
static bool change_one(int fd, int writer, Nb__State__Item__BodyCase body, change_function change) {
        NB_CLEANUP_FREE uint8_t *message = malloc(NB_CHANNEL_MESSAGE_MAX);
        struct nb_channel_fds fds = { .n = 0 };
        struct nb_keep_header header;
        Nb__State__Item *item;
        int n;

        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "the keeper does not answer");
        n = nb_channel_receive(fd, message, &fds);
        ck_assert_int_ge(n, (int)sizeof(header));
        memcpy(&header, message, sizeof(header));
        if (header.verb == NB_KEEP_END)
                return true;
        item = nb__state__item__unpack(NULL, header.length, message + sizeof(header));
        ck_assert_ptr_nonnull(item);
        if (item->body_case == body) {
                change(item, &fds);
                put(writer, header.id, item, &fds);
        }
        nb_channel_fds_close(&fds);
        nb__state__item__free_unpacked(item, NULL);
        return false;
}

static void change_items(const struct keeper *keeper, Nb__State__Item__BodyCase body, change_function change) {
        const struct nb_keep_header fetch = { .version = NB_KEEP_VERSION, .verb = NB_KEEP_FETCH };
        NB_CLEANUP_FD int fd = connect_to_keeper(keeper);

        ck_assert_int_eq(nb_channel_send(fd, &fetch, sizeof(fetch), NULL, 0), 0);
        while (!change_one(fd, fd, body, change))
                ;
}

static void need_more(Nb__State__Item *item, const struct nb_channel_fds *fds) {
        (void)fds;
        item->needs = 4711;
}

/* Of a newer version: what cannot be understood ends, and its holder sees that; the rest goes on. */
START_TEST(an_entry_of_a_newer_version) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        control = listen_on(&world, "127.0.0.1:0", NULL);
        restart_kill(&world);
        change_items(&world.keeper, NB__STATE__ITEM__BODY_CONTROL, need_more);
        restart_again(&world);
        wire_expect_end(&control);
        daemon_expect_log(&world.scene.daemon, "1 entries of netbroker-keeper are of a newer netbrokerd");
        restart_expect_session_resumed(&world);
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

static void need_less(Nb__State__Item *item, const struct nb_channel_fds *fds) {
        (void)fds;
        item->needs = 0;
}

START_TEST(an_entry_of_an_older_version) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        control = listen_on(&world, "127.0.0.1:0", NULL);
        restart_kill(&world);
        change_items(&world.keeper, NB__STATE__ITEM__BODY_CONTROL, need_less);
        restart_again(&world);
        restart_expect_resumed(&control);
        restart_expect_session_resumed(&world);
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

/* The text before is protobuf-c's own for an empty one. A session whose item makes no sense takes all that came of it along. */
static void unname_socket(Nb__State__Item *item, const struct nb_channel_fds *fds) {
        (void)fds;
        item->session->socket_tenant = strdup("acme");
}

START_TEST(an_entry_without_sense) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        control = listen_on(&world, "127.0.0.1:0", NULL);
        restart_kill(&world);
        change_items(&world.keeper, NB__STATE__ITEM__BODY_SESSION, unname_socket);
        restart_again(&world);
        wire_expect_end(&control);
        wire_expect_end(world.scene.web);
        wire_expect_end(&world.scene.session.channel);
        daemon_expect_log(&world.scene.daemon, "3 entries of netbroker-keeper could not be taken back");
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

static void shut_down(Nb__State__Item *item, const struct nb_channel_fds *fds) {
        ck_assert(!item->listener->admin);
        ck_assert_int_eq(shutdown(fds->fds[0], SHUT_RDWR), 0);
}

/* As a broker leaves it that is killed while it ends the socket: nobody could reach it. */
START_TEST(a_socket_that_was_shut_down) {
        struct restart_scene world;
        struct wire_session session;

        restart_start(&world, SCENE_LOOPBACK);
        restart_kill(&world);
        change_items(&world.keeper, NB__STATE__ITEM__BODY_LISTENER, shut_down);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        wire_session_open(world.scene.daemon.socket_path, "acme", &session);
        wire_session_close(&session);
        restart_end(&world);
}
END_TEST

/* ---- the keeper ---- */

/* Without one all ends, as ever; the next broker says why it begins empty. */
START_TEST(the_keeper_goes_in_the_outage) {
        struct restart_scene world;

        restart_start(&world, SCENE_LOOPBACK);
        restart_take_down(&world, _i == 1);
        keeper_kill(&world.keeper);
        wire_expect_end(&world.scene.session.channel);
        wire_expect_end(world.scene.web);
        keeper_start(&world.keeper, world.scene.daemon.folder);
        restart_again(&world);
        restart_end(&world);
}
END_TEST

/* The broker's connection, its socket, the ledger, a shelf, a session, a protocol, and a control with its socket. */
#define KEPT_FDS 8

/* The next keeper is given everything again, so a later kill loses nothing. */
START_TEST(another_keeper_comes) {
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        struct restart_scene world;
        struct wire control;
        unsigned kept;

        restart_start(&world, SCENE_LOOPBACK);
        control = listen_on(&world, "127.0.0.1:0", address);
        kept = world.keeper_baseline + KEPT_FDS;
        keeper_wait_fds(&world.keeper, kept);
        keeper_kill(&world.keeper);
        wire_settle(world.scene.web);
        keeper_start(&world.keeper, world.scene.daemon.folder);
        daemon_expect_log(&world.scene.daemon, "is there again, and is given");
        keeper_wait_fds(&world.keeper, kept);
        restart_one(&world, true);
        restart_expect_session_resumed(&world);
        restart_expect_resumed(&control);
        ck_assert_uint_eq(wire_listen(&control, 1, NULL), 0);
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

/* @param world  without a broker */
static void fail_to_start(struct restart_scene *world) {
        char *said;

        ck_assert_int_ne(daemon_run_once(&world->scene.daemon,
                                         (const char *const[]){ "--policy", world->scene.daemon.policy_path, "--keeper",
                                                                world->keeper.path, "--metrics", "nonsense", NULL },
                                         &said),
                         0);
        ck_assert_ptr_nonnull(strstr(said, "cannot serve metrics at nonsense"));
        free(said);
}

/* Something cannot be had: nothing is lost, for the broker does not start, and the one that does finds all. */
START_TEST(a_broker_that_does_not_start) {
        struct restart_scene world;

        restart_start(&world, SCENE_LOOPBACK);
        restart_stop(&world);
        fail_to_start(&world);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        restart_end(&world);
}
END_TEST

static void need_this(Nb__State__Item *item, const struct nb_channel_fds *fds) {
        (void)fds;
        item->needs = 1;
}

/* Nor does an older one end what it does not understand, if it does not start. */
START_TEST(an_older_broker_that_does_not_start) {
        struct restart_scene world;
        struct wire control;

        restart_start(&world, SCENE_LOOPBACK);
        control = listen_on(&world, "127.0.0.1:0", NULL);
        restart_stop(&world);
        change_items(&world.keeper, NB__STATE__ITEM__BODY_CONTROL, need_more);
        fail_to_start(&world);
        change_items(&world.keeper, NB__STATE__ITEM__BODY_CONTROL, need_this);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        restart_expect_resumed(&control);
        (void)wire_close(&control);
        restart_end(&world);
}
END_TEST

/* As a broker leaves it that is killed between making a tenant and having its shelf back: an empty one beside that on which something is. */
static void leave_empty_shelf(const struct keeper *keeper, uint64_t id) {
        const struct nb_keep_header fetch = { .version = NB_KEEP_VERSION, .verb = NB_KEEP_FETCH };
        NB_CLEANUP_FD int fd = connect_to_keeper(keeper), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        const struct nb_channel_fds fds = { .n = 1, .fds = { epoll_fd } };
        Nb__State__Shelf shelf = NB__STATE__SHELF__INIT;
        Nb__State__Item item = NB__STATE__ITEM__INIT;

        ck_assert_int_ge(epoll_fd, 0);
        shelf.tenant = (char *)"acme";
        shelf.number = 1;
        item.body_case = NB__STATE__ITEM__BODY_SHELF;
        item.shelf = &shelf;
        ck_assert_int_eq(nb_channel_send(fd, &fetch, sizeof(fetch), NULL, 0), 0);
        put(fd, id, &item, &fds);
}

#define LATER_ID 4711
#define UNIX_RULES(name) SCENE_LOOPBACK "[Protocol local]\nFamily=unix\nDataPath=direct\nConnect=" name "\n"

/* What is held counts on: of Unix sockets only the shelf knows. */
START_TEST(a_broker_that_was_killed_while_it_took_back) {
        char address[64], rules[RULES_MAX];
        struct restart_scene world;
        struct wire control;
        int listen_fd, stream, other = -1;

        (void)snprintf(address, sizeof(address), "@nb-test-shelf-%d", (int)getpid());
        (void)snprintf(rules, sizeof(rules), UNIX_RULES("%s"), address);
        listen_fd = peer_unix_listen(address, 16);
        restart_start(&world, rules);
        control = wire_open_control(&world.scene.session.protocols[1], "");
        ck_assert_uint_eq(wire_connect_to(&control, address, &stream), 0);
        (void)wire_close(&control);
        restart_kill(&world);
        leave_empty_shelf(&world.keeper, LATER_ID);
        daemon_write_policy(&world.scene.daemon,
                            "[Tenant]\nName=acme\nUser=%u\nMaxConnections=1\n[Protocol web]\nFamily=ip\n"
                            "DataPath=direct\n%s",
                            (unsigned)getuid(), rules);
        restart_again(&world);
        restart_expect_session_resumed(&world);
        control = wire_open_control(&world.scene.session.protocols[1], "");
        for (int i = 0; i < 10; ++i)
                ck_assert_uint_eq(wire_connect_to(&control, address, &other), NB_WASI_EMFILE);
        (void)wire_close(&control);
        (void)nb_fd_close(stream);
        (void)nb_fd_close(listen_fd);
        restart_end(&world);
}
END_TEST

static Suite *restart_change_suite(void) {
        Suite *suite = suite_create("restart_change");
        TCase *policy = tcase_create("policy"), *sockets = tcase_create("sockets");
        TCase *versions = tcase_create("versions"), *keeper = tcase_create("keeper");

        tcase_add_test(policy, a_tenant_is_gone);
        tcase_add_loop_test(policy, a_rule_is_gone, 0, 2);
        tcase_add_test(policy, a_limit_is_lower);
        suite_add_tcase(suite, policy);
        tcase_add_loop_test(sockets, the_brokers_own_sockets, 0, 2);
        tcase_add_loop_test(sockets, a_path_goes_with_its_control, 0, 2);
        tcase_add_test(sockets, an_address_is_free_again);
        tcase_add_loop_test(sockets, a_bound_connection_ends, 0, 2);
        tcase_add_loop_test(sockets, preopened_sockets_come_back, 0, 2);
        suite_add_tcase(suite, sockets);
        tcase_add_test(versions, an_entry_of_a_newer_version);
        tcase_add_test(versions, an_entry_of_an_older_version);
        tcase_add_test(versions, an_entry_without_sense);
        tcase_add_test(versions, a_socket_that_was_shut_down);
        suite_add_tcase(suite, versions);
        tcase_add_loop_test(keeper, the_keeper_goes_in_the_outage, 0, 2);
        tcase_add_test(keeper, another_keeper_comes);
        tcase_add_test(keeper, a_broker_that_does_not_start);
        tcase_add_test(keeper, an_older_broker_that_does_not_start);
        tcase_add_test(keeper, a_broker_that_was_killed_while_it_took_back);
        suite_add_tcase(suite, keeper);
        return suite;
}

int main(void) {
        return run_suite(restart_change_suite());
}
