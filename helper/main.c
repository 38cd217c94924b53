/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-helper: takes its socket, gives up all that it does not need, and destroys sockets for who has made them.
 *
 * netbrokerd has no capability that this takes (CAP_NET_ADMIN), and shall not have it: it talks to everyone. This program talks to netbrokerd.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/last_words.h"
#include "base/log.h"
#include "base/sock_diag.h"
#include "helper/isolation.h"
#include "helper/options.h"
#include "helper/server.h"
#include "service/socket.h"
#include "service/user.h"

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
        struct service_user user;
        struct server server;
        struct nb_log log;
        int r;

        if (nb_fds_ensure_standard() < 0)
                err(EX_OSERR, "cannot have standard input, output and error");
        nb_last_words();
        (void)signal(SIGPIPE, SIG_IGN);
        r = nb_options_parse(&options_table, argc, argv, &options, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? EX_OK : EX_USAGE;
        nb_log_init(&log, "netbroker-helper", NB_LOG_NOTICE);

        if (service_find_user(&log, options.user, &user) < 0)
                return EX_NOUSER;
        server = (struct server){ .log = &log, .has_user = options.user, .user = user.uid };
        server_init(&server);
        server.listen_fd = service_socket(&log, options.socket_path, user.uid);
        if (server.listen_fd < 0)
                return EX_UNAVAILABLE;
        server.diag_fd = nb_sock_diag_open();
        if (server.diag_fd < 0) {
                nb_log(&log, NB_LOG_ERROR, "cannot reach the kernel's list of sockets: %s", strerror(-server.diag_fd));
                return EX_OSERR;
        }
        return serve(&server);
}
