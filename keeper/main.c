/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-keeper: takes its socket, gives up all that it does not need, and keeps what netbrokerd leaves with it.
 *
 * It is apart from netbrokerd so that it lives on when that one ends, however that is; and it is small, since what it holds is worth most when something
 * else has failed.
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
#include "keeper/isolation.h"
#include "keeper/options.h"
#include "keeper/server.h"
#include "service/socket.h"
#include "service/user.h"

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
        struct service_user user;
        int r;

        if (service_find_user(server->log, options->user, &user) < 0)
                return EX_NOUSER;
        server->listen_fd = service_socket(server->log, options->socket_path, user.uid);
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
                err(EX_OSERR, "cannot have standard input, output and error");
        nb_last_words();
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
