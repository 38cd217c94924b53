/* SPDX-License-Identifier: Apache-2.0 */
#include "service/socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/unix_listener.h"

#define BACKLOG 16

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

int service_socket(const struct nb_log *log, const char *path, uid_t owner) {
        int fd = path ? make_socket(path, owner) : take_activated();

        if (fd == -ENOENT && !path)
                nb_log(log, NB_LOG_ERROR, "nothing to serve: give --socket PATH, or start %s by its systemd socket",
                       log->program);
        else if (fd < 0)
                nb_log(log, NB_LOG_ERROR, "cannot serve %s: %s", path ? path : "systemd's socket",
                       nb_unix_listen_why(fd));
        return fd;
}
