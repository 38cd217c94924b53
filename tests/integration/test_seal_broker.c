/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the broker makes of the seal: it is proven at the start, or something says why not; DataPath=auto follows that; closes are told at once, and relays
 * in a control group of their own can do what they are for.
 */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/seal_layout.h"
#include "tests/support/keeper.h"
#include "tests/support/process.h"
#include "tests/support/quic_host.h"
#include "tests/support/runner.h"
#include "tests/support/sealed_world.h"

/* How often what happens at once is looked at, so that a sweep could not have done it. */
#define TIMES 50

/* ---- connections of the host ---- */

struct call {
        int fd; /* the host's */
        int peer_fd;
        int peer; /* who listens, or receives */
        char address[NB_ADDRESS_TEXT_MAX];
};

static enum nb_socket_type type_of(int type) {
        return type == SOCK_STREAM ? NB_SOCKET_STREAM : NB_SOCKET_DGRAM;
}

static void call_open(const struct sealed_world *world, int family, int type, struct call *ret) {
        struct nb_control *control =
                sealed_world_control(world, family == AF_INET ? "0.0.0.0:0" : "[::]:0", type_of(type));

        ret->peer = sealed_world_peer(family, type, ret->address);
        ret->fd = sealed_world_connect(control, ret->address);
        ret->peer_fd = type == SOCK_STREAM ? sealed_world_accept(ret->peer) : -1;
        (void)nb_control_free(control);
}

static int far_end(const struct call *call) {
        return call->peer_fd >= 0 ? call->peer_fd : call->peer;
}

static void call_close(struct call *call) {
        call->fd = nb_fd_close(call->fd);
        call->peer_fd = nb_fd_close(call->peer_fd);
        call->peer = nb_fd_close(call->peer);
}

static const struct {
        int family, type;
} kinds[] = {
        { AF_INET, SOCK_STREAM },
        { AF_INET6, SOCK_STREAM },
        { AF_INET, SOCK_DGRAM },
        { AF_INET6, SOCK_DGRAM },
};

#define N_KINDS ((int)(sizeof(kinds) / sizeof(kinds[0])))

/* What the host holds carries bytes, and is what it should be. */
static void expect_path(const struct sealed_world *world, bool sockets) {
        for (int i = 0; i < N_KINDS; ++i) {
                struct call call;

                call_open(world, kinds[i].family, kinds[i].type, &call);
                ck_assert_int_eq(sealed_world_is_socket(call.fd), sockets);
                sealed_world_expect_bytes(call.fd, far_end(&call));
                call_close(&call);
        }
}

/* ---- whether it is proven ---- */

START_TEST(auto_hands_out_sockets_with_the_proof) {
        SEALED_WORLD world;

        sealed_world_start(&world, true, "");
        daemon_expect_log(&world.daemon, "the seal is proven");
        expect_path(&world, true);
}
END_TEST

START_TEST(auto_relays_without_a_seal_and_warns) {
        SEALED_WORLD world;

        sealed_world_start(&world, false, "");
        daemon_expect_log(&world.daemon, "the seal is not proven: netbrokerd was not given --seal; connections with "
                                         "DataPath=auto, as those of [Protocol web] of tenant acme, go through relays");
        daemon_expect_audit(&world.daemon, "\"verb\":\"seal\"", "\"verdict\":\"missing\"");
        expect_path(&world, false);
}
END_TEST

START_TEST(relay_is_obeyed_with_the_proof) {
        SEALED_WORLD world;

        sealed_world_start(&world, true, "DataPath=relay\n");
        expect_path(&world, false);
}
END_TEST

/* A reload does not change what was proven, and what was handed out lives on. */
START_TEST(a_reload_keeps_what_is_sealed) {
        struct call call;
        SEALED_WORLD world;

        sealed_world_start(&world, true, "");
        call_open(&world, AF_INET, SOCK_STREAM, &call);
        daemon_reload(&world.daemon);
        sealed_world_expect_bytes(call.fd, call.peer_fd);
        expect_path(&world, true);
        call_close(&call);
}
END_TEST

enum missing {
        NO_SEAL,
        NOT_PINNED,
        NOT_ATTACHED,
        NO_PROBE,
        PROBE_IS_AWAY,
        PROBE_IS_AN_OWNER,
        N_MISSING,
};

static const char *const reasons[N_MISSING] = {
        [NO_SEAL] = "netbrokerd was not given --seal",
        [NOT_PINNED] = "start netbroker-seal.service",
        [NOT_ATTACHED] = "are not attached to the broker's control group",
        [NO_PROBE] = "nobody can prove it: give --probe PATH",
        [PROBE_IS_AWAY] = "does not prove it",
        [PROBE_IS_AN_OWNER] = "",
};

/* All that is there but one thing. */
static void prepare_missing(struct sealed_world *world, enum missing missing) {
        sealed_world_init(world);
        sealed_world_write_policy(world, "");
        if (missing >= NOT_ATTACHED)
                seal_scene_load(&world->seal);
        if (missing >= NO_PROBE)
                seal_scene_attach(&world->seal, SEAL_BROKER);
        if (missing == PROBE_IS_AN_OWNER) {
                seal_scene_start_probe(&world->seal, SEAL_BROKER);
                ck_assert_int_eq(chmod(world->seal.probe_path, 0666), 0);
        }
        if (missing >= NOT_PINNED) {
                sealed_world_argument(world, "--seal");
                sealed_world_argument(world, world->seal.pins);
        }
        if (missing >= PROBE_IS_AWAY) {
                sealed_world_argument(world, "--probe");
                sealed_world_argument(world, world->seal.probe_path);
        }
}

/* A probe in the broker's own group can do everything, so its word is that everything can be done. */
START_TEST(without_one_thing_nothing_is_proven) {
        SEALED_WORLD world;

        prepare_missing(&world, (enum missing)_i);
        sealed_world_start_broker(&world, SEAL_BROKER);
        daemon_expect_log(&world.daemon, "the seal is not proven: ");
        daemon_expect_log(&world.daemon, reasons[_i]);
}
END_TEST

static void require_seal(struct sealed_world *world, const char *yes, char path[static HARNESS_PATH_MAX]) {
        FILE *file;

        (void)snprintf(path, HARNESS_PATH_MAX, "%s/defaults", world->daemon.folder);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        (void)fprintf(file, "[Defaults]\nRequireSeal=%s\n", yes);
        ck_assert_int_eq(fclose(file), 0);
}

START_TEST(require_seal_refuses_to_start) {
        NB_CLEANUP_FREE char *output = NULL;
        char defaults[HARNESS_PATH_MAX];
        const char *arguments[2 * SEALED_ARGUMENTS_MAX];
        size_t n = 0;
        SEALED_WORLD world;

        prepare_missing(&world, (enum missing)_i);
        require_seal(&world, "yes", defaults);
        for (; n < world.n_arguments; ++n)
                arguments[n] = world.arguments[n];
        memcpy(&arguments[n],
               (const char *[]){ "--defaults", defaults, "--policy", world.daemon.policy_path, "--socket",
                                 world.daemon.socket_path, NULL },
               7 * sizeof(arguments[0]));
        seal_scene_enter(&world.seal, SEAL_BROKER);
        ck_assert_int_eq(daemon_run_once(&world.daemon, arguments, &output), EX_UNAVAILABLE);
        ck_assert_msg(strstr(output, "the seal is not proven: ") && strstr(output, "RequireSeal=yes"), "%s", output);
        ck_assert_msg(strstr(output, reasons[_i]) != NULL, "%s", output);
        unlink(defaults);
}
END_TEST

START_TEST(require_seal_is_served_with_the_proof) {
        char defaults[HARNESS_PATH_MAX];
        SEALED_WORLD world;

        sealed_world_init(&world);
        sealed_world_seal(&world);
        require_seal(&world, "yes", defaults);
        sealed_world_argument(&world, "--defaults");
        sealed_world_argument(&world, defaults);
        sealed_world_write_policy(&world, "");
        sealed_world_start_broker(&world, SEAL_BROKER);
        sealed_world_open(&world);
        expect_path(&world, true);
        ck_assert_int_eq(unlink(defaults), 0);
}
END_TEST

/* The policy before stays in force. */
START_TEST(require_seal_refuses_a_reload) {
        char defaults[HARNESS_PATH_MAX];
        SEALED_WORLD world;

        sealed_world_init(&world);
        sealed_world_start_relays(&world);
        require_seal(&world, "no", defaults);
        sealed_world_argument(&world, "--defaults");
        sealed_world_argument(&world, defaults);
        sealed_world_write_policy(&world, "");
        sealed_world_start_broker(&world, SEAL_BROKER);
        sealed_world_open(&world);
        require_seal(&world, "yes", defaults);
        daemon_reload(&world.daemon);
        daemon_expect_log(&world.daemon, "RequireSeal=yes in [Defaults] lets nothing be served without it");
        daemon_expect_log(&world.daemon, "not reloaded");
        expect_path(&world, false);
        ck_assert_int_eq(unlink(defaults), 0);
}
END_TEST

/* ---- what is closed is told ---- */

/* There is room for one, and a sweep of all is due in a minute. */
#define ONE "[Tenant]\nName=acme\nUser=%u\nMaxConnections=1\n"

static void write_policy_for_one(const struct sealed_world *world) {
        daemon_write_policy(&world->daemon,
                            ONE "[Protocol web]\nFamily=ip\nSocketTypes=stream dgram\nConnect=127.0.0.0/8:*\n"
                                "Connect=[::1]:*\nListen=127.0.0.1:*\n",
                            (unsigned)getuid());
}

static int try_connect(const struct sealed_world *world, const char *address, int type) {
        struct nb_control *control = sealed_world_control(world, "0.0.0.0:0", type_of(type));
        struct nb_connection *connection = NULL;
        int r = nb_connect(control, address, strlen(address), &connection);

        (void)nb_connection_free(connection);
        (void)nb_control_free(control);
        return r;
}

static void start_for_one(struct sealed_world *world) {
        sealed_world_init(world);
        sealed_world_seal(world);
        write_policy_for_one(world);
        sealed_world_start_broker(world, SEAL_BROKER);
        sealed_world_open(world);
}

/* Nobody asks for a place meanwhile: then the tenant's files would be looked at. */
static void wait_for_none(const struct sealed_world *world) {
        uint64_t start_ms = harness_now_ms();
        char admin[HARNESS_PATH_MAX];

        (void)snprintf(admin, sizeof(admin), "%s/admin.sock", world->daemon.folder);
        for (;;) {
                PROCESS process;

                PROCESS_START(&process, getenv("NETBROKERCTL"), "--admin-socket", admin, "status");
                ck_assert_int_eq(process_finish(&process, HARNESS_DEADLINE_MS), 0);
                if (strstr(process.text, "connections: 0\n"))
                        return;
                harness_wait_a_moment(start_ms, "the last connection's end");
        }
}

static void add_admin_socket(struct sealed_world *world, char admin[static HARNESS_PATH_MAX]) {
        (void)snprintf(admin, HARNESS_PATH_MAX, "%s/admin.sock", world->daemon.folder);
        sealed_world_argument(world, "--admin-socket");
        sealed_world_argument(world, admin);
}

/* The kernel's own events are not listened to then, and a sweep comes in a minute: nothing else can have told. */
START_TEST(a_close_is_told_at_once) {
        char admin[HARNESS_PATH_MAX];
        SEALED_WORLD world;

        sealed_world_init(&world);
        add_admin_socket(&world, admin);
        sealed_world_seal(&world);
        sealed_world_write_policy(&world, "");
        sealed_world_start_broker(&world, SEAL_BROKER);
        sealed_world_open(&world);
        for (int i = 0; i < N_KINDS; ++i) {
                struct call call;

                call_open(&world, kinds[i].family, kinds[i].type, &call);
                call.fd = nb_fd_close(call.fd);
                wait_for_none(&world);
                call_close(&call);
        }
}
END_TEST

/*
 * Its peer ends first, and the host by a reset, so that the kernel has nothing left to wait for: not even that a packet gets its turn on a
 * machine that has much to do.
 */
static void end_and_close(struct call *call) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

        if (call->peer_fd >= 0) {
                call->peer_fd = nb_fd_close(call->peer_fd);
                ck_assert_int_ne(harness_poll(call->fd, POLLRDHUP, HARNESS_DEADLINE_MS), 0);
                ck_assert_int_eq(setsockopt(call->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        }
        (void)close(call->fd);
        call->fd = -1;
        call_close(call);
}

START_TEST(a_place_is_free_at_once) {
        SEALED_WORLD world;

        start_for_one(&world);
        for (int i = 0; i < TIMES; ++i) {
                struct call call;

                call_open(&world, AF_INET, kinds[_i].type, &call);
                ck_assert_int_eq(try_connect(&world, call.address, kinds[_i].type), -EMFILE);
                end_and_close(&call);
        }
}
END_TEST

/* What a holder does to its socket frees no place: a disconnect, a shutdown, a duplicate in another's hands. */
START_TEST(what_is_held_is_charged_whatever_is_done_to_it) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };
        struct call call;
        SEALED_WORLD world;
        int copy_fd;

        start_for_one(&world);
        call_open(&world, AF_INET, kinds[_i].type, &call);
        (void)shutdown(call.fd, SHUT_RDWR);
        ck_assert_int_eq(connect(call.fd, &nobody, sizeof(nobody)), 0);
        copy_fd = dup(call.fd);
        call.fd = nb_fd_close(call.fd);
        for (int i = 0; i < TIMES; ++i)
                ck_assert_int_eq(try_connect(&world, call.address, kinds[_i].type), -EMFILE);
        (void)nb_fd_close(copy_fd);
        ck_assert_int_eq(try_connect(&world, call.address, kinds[_i].type), 0);
        call_close(&call);
}
END_TEST

/* More closes than the ring has room for, while the broker hears nothing. */
static void overrun(const struct sealed_world *world) {
        enum { MORE_THAN_FIT = 2 * NB_SEAL_RING_SIZE / sizeof(struct nb_seal_event) };

        seal_scene_enter(&world->seal, SEAL_BROKER);
        for (size_t i = 0; i < MORE_THAN_FIT; ++i) {
                int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

                ck_assert_int_ge(fd, 0);
                (void)close(fd);
        }
        seal_scene_enter(&world->seal, SEAL_STRANGER);
}

START_TEST(what_the_ring_had_no_room_for_is_found) {
        char admin[HARNESS_PATH_MAX];
        struct call call;
        SEALED_WORLD world;

        sealed_world_init(&world);
        add_admin_socket(&world, admin);
        sealed_world_seal(&world);
        sealed_world_write_policy(&world, "");
        sealed_world_start_broker(&world, SEAL_BROKER);
        sealed_world_open(&world);
        call_open(&world, AF_INET, SOCK_STREAM, &call);
        ck_assert_int_eq(kill(world.daemon.pid, SIGSTOP), 0);
        overrun(&world);
        end_and_close(&call);
        ck_assert_int_eq(kill(world.daemon.pid, SIGCONT), 0);
        wait_for_none(&world);
}
END_TEST

/* ---- relays in a group of their own ---- */

static void kill_relays(const struct sealed_world *world) {
        char path[SEAL_SCENE_PATH_MAX + 32];
        FILE *file;
        int pid;

        (void)snprintf(path, sizeof(path), "%s/cgroup.procs", world->seal.cgroups[SEAL_RELAY]);
        file = fopen(path, "re");
        ck_assert_ptr_nonnull(file);
        while (fscanf(file, "%d", &pid) == 1)
                if (pid != world->activator)
                        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        (void)fclose(file);
}

/* One who sends is a connection of the server's. @return the peer's socket */
static int expect_client(struct nb_control *server) {
        int peer_fd = sealed_world_call(SOCK_DGRAM, nb_control_address(server));
        struct nb_connection *connection = NULL;
        int fd;

        ck_assert_int_eq(send(peer_fd, "?", 1, 0), 1);
        ck_assert_int_eq(nb_accept(server, &connection), 0);
        fd = sealed_world_stream(connection);
        ck_assert_int_ne(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(fd, (char[1]){ 0 }, 1, 0), 1);
        sealed_world_expect_bytes(fd, peer_fd);
        (void)nb_fd_close(fd);
        return peer_fd;
}

START_TEST(a_server_of_datagrams_answers_its_peers) {
        static const char *const addresses[] = { "127.0.0.1:0", "[::1]:0" };
        struct nb_control *server;
        SEALED_WORLD world;

        sealed_world_start(&world, true, "");
        server = sealed_world_control(&world, addresses[_i], NB_SOCKET_DGRAM);
        ck_assert_int_eq(nb_listen(server, 8), 0);
        (void)nb_fd_close(expect_client(server));
        (void)nb_fd_close(expect_client(server));
        (void)nb_control_free(server);
}
END_TEST

/* The next relay becomes the owner. What comes before it is there is lost, as datagrams are. */
START_TEST(the_next_relay_goes_on_with_the_server) {
        struct nb_control *server;
        SEALED_WORLD world;

        sealed_world_start(&world, true, "");
        server = sealed_world_control(&world, "127.0.0.1:0", NB_SOCKET_DGRAM);
        ck_assert_int_eq(nb_listen(server, 8), 0);
        (void)nb_fd_close(expect_client(server));
        kill_relays(&world);
        daemon_expect_log(&world.daemon, "its relay has ended");
        (void)nb_fd_close(expect_client(server));
        (void)nb_control_free(server);
}
END_TEST

/* The broker, as nobody, reads keys that nobody else may. */
static void give_certificates(const struct quic_world *quic) {
        PROCESS process;

        PROCESS_START(&process, "chown", "-R", "nobody", quic->certificates.folder);
        ck_assert_int_eq(process_finish(&process, HARNESS_DEADLINE_MS), 0);
}

/* Client and server have a relay each: one with a socket that is connected, one with a socket that names its peers. */
START_TEST(quic_is_spoken_by_relays_of_another_group) {
        struct daemon_options options = { 0 };
        struct nb_connection *connection;
        struct quic_world quic;
        struct quic_echo echo;
        struct quic_host host;
        SEALED_WORLD world;

        sealed_world_init(&world);
        sealed_world_seal(&world);
        sealed_world_start_relays(&world);
        quic_world_prepare(&quic, "", "");
        give_certificates(&quic);
        seal_scene_enter(&world.seal, SEAL_BROKER);
        options.arguments = world.arguments;
        daemon_start(&quic.daemon, &options);
        seal_scene_enter(&world.seal, SEAL_STRANGER);
        daemon_expect_log(&quic.daemon, "the seal is proven");
        quic_echo_start(&echo, &quic, "other");
        quic_host_open(&host, &quic, "acme");
        connection = quic_host_connect(&host, echo.address);
        quic_host_echo(connection, 4, 100000, 1);
        nb_connection_free(connection);
        quic_host_close(&host);
        quic_echo_stop(&echo);
        quic_world_end(&quic);
}
END_TEST

/* ---- the broker that comes after, in another group ---- */

static void start_with_keeper(struct sealed_world *world, struct keeper *keeper) {
        sealed_world_init(world);
        world->n_arguments = 0; /* the keeper lets in its own user only */
        keeper_start(keeper, world->daemon.folder);
        sealed_world_argument(world, "--keeper");
        sealed_world_argument(world, keeper->path);
        sealed_world_seal(world);
        seal_scene_attach(&world->seal, SEAL_RELAY);
        sealed_world_write_policy(world, "");
        sealed_world_start_broker(world, SEAL_BROKER);
        sealed_world_open(world);
}

static void expect_refused(int fd, const char *elsewhere) {
        struct sockaddr nobody = { .sa_family = AF_UNSPEC };
        struct nb_address address;
        struct sockaddr_storage sa;
        socklen_t length;

        ck_assert_int_eq(nb_address_parse(elsewhere, strlen(elsewhere), &address), 0);
        length = nb_address_to_sockaddr(&address, &sa);
        ck_assert_int_eq(connect(fd, &nobody, sizeof(nobody)), 0);
        ck_assert(connect(fd, (struct sockaddr *)&sa, length) < 0 && errno == EPERM);
}

/* What it took over is its own; what was handed out by the one before stays sealed, for both. */
START_TEST(the_next_broker_owns_what_it_takes_over) {
        struct nb_control *bound, *listening;
        struct nb_connection *connection = NULL;
        struct call before;
        struct keeper keeper;
        SEALED_WORLD world;
        char address[NB_ADDRESS_TEXT_MAX];
        int listen_fd, peer_fd, fd;

        start_with_keeper(&world, &keeper);
        bound = sealed_world_control(&world, "127.0.0.1:0", NB_SOCKET_STREAM);
        listening = sealed_world_control(&world, "127.0.0.1:0", NB_SOCKET_STREAM);
        ck_assert_int_eq(nb_listen(listening, 8), 0);
        call_open(&world, AF_INET, SOCK_STREAM, &before);
        daemon_kill(&world.daemon);
        sealed_world_start_broker(&world, SEAL_RELAY);
        daemon_expect_log(&world.daemon, "the seal is proven");

        listen_fd = sealed_world_peer(AF_INET, SOCK_STREAM, address);
        fd = sealed_world_connect(bound, address);
        peer_fd = sealed_world_accept(listen_fd);
        sealed_world_expect_bytes(fd, peer_fd);
        expect_refused(fd, address);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);

        peer_fd = sealed_world_call(SOCK_STREAM, nb_control_address(listening));
        ck_assert_int_eq(nb_accept(listening, &connection), 0);
        fd = sealed_world_stream(connection);
        sealed_world_expect_bytes(fd, peer_fd);
        expect_refused(fd, address);
        (void)nb_fd_close(fd);
        (void)nb_fd_close(peer_fd);

        sealed_world_expect_bytes(before.fd, before.peer_fd);
        expect_refused(before.fd, address);
        call_close(&before);
        (void)nb_fd_close(listen_fd);
        (void)nb_control_free(bound);
        (void)nb_control_free(listening);
        world.session = nb_session_free(world.session);
        daemon_stop(&world.daemon);
        keeper_kill(&keeper);
}
END_TEST

/* Where nothing guards what the broker makes now, nobody gets it. */
START_TEST(a_broker_that_was_moved_hands_out_nothing) {
        char path[SEAL_SCENE_PATH_MAX + 32], address[NB_ADDRESS_TEXT_MAX];
        NB_CLEANUP_FD int peer = -1;
        SEALED_WORLD world;
        FILE *file;

        sealed_world_start(&world, true, "");
        expect_path(&world, true);
        (void)snprintf(path, sizeof(path), "%s/cgroup.procs", world.seal.cgroups[SEAL_RELAY]);
        file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        (void)fprintf(file, "%d\n", (int)world.daemon.pid);
        ck_assert_int_eq(fclose(file), 0);
        peer = sealed_world_peer(AF_INET, SOCK_STREAM, address);
        ck_assert_int_eq(try_connect(&world, address, SOCK_STREAM), -EPERM);
        daemon_expect_log(&world.daemon, "their sockets are not sealed any more");
}
END_TEST

/* ---- a seal that comes later ---- */

static bool is_given_socket(struct nb_control *listener) {
        NB_CLEANUP_FD int peer_fd = sealed_world_call(SOCK_STREAM, nb_control_address(listener));
        struct nb_connection *connection = NULL;
        NB_CLEANUP_FD int fd = -1;

        ck_assert_int_eq(nb_accept(listener, &connection), 0);
        fd = sealed_world_stream(connection);
        sealed_world_expect_bytes(fd, peer_fd);
        return sealed_world_is_socket(fd);
}

static bool is_connected_by_socket(struct nb_control *control) {
        char address[NB_ADDRESS_TEXT_MAX];
        NB_CLEANUP_FD int peer = sealed_world_peer(AF_INET, SOCK_STREAM, address);
        NB_CLEANUP_FD int fd = sealed_world_connect(control, address);
        NB_CLEANUP_FD int peer_fd = sealed_world_accept(peer);

        sealed_world_expect_bytes(fd, peer_fd);
        return sealed_world_is_socket(fd);
}

/* What an unsealed broker has left with the keeper is no more sealed for the proof of the next one, nor after one more. */
START_TEST(what_was_made_before_the_seal_is_relayed) {
        struct nb_control *listener, *bound, *fresh;
        struct keeper keeper;
        SEALED_WORLD world;

        sealed_world_init(&world);
        sealed_world_start_relays(&world);
        keeper_start(&keeper, world.daemon.folder);
        sealed_world_argument(&world, "--keeper");
        sealed_world_argument(&world, keeper.path);
        sealed_world_write_policy(&world, "");
        sealed_world_start_broker(&world, SEAL_RELAY);
        sealed_world_open(&world);
        listener = sealed_world_control(&world, "127.0.0.1:0", NB_SOCKET_STREAM);
        ck_assert_int_eq(nb_listen(listener, 8), 0);
        ck_assert(!is_given_socket(listener));
        bound = sealed_world_control(&world, "127.0.0.1:0", NB_SOCKET_STREAM);
        daemon_kill(&world.daemon);
        sealed_world_seal(&world);
        for (int i = 0; i < 2; ++i) {
                sealed_world_start_broker(&world, SEAL_BROKER);
                ck_assert(!is_given_socket(listener));
                fresh = sealed_world_control(&world, "127.0.0.1:0", NB_SOCKET_STREAM);
                ck_assert(is_connected_by_socket(fresh));
                (void)nb_control_free(fresh);
                if (i == 0)
                        daemon_kill(&world.daemon);
        }
        ck_assert(!is_connected_by_socket(bound));
        (void)nb_control_free(bound);
        (void)nb_control_free(listener);
        keeper_kill(&keeper);
}
END_TEST

/* A listener of a sealed broker is sealed for the next one, too. */
START_TEST(what_was_made_behind_the_seal_stays_sealed) {
        struct nb_control *listener;
        struct keeper keeper;
        SEALED_WORLD world;

        sealed_world_init(&world);
        sealed_world_start_relays(&world);
        sealed_world_seal(&world);
        keeper_start(&keeper, world.daemon.folder);
        sealed_world_argument(&world, "--keeper");
        sealed_world_argument(&world, keeper.path);
        sealed_world_write_policy(&world, "");
        sealed_world_start_broker(&world, SEAL_BROKER);
        sealed_world_open(&world);
        listener = sealed_world_control(&world, "127.0.0.1:0", NB_SOCKET_STREAM);
        ck_assert_int_eq(nb_listen(listener, 8), 0);
        ck_assert(is_given_socket(listener));
        daemon_kill(&world.daemon);
        seal_scene_attach(&world.seal, SEAL_RELAY);
        sealed_world_start_broker(&world, SEAL_RELAY);
        ck_assert(is_given_socket(listener));
        (void)nb_control_free(listener);
        keeper_kill(&keeper);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("the seal and the broker");
        TCase *proof = tcase_create("proof"), *closes = tcase_create("closes"), *relays = tcase_create("relays"),
              *later = tcase_create("later");
        TCase *restart = tcase_create("restart");

        tcase_add_test(proof, auto_hands_out_sockets_with_the_proof);
        tcase_add_test(proof, auto_relays_without_a_seal_and_warns);
        tcase_add_test(proof, relay_is_obeyed_with_the_proof);
        tcase_add_test(proof, a_reload_keeps_what_is_sealed);
        tcase_add_loop_test(proof, without_one_thing_nothing_is_proven, 0, N_MISSING);
        tcase_add_loop_test(proof, require_seal_refuses_to_start, 0, N_MISSING);
        tcase_add_test(proof, require_seal_is_served_with_the_proof);
        tcase_add_test(proof, require_seal_refuses_a_reload);
        tcase_add_test(closes, a_close_is_told_at_once);
        tcase_add_loop_test(closes, a_place_is_free_at_once, 1, 3);
        tcase_add_loop_test(closes, what_is_held_is_charged_whatever_is_done_to_it, 1, 3);
        tcase_add_test(closes, what_the_ring_had_no_room_for_is_found);
        tcase_add_loop_test(relays, a_server_of_datagrams_answers_its_peers, 0, 2);
        tcase_add_test(relays, the_next_relay_goes_on_with_the_server);
        tcase_add_test(relays, quic_is_spoken_by_relays_of_another_group);
        tcase_add_test(restart, the_next_broker_owns_what_it_takes_over);
        suite_add_tcase(suite, proof);
        suite_add_tcase(suite, closes);
        suite_add_tcase(suite, relays);
        tcase_add_test(later, a_broker_that_was_moved_hands_out_nothing);
        tcase_add_test(later, what_was_made_before_the_seal_is_relayed);
        tcase_add_test(later, what_was_made_behind_the_seal_stays_sealed);
        suite_add_tcase(suite, later);
        suite_add_tcase(suite, restart);
        return run_suite(suite);
}
