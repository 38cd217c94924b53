/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sealed_world.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/address.h"
#include "base/cleanup.h"
#include "proto/wasi.h"
#include "tests/support/network.h"

#define ANYBODY_MODE 0666

/* ---- the world ---- */

void sealed_world_init(struct sealed_world *world) {
        memset(world, 0, sizeof(*world));
        world->activator = -1;
        network_enter();
        seal_scene_init(&world->seal);
        daemon_init(&world->daemon);
        ck_assert_int_lt(snprintf(world->relay_path, sizeof(world->relay_path), "%s/relay.sock", world->daemon.folder),
                         (int)sizeof(world->relay_path));
        sealed_world_argument(world, "--user");
        sealed_world_argument(world, "nobody");
}

static void end_activator(struct sealed_world *world) {
        if (world->activator < 0)
                return;
        ck_assert_int_eq(kill(-world->activator, SIGKILL), 0);
        ck_assert_int_eq(waitpid(world->activator, NULL, 0), world->activator);
        world->activator = -1;
        ck_assert_int_eq(unlink(world->relay_path), 0);
}

void sealed_world_deinit(struct sealed_world *world) {
        world->session = nb_session_free(world->session);
        if (world->daemon.pid >= 0)
                daemon_stop(&world->daemon);
        end_activator(world);
        daemon_deinit(&world->daemon);
        seal_scene_deinit(&world->seal);
}

void sealed_world_argument(struct sealed_world *world, const char *argument) {
        ck_assert_uint_lt(world->n_arguments, SEALED_ARGUMENTS_MAX);
        world->arguments[world->n_arguments++] = argument;
}

void sealed_world_seal(struct sealed_world *world) {
        seal_scene_seal(&world->seal);
        seal_scene_start_probe(&world->seal, SEAL_STRANGER);
        ck_assert_int_eq(chmod(world->seal.probe_path, ANYBODY_MODE), 0);
        sealed_world_argument(world, "--seal");
        sealed_world_argument(world, world->seal.pins);
        sealed_world_argument(world, "--probe");
        sealed_world_argument(world, world->seal.probe_path);
}

/* ---- relays, as units with Accept=yes are ---- */

static void become_relay(int fd) {
        const char *program = getenv("NETBROKER_RELAY");
        char pid[16];

        if (!program || (fd != 3 && dup2(fd, 3) < 0))
                _exit(2);
        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        if (setenv("LISTEN_FDS", "1", 1) < 0 || setenv("LISTEN_PID", pid, 1) < 0)
                _exit(3);
        (void)close_range(4, ~0U, 0);
        (void)execl(program, program, (char *)NULL);
        _exit(127);
}

static void serve_instances(int listen_fd) {
        (void)signal(SIGCHLD, SIG_IGN);
        for (;;) {
                int fd = accept4(listen_fd, NULL, NULL, 0);

                if (fd < 0)
                        _exit(1);
                if (fork() == 0)
                        become_relay(fd);
                (void)close(fd);
        }
}

static int listen_at(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        ck_assert_int_lt(snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path), (int)sizeof(sa.sun_path));
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(chmod(path, ANYBODY_MODE), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        return fd;
}

void sealed_world_start_relays(struct sealed_world *world) {
        NB_CLEANUP_FD int listen_fd = listen_at(world->relay_path);

        world->activator = fork();
        ck_assert_int_ge(world->activator, 0);
        if (world->activator == 0) {
                (void)setpgid(0, 0);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                seal_scene_enter(&world->seal, SEAL_RELAY);
                serve_instances(listen_fd);
        }
        (void)setpgid(world->activator, world->activator);
        sealed_world_argument(world, "--relay-socket");
        sealed_world_argument(world, world->relay_path);
}

/* ---- the broker ---- */

void sealed_world_write_policy(const struct sealed_world *world, const char *lines) {
        daemon_write_policy(&world->daemon,
                            "[Tenant]\nName=acme\nUser=%u\n[Protocol web]\nFamily=ip\nSocketTypes=stream dgram\n"
                            "Connect=127.0.0.0/8:*\nConnect=[::1]:*\nListen=127.0.0.1:*\nListen=[::1]:*\n%s",
                            (unsigned)getuid(), lines);
}

void sealed_world_start_broker(struct sealed_world *world, enum seal_side side) {
        const struct daemon_options options = { .arguments = world->arguments };

        seal_scene_enter(&world->seal, side);
        daemon_start(&world->daemon, &options);
        seal_scene_enter(&world->seal, SEAL_STRANGER);
}

void sealed_world_open(struct sealed_world *world) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        seal_scene_enter(&world->seal, SEAL_STRANGER);
        options.socket_path = world->daemon.socket_path;
        ck_assert_int_eq(nb_session_open(&options, &world->session), 0);
}

void sealed_world_start(struct sealed_world *world, bool sealed, const char *lines) {
        sealed_world_init(world);
        if (sealed)
                sealed_world_seal(world);
        sealed_world_start_relays(world);
        sealed_world_write_policy(world, lines);
        sealed_world_start_broker(world, SEAL_BROKER);
        sealed_world_open(world);
}

/* ---- the host ---- */

struct nb_control *sealed_world_control(const struct sealed_world *world, const char *address,
                                        enum nb_socket_type type) {
        struct nb_protocol *web = nb_session_find_protocol(world->session, "web");
        struct nb_control *control = NULL;
        int r = nb_open(web, address, strlen(address), type, NB_RIGHTS_CONTROL, NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM,
                        0, &control);

        ck_assert_msg(r == 0, "cannot open %s: %s", address, strerror(-r));
        return control;
}

int sealed_world_stream(struct nb_connection *connection) {
        struct nb_stream stream;

        ck_assert_int_eq(nb_stream_create(connection, 0, &stream), 0);
        (void)nb_connection_free(connection);
        return stream.fd;
}

int sealed_world_connect(struct nb_control *control, const char *address) {
        struct nb_connection *connection = NULL;
        int r = nb_connect(control, address, strlen(address), &connection);

        ck_assert_msg(r == 0, "cannot connect to %s: %s", address, strerror(-r));
        return sealed_world_stream(connection);
}

bool sealed_world_is_socket(int fd) {
        socklen_t length = sizeof(int);
        int domain;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length), 0);
        return domain != AF_UNIX;
}

/* @param from  whom a datagram came from, and whom the answer goes to; empty for streams */
static void pass(int from_fd, int to_fd, const char *text, struct sockaddr_storage *from, socklen_t *from_length) {
        char buffer[32];
        ssize_t length = (ssize_t)strlen(text);

        ck_assert_int_eq(sendto(from_fd, text, (size_t)length, MSG_NOSIGNAL,
                                *from_length > 0 ? (struct sockaddr *)from : NULL, *from_length),
                         length);
        ck_assert_int_ne(harness_poll(to_fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        *from_length = sizeof(*from);
        ck_assert_int_eq(recvfrom(to_fd, buffer, sizeof(buffer), 0, (struct sockaddr *)from, from_length), length);
        ck_assert_int_eq(memcmp(buffer, text, (size_t)length), 0);
}

void sealed_world_expect_bytes(int fd, int peer_fd) {
        struct sockaddr_storage from;
        socklen_t length = 0;

        pass(fd, peer_fd, "ping", &from, &length);
        pass(peer_fd, fd, "pong", &from, &length);
}

/* ---- its peers ---- */

static int new_socket(int family, int type) {
        int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        return fd;
}

int sealed_world_peer(int family, int type, char ret_address[static NB_ADDRESS_TEXT_MAX]) {
        const char *anywhere = family == AF_INET ? "127.0.0.1:0" : "[::1]:0";
        int fd = new_socket(family, type);
        struct sockaddr_storage sa;
        struct nb_address address;
        socklen_t length;

        ck_assert_int_eq(nb_address_parse(anywhere, strlen(anywhere), &address), 0);
        length = nb_address_to_sockaddr(&address, &sa);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, length), 0);
        length = sizeof(sa);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
        ck_assert_int_eq(nb_address_from_sockaddr((struct sockaddr *)&sa, length, &address), 0);
        nb_address_format(&address, ret_address);
        if (type == SOCK_STREAM)
                ck_assert_int_eq(listen(fd, 16), 0);
        return fd;
}

int sealed_world_call(int type, const char *text) {
        struct sockaddr_storage sa;
        struct nb_address address;
        socklen_t length;
        int fd;

        ck_assert_int_eq(nb_address_parse(text, strlen(text), &address), 0);
        length = nb_address_to_sockaddr(&address, &sa);
        fd = new_socket(address.ip.family, type);
        ck_assert(connect(fd, (struct sockaddr *)&sa, length) == 0 || errno == EINPROGRESS);
        return fd;
}

int sealed_world_accept(int listen_fd) {
        int fd;

        ck_assert_int_ne(harness_poll(listen_fd, POLLIN, HARNESS_DEADLINE_MS), 0);
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        ck_assert_int_ge(fd, 0);
        return fd;
}
