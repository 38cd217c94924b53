/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbroker-probe: gives up what it has, gets sockets of netbrokerd's, and tries to turn them into others.
 *
 * It must not be in the control group of netbrokerd, whose processes own what is made there.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/unix_listener.h"
#include "seal/probe.h"
#include "seal/probe_confine.h"
#include "seal/probe_options.h"

/* Of a unit of systemd with Accept=yes (SD_LISTEN_FDS_START). */
#define CHANNEL_FD 3

#define BACKLOG 4

static int make_socket(const struct nb_log *log, const char *path) {
        int fd = nb_unix_listen(path, SOCK_SEQPACKET, 0600, BACKLOG);

        if (fd < 0)
                nb_log(log, NB_LOG_ERROR, "cannot serve %s: %s", path, nb_unix_listen_why(fd));
        return fd;
}

static int take_channel(const struct nb_log *log) {
        int r = nb_channel_check(CHANNEL_FD);

        if (r == 0)
                r = nb_fd_prepare(CHANNEL_FD);
        if (r == 0)
                return CHANNEL_FD;
        nb_log(log, NB_LOG_ERROR,
               "descriptor 3 is no connection of netbrokerd's: give --socket PATH, or start netbroker-probe by its "
               "systemd socket");
        return r;
}

static void serve_one(const struct nb_log *log, int fd) {
        int r = probe_serve(fd);

        /* Who went away knows why. */
        if (r < 0 && r != -ECONNRESET)
                nb_log(log, NB_LOG_WARNING, "a proof was not finished: %s",
                       r == -EPROTO ? "netbrokerd is of another version" : strerror(-r));
}

/* @return an exit status; returns only when that fails */
static int serve_all(const struct nb_log *log, int listen_fd) {
        for (;;) {
                struct pollfd one = { .fd = listen_fd, .events = POLLIN };
                NB_CLEANUP_FD int fd = -1;

                if (poll(&one, 1, -1) < 0 && errno != EINTR)
                        break;
                fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (fd >= 0)
                        serve_one(log, fd);
                else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        break;
        }
        nb_log(log, NB_LOG_ERROR, "cannot take connections: %s", strerror(errno));
        return EX_OSERR;
}

int main(int argc, char **argv) {
        struct probe_options options = { 0 };
        struct nb_operands operands;
        struct nb_log log;
        int fd, r;

        if (nb_fds_ensure_standard() < 0)
                return EX_OSERR;
        (void)signal(SIGPIPE, SIG_IGN);
        r = nb_options_parse(&probe_options_table, argc, argv, &options, stdout, stderr, &operands);
        if (r != 0)
                return r > 0 ? EX_OK : EX_USAGE;
        nb_log_init(&log, "netbroker-probe", NB_LOG_NOTICE);
        fd = options.socket_path ? make_socket(&log, options.socket_path) : take_channel(&log);
        if (fd < 0)
                return EX_UNAVAILABLE;
        r = probe_confine();
        if (r < 0) {
                nb_log(&log, NB_LOG_ERROR, "cannot give up privileges: %s", strerror(-r));
                return EX_OSERR;
        }
        if (options.socket_path)
                return serve_all(&log, fd);
        serve_one(&log, fd);
        return EX_OK;
}
