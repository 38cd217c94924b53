/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/keeper.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/keep_message.h"

/* ---- the keeper ---- */

/* The kernel chooses an abstract name. */
static int new_notify_socket(char *name, size_t size) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        socklen_t length = sizeof(sa);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa_family_t)), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &length), 0);
        (void)snprintf(name, size, "@%.*s", (int)(length - sizeof(sa_family_t) - 1), sa.sun_path + 1);
        return fd;
}

static void run_keeper(const struct keeper *keeper, const char *notify, const char *output_path) {
        const char *program = getenv("NETBROKER_KEEPER");
        int output = open(output_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
        if (!program || output < 0 || dup2(output, STDERR_FILENO) < 0 || setenv("NOTIFY_SOCKET", notify, 1) < 0)
                _exit(126);
        (void)execl(program, program, "--socket", keeper->path, (char *)NULL);
        _exit(127);
}

/* At its path. */
static void start_in(struct keeper *keeper, const char *folder) {
        char notify[64], text[64], output_path[HARNESS_PATH_MAX];
        NB_CLEANUP_FD int notify_fd = new_notify_socket(notify, sizeof(notify));
        ssize_t n;

        ck_assert_int_lt(snprintf(output_path, sizeof(output_path), "%s/keeper.stderr", folder), sizeof(output_path));
        keeper->pid = fork();
        ck_assert_int_ge(keeper->pid, 0);
        if (keeper->pid == 0)
                run_keeper(keeper, notify, output_path);
        keeper->pidfd = pidfd_open(keeper->pid, 0);
        ck_assert_int_ge(keeper->pidfd, 0);
        ck_assert_msg(harness_poll(notify_fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "netbroker-keeper does not serve");
        n = recv(notify_fd, text, sizeof(text) - 1, 0);
        ck_assert_int_gt(n, 0);
        text[n] = '\0';
        ck_assert_ptr_nonnull(strstr(text, "READY=1"));
}

void keeper_start(struct keeper *keeper, const char *folder) {
        ck_assert_int_lt(snprintf(keeper->path, sizeof(keeper->path), "%s/keeper.sock", folder), sizeof(keeper->path));
        start_in(keeper, folder);
}

void keeper_start_of_shard(struct keeper *keeper, const char *folder, unsigned shard) {
        ck_assert_int_lt(snprintf(keeper->path, sizeof(keeper->path), "%s/keeper.sock.%u", folder, shard),
                         sizeof(keeper->path));
        start_in(keeper, folder);
}

void keeper_kill(struct keeper *keeper) {
        ck_assert_int_eq(kill(keeper->pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(keeper->pid, NULL, 0), keeper->pid);
        keeper->pid = -1;
        keeper->pidfd = nb_fd_close(keeper->pidfd);
        (void)unlink(keeper->path);
}

unsigned keeper_count_fds(const struct keeper *keeper) {
        const struct daemon as_daemon = { .pid = keeper->pid };

        return daemon_count_fds(&as_daemon);
}

void keeper_wait_fds(const struct keeper *keeper, unsigned expected) {
        uint64_t start = harness_now_ms();
        char what[128];
        unsigned n;

        while ((n = keeper_count_fds(keeper)) != expected) {
                (void)snprintf(what, sizeof(what), "netbroker-keeper to have %u descriptors; it has %u", expected, n);
                harness_wait_a_moment(start, what);
        }
}

/* ---- brokers ---- */

void restart_argument(struct restart_scene *world, const char *argument) {
        ck_assert_uint_lt(world->n_arguments, RESTART_ARGUMENTS_MAX);
        world->arguments[world->n_arguments++] = argument;
        world->arguments[world->n_arguments] = NULL;
}

/* What it has without a broker. It answers when it has done with its start, which takes descriptors for a moment. */
static unsigned count_without_broker(const struct keeper *keeper) {
        const struct nb_keep_header fetch = { .version = NB_KEEP_VERSION, .verb = NB_KEEP_FETCH };
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        struct nb_keep_header end;

        ck_assert_int_ge(fd, 0);
        (void)memccpy(sa.sun_path, keeper->path, '\0', sizeof(sa.sun_path));
        ck_assert_int_eq(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(send(fd, &fetch, sizeof(fetch), 0), sizeof(fetch));
        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "netbroker-keeper does not answer");
        ck_assert_int_eq(recv(fd, &end, sizeof(end), 0), sizeof(end));
        return keeper_count_fds(keeper) - 1;
}

void restart_prepare(struct restart_scene *world) {
        *world = (struct restart_scene){ .n_arguments = 0 };
        daemon_init(&world->scene.daemon);
        keeper_start(&world->keeper, world->scene.daemon.folder);
        world->keeper_baseline = count_without_broker(&world->keeper);
        world->options.arguments = world->arguments;
        restart_argument(world, "--keeper");
        restart_argument(world, world->keeper.path);
}

void restart_begin(struct restart_scene *world, const char *rules) {
        scene_write_policy(&world->scene, rules);
        scene_open(&world->scene, &world->options);
}

void restart_start(struct restart_scene *world, const char *rules) {
        restart_prepare(world);
        restart_begin(world, rules);
}

void restart_stop(struct restart_scene *world) {
        daemon_stop(&world->scene.daemon);
}

void restart_kill(struct restart_scene *world) {
        daemon_kill(&world->scene.daemon);
}

void restart_again(struct restart_scene *world) {
        daemon_start(&world->scene.daemon, &world->options);
}

void restart_take_down(struct restart_scene *world, bool killed) {
        if (killed)
                restart_kill(world);
        else
                restart_stop(world);
}

void restart_one(struct restart_scene *world, bool killed) {
        restart_take_down(world, killed);
        restart_again(world);
}

void restart_expect_resumed(struct wire *wire) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();

        ck_assert_msg(wire_receive(wire, reply), "the broker has closed the channel");
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_RESUMED);
        ck_assert_uint_eq(reply->fds.n, 0);
        ck_assert_uint_gt(reply->reply->resumed->serial, wire->serial);
        wire->serial = reply->reply->resumed->serial;
}

void restart_expect_session_resumed(struct restart_scene *world) {
        struct wire_session *session = &world->scene.session;

        restart_expect_resumed(&session->channel);
        for (size_t i = 0; i < session->n_protocols; ++i)
                restart_expect_resumed(&session->protocols[i]);
}

void restart_expect_served(struct wire *protocol) {
        NB_CLEANUP_FREE struct wire_reply *reply = wire_reply_new();
        struct wire control;

        wire_send_open(protocol, "0.0.0.0:0", WIRE_RIGHTS_BASE, WIRE_RIGHTS_INHERITING);
        ck_assert(wire_receive(protocol, reply));
        if (reply->reply->body_case == NB__REPLY__BODY_OPENED) {
                nb_channel_fds_close(&reply->fds);
                return;
        }
        ck_assert_int_eq(reply->reply->body_case, NB__REPLY__BODY_RESUMED);
        protocol->serial = reply->reply->resumed->serial;
        control = wire_open_control(protocol, "0.0.0.0:0");
        (void)wire_close(&control);
}

void restart_end(struct restart_scene *world) {
        struct scene *scene = &world->scene;

        wire_session_close(&scene->session);
        wire_session_open(scene->daemon.socket_path, "acme", &scene->session);
        wire_settle(&scene->session.protocols[0]);
        daemon_wait_fds(&scene->daemon, scene->baseline);
        wire_session_close(&scene->session);
        /* What the keeper has by now is what the next broker takes back. */
        restart_one(world, false);
        daemon_expect_log(&scene->daemon, "took back 0 sessions with 0 protocols and 0 bound controls");
        daemon_stop(&scene->daemon);
        keeper_kill(&world->keeper);
        daemon_deinit(&scene->daemon);
}
