/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unix_listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

int nb_unix_bind(int fd, const struct sockaddr_un *address, mode_t mode) {
        mode_t before = umask(~mode & 0777);
        int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

        (void)umask(before);
        return r;
}

static int new_socket(int type) {
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd < 0 ? -errno : fd;
}

/* Only sockets: to connect to any other file is refused in the same way. That file is left alone, and bind() will say so. */
static int remove_stale(const struct sockaddr_un *address, int type) {
        NB_CLEANUP_FD int fd = -1;
        struct stat st;

        if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return 0;
        fd = new_socket(type);
        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
                return -EADDRINUSE;
        return unlink(address->sun_path) < 0 ? -errno : 0;
}

const char *nb_unix_listen_why(int error) {
        switch (-error) {
        case EADDRINUSE:
                return "another process serves it, or another file is there";
        case ENOENT:
                return "its folder is not there; make it, or name another path";
        case ENAMETOOLONG:
                return "a socket's path has 107 bytes at most; name a shorter one";
        default:
                return strerror(-error);
        }
}

int nb_unix_listen(const char *path, int type, mode_t mode, int backlog) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        NB_CLEANUP_FD int fd = -1;
        int r;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        r = remove_stale(&address, type);
        if (r < 0)
                return r;
        fd = new_socket(type);
        if (fd < 0)
                return fd;
        r = nb_unix_bind(fd, &address, mode);
        if (r < 0)
                return r;
        if (listen(fd, backlog) < 0) {
                r = -errno;
                (void)unlink(path);
                return r;
        }
        return nb_steal_fd(&fd);
}
