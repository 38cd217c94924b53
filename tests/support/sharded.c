/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sharded.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

const struct sharded_tenant sharded_tenants[SHARDED_TENANTS] = {
        { "red", "red.conf", 1 },
        { "blue", "blue.conf", 2 },
        { "green", "green.conf", 1 },
};

void sharded_write_tenant(const struct sharded *world, size_t i, unsigned shard, const char *rules) {
        daemon_write_policy_file(&world->daemon, sharded_tenants[i].file,
                                 "[Tenant]\nName=%s\nUser=%u\nShard=%u\nExplainDenials=yes\nMaxSessions=3\n"
                                 "[Protocol web]\nFamily=ip\nDataPath=direct\n%s",
                                 sharded_tenants[i].name, (unsigned)getuid(), shard, rules);
}

void sharded_prepare(struct sharded *world) {
        *world = (struct sharded){ .has_keepers = false };
        daemon_init(&world->daemon);
        for (size_t i = 0; i < SHARDED_TENANTS; ++i)
                sharded_write_tenant(world, i, sharded_tenants[i].shard, SHARDED_LOOPBACK);
        world->arguments[world->n_arguments++] = "--shards";
        world->arguments[world->n_arguments++] = "2";
        world->options.arguments = world->arguments;
}

/* The first keeper's socket has the name that the others' begin with. */
void sharded_give_keepers(struct sharded *world) {
        keeper_start(&world->keepers[0], world->daemon.folder);
        for (unsigned i = 1; i < SHARDED_KEEPERS; ++i)
                keeper_start_of_shard(&world->keepers[i], world->daemon.folder, i);
        world->arguments[world->n_arguments++] = "--keeper";
        world->arguments[world->n_arguments++] = world->keepers[0].path;
        world->has_keepers = true;
}

void sharded_give_admin_socket(struct sharded *world) {
        ck_assert_int_lt(snprintf(world->admin_socket, sizeof(world->admin_socket), "%s/admin", world->daemon.folder),
                         sizeof(world->admin_socket));
        world->arguments[world->n_arguments++] = "--admin-socket";
        world->arguments[world->n_arguments++] = world->admin_socket;
}

void sharded_start(struct sharded *world) {
        daemon_start(&world->daemon, &world->options);
}

void sharded_end(struct sharded *world) {
        daemon_stop(&world->daemon);
        for (unsigned i = 0; world->has_keepers && i < SHARDED_KEEPERS; ++i)
                keeper_kill(&world->keepers[i]);
        daemon_deinit(&world->daemon);
}

/* ---- which process is which ---- */

pid_t sharded_pid(const struct sharded *world, unsigned shard) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);
        const char *found = NULL;
        char text[64];

        (void)snprintf(text, sizeof(text), "shard %u serves, as process ", shard);
        for (const char *p = log; (p = strstr(p, text)); ++p)
                found = p + strlen(text);
        ck_assert_msg(found, "shard %u is not named in the log:\n%s", shard, log);
        return (pid_t)strtol(found, NULL, 10);
}

static unsigned count_log(const struct sharded *world, const char *text) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);

        return harness_count_text(log, text);
}

void sharded_kill(const struct sharded *world, unsigned shard) {
        uint64_t start_ms = harness_now_ms();
        char text[64];
        unsigned n;

        (void)snprintf(text, sizeof(text), "shard %u serves, as process ", shard);
        n = count_log(world, text);
        if (kill(sharded_pid(world, shard), SIGKILL) < 0)
                ck_abort_msg("shard %u is not there:\n%s", shard, daemon_read(world->daemon.stderr_path));
        while (count_log(world, text) == n)
                harness_wait_a_moment(start_ms, "a shard to serve again");
}

/* ---- sessions ---- */

void sharded_open_all(const struct sharded *world, struct wire_session sessions[static SHARDED_TENANTS]) {
        for (size_t i = 0; i < SHARDED_TENANTS; ++i)
                wire_session_open(world->daemon.socket_path, sharded_tenants[i].name, &sessions[i]);
}

void sharded_close_all(struct wire_session sessions[static SHARDED_TENANTS]) {
        for (size_t i = 0; i < SHARDED_TENANTS; ++i)
                wire_session_close(&sessions[i]);
}

uint32_t sharded_connect_and_hold(struct wire_session *session, int *ret_fd) {
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        NB_CLEANUP_FD int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t length = sizeof(sa);
        struct wire control;
        char address[32];
        uint32_t error;

        ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(listener, 1), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &length), 0);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)ntohs(sa.sin_port));
        control = wire_open_control(&session->protocols[0], "0.0.0.0:0");
        error = wire_connect_to(&control, address, ret_fd);
        (void)wire_close(&control);
        return error;
}

uint32_t sharded_connect(struct wire_session *session) {
        NB_CLEANUP_FD int stream = -1;

        return sharded_connect_and_hold(session, &stream);
}
