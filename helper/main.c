/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-helper: takes its socket, gives up all that it does not need, and destroys sockets for who has made them.
 *
 * netbrokerd has no capability that this takes (CAP_NET_ADMIN), and shall not have it: it talks to everyone. This program talks to netbrokerd.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/sock_diag.h"
#include "base/unix_listener.h"
#include "helper/isolation.h"
#include "helper/options.h"
#include "helper/server.h"

#define BACKLOG 16

/* @param owner  whom it is given to, or our own user */
static int make_socket(const char *path, uid_t owner) {
        NB_CLEANUP_FD int fd = nb_unix_listen(path, SOCK_SEQPACKET, 0600, BACKLOG);

        if (fd < 0)
                return fd;
        return lchown(path, owner, (gid_t)-1) < 0 ? -errno : nb_steal_fd(&fd);
}

static int take_activated(void) {
        int n = sd_listen_fds(1);

        if (n != 1)
                return n < 0 ? n : -ENOENT;
        if (sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_SEQPACKET, 1, NULL, 0) <= 0 ||
            nb_fd_prepare(SD_LISTEN_FDS_START) < 0)
                return -EINVAL;
        return SD_LISTEN_FDS_START;
}

static int find_user(const char *name, uid_t *ret) {
        struct passwd passwd, *found = NULL;
        char buffer[4096];

        if (getpwnam_r(name, &passwd, buffer, sizeof(buffer), &found) != 0 || !found)
                return -ENOENT;
        *ret = passwd.pw_uid;
        return 0;
}

static int take_socket(const struct nb_log *log, const struct options *options, uid_t owner) {
        int fd = options->socket_path ? make_socket(options->socket_path, owner) : take_activated();

        if (fd == -ENOENT && !options->socket_path)
                nb_log(log, NB_LOG_ERROR,
                       "nothing to serve: give --socket PATH, or start netbroker-helper by its systemd socket");
        else if (fd < 0)
                nb_log(log, NB_LOG_ERROR, "cannot serve %s: %s",
                       options->socket_path ? options->socket_path : "systemd's socket", nb_unix_listen_why(fd));
        return fd;
}

static int serve(struct server *server) {
        int r = 0;

        (void)sd_notify(0, "READY=1");
        r = isolation_enter();
        if (r < 0) {
                nb_log(server->log, NB_LOG_ERROR, "cannot give up privileges: %s%s", strerror(-r),
                       r == -EPERM ? "; it must be started with CAP_NET_ADMIN" : "");
                return EX_NOPERM;
        }
        while (r == 0)
                r = server_turn(server);
        nb_log(server->log, NB_LOG_ERROR, "cannot wait for requests: %s", strerror(-r));
        return EX_OSERR;
}

int main(int argc, char **argv) {
        struct options options = { 0 };
        struct nb_operands operands;
        struct server server;
        struct nb_log log;
        int r;

        if (nb_fds_ensure_standard() < 0)
                return EX_OSERR;
        (void)signal(SIGPIPE, SIG_IGN);
        r = nb_options_parse(&options_table, argc, argv, &options, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? EX_OK : EX_USAGE;
        nb_log_init(&log, "netbroker-helper", NB_LOG_NOTICE);

        server = (struct server){ .log = &log, .has_user = options.user, .user = geteuid() };
        server_init(&server);
        if (options.user && find_user(options.user, &server.user) < 0) {
                nb_log(&log, NB_LOG_ERROR, "there is no user '%s'; write a name that `getent passwd` knows",
                       options.user);
                return EX_NOUSER;
        }
        server.listen_fd = take_socket(&log, &options, server.user);
        if (server.listen_fd < 0)
                return EX_UNAVAILABLE;
        server.diag_fd = nb_sock_diag_open();
        if (server.diag_fd < 0) {
                nb_log(&log, NB_LOG_ERROR, "cannot reach the kernel's list of sockets: %s", strerror(-server.diag_fd));
                return EX_OSERR;
        }
        return serve(&server);
}
