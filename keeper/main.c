/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-keeper: takes its socket, gives up all that it does not need, and keeps what netbrokerd leaves with it.
 *
 * It is apart from netbrokerd so that it lives on when that one ends, however that is; and it is small, since what it holds is worth most when something
 * else has failed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/unix_listener.h"
#include "keeper/isolation.h"
#include "keeper/options.h"
#include "keeper/server.h"

#define BACKLOG 16

static int take_activated(void) {
        int n = sd_listen_fds(1);

        if (n != 1)
                return n < 0 ? n : -ENOENT;
        if (sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL, 0) <= 0 ||
            nb_fd_prepare(SD_LISTEN_FDS_START) < 0)
                return -EINVAL;
        return SD_LISTEN_FDS_START;
}

/* @param owner  whom it is given to, or our own user */
static int make_socket(const char *path, uid_t owner) {
        NB_CLEANUP_FD int fd = nb_unix_listen(path, SOCK_SEQPACKET, 0600, BACKLOG);

        if (fd < 0)
                return fd;
        return lchown(path, owner, (gid_t)-1) < 0 ? -errno : nb_steal_fd(&fd);
}

static int take_socket(const struct nb_log *log, const struct options *options, uid_t owner) {
        int fd = options->socket_path ? make_socket(options->socket_path, owner) : take_activated();

        if (fd == -ENOENT && !options->socket_path)
                nb_log(log, NB_LOG_ERROR,
                       "nothing to serve: give --socket PATH, or start netbroker-keeper by its systemd socket");
        else if (fd < 0)
                nb_log(log, NB_LOG_ERROR, "cannot serve %s: %s",
                       options->socket_path ? options->socket_path : "systemd's socket", nb_unix_listen_why(fd));
        return fd;
}

static int keep(struct server *server) {
        int r;

        (void)sd_notify(0, "READY=1");
        r = isolation_enter();
        if (r < 0) {
                nb_log(server->log, NB_LOG_ERROR, "cannot give up system calls: %s", strerror(-r));
                return EX_OSERR;
        }
        while (r == 0)
                r = server_turn(server);
        nb_log(server->log, NB_LOG_ERROR, "cannot wait for netbrokerd: %s", strerror(-r));
        return EX_OSERR;
}

static int serve(struct server *server, const struct options *options) {
        struct store_limits limits = { .entries = options->max_entries, .bytes = options->max_bytes };
        struct isolation_user user;
        int r;

        if (isolation_find_user(options->user, &user) < 0) {
                nb_log(server->log, NB_LOG_ERROR, "there is no user '%s'; write a name that `getent passwd` knows",
                       options->user);
                return EX_NOUSER;
        }
        server->listen_fd = take_socket(server->log, options, user.uid);
        if (server->listen_fd < 0)
                return EX_UNAVAILABLE;
        limits.fds = isolation_raise_fds();
        server->user = user.uid;
        server->timeout_ms = options->timeout_s * 1000;
        r = server_init(server, &limits);
        if (r == 0)
                r = isolation_become(options->user ? &user : NULL);
        if (r == 0)
                return keep(server);
        nb_log(server->log, NB_LOG_ERROR, "cannot give up privileges: %s%s", strerror(-r),
               options->user ? "; --user needs root" : "");
        return EX_NOPERM;
}

int main(int argc, char **argv) {
        struct nb_operands operands;
        struct options options;
        struct server *server;
        struct nb_log log;
        int r;

        if (nb_fds_ensure_standard() < 0)
                return EX_OSERR;
        (void)signal(SIGPIPE, SIG_IGN);
        options_init(&options);
        r = nb_options_parse(&options_table, argc, argv, &options, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? EX_OK : EX_USAGE;
        nb_log_init(&log, "netbroker-keeper", NB_LOG_NOTICE);
        server = calloc(1, sizeof(*server));
        if (!server)
                return EX_OSERR;
        server->log = &log;
        r = serve(server, &options);
        free(server);
        return r;
}
