/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "base/unix_listener.h"
#include "broker/own.h"
#include "broker/calls.h"

/* openat2(2) gives up with EAGAIN when something was renamed or mounted meanwhile; who does that all the time gets the error. */
#define TRIES 16

/* Where an O_PATH descriptor has a path. */
#define PROC_FDS "/proc/self/fd/"

struct unix_file {
        struct nb_unix_name name;
        dev_t device;
        ino_t inode;
};

/* @param path  without a slash at the beginning @return an O_PATH descriptor owned by the caller, or -errno */
static int resolve(const char *path, uint64_t flags) {
        const struct open_how how = {
                .flags = flags | O_PATH | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        NB_CLEANUP_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int error = root < 0 ? errno : EAGAIN;

        for (int i = 0; i < TRIES && error == EAGAIN; ++i) {
                long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

                if (fd >= 0)
                        return (int)fd;
                error = errno;
        }
        return -error;
}

/* The last component of a path. */
static const char *last_of(const struct nb_unix_name *name) {
        return strrchr(name->text, '/') + 1;
}

/* The folder that a path's last component is in. */
static int resolve_folder(const struct nb_unix_name *name) {
        char path[sizeof(name->text)] = ".";
        size_t length = (size_t)(last_of(name) - name->text);

        /* Both slashes left out: the one that it begins with, and the one behind the folder. */
        if (length > 1) {
                memcpy(path, name->text + 1, length - 2);
                path[length - 2] = '\0';
        }
        return resolve(path, O_DIRECTORY);
}

int unix_path_connect(int fd, const struct nb_unix_name *name, const struct own *own) {
        NB_CLEANUP_FD int target = resolve(name->text + 1, 0);
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        struct stat st;

        if (target < 0)
                return target;
        if (fstat(target, &st) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode))
                return -ECONNREFUSED;
        if (own_find_file(own, &st))
                return -EREMOTEIO;
        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), PROC_FDS "%d", target);
        return connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
}

static int bind_in(int fd, int folder, const char *last, mode_t mode) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int n = snprintf(sa.sun_path, sizeof(sa.sun_path), PROC_FDS "%d/%s", folder, last);

        if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        return nb_unix_bind(fd, &sa, mode);
}

bool unix_path_is_by_proc(const struct nb_unix_name *name) {
        return !name->abstract && strncmp(name->text, PROC_FDS, strlen(PROC_FDS)) == 0;
}

/* What stands at the name now, if it is a socket. */
static int look(int folder, const char *last, struct stat *ret) {
        if (fstatat(folder, last, ret, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        return S_ISSOCK(ret->st_mode) ? 0 : -ENOTSOCK;
}

int unix_path_bind(int fd, const struct nb_unix_name *name, mode_t mode, struct unix_file **ret) {
        NB_CLEANUP_FREE struct unix_file *file = malloc(sizeof(*file));
        NB_CLEANUP_FD int folder = resolve_folder(name);
        struct stat st;
        int r;

        if (!file)
                return -ENOMEM;
        if (folder < 0)
                return folder;
        r = bind_in(fd, folder, last_of(name), mode);
        if (r < 0)
                return r;
        /* Whoever may rename in that folder can take the name away at once; then there is nothing of ours to remove. */
        if (look(folder, last_of(name), &st) < 0)
                st = (struct stat){ .st_ino = 0 };
        *file = (struct unix_file){ .name = *name, .device = st.st_dev, .inode = st.st_ino };
        *ret = nb_steal_ptr(file);
        return 0;
}

/* Whether the socket at `target` is served, by connecting to it: only a socket whose end has gone refuses that. */
static int check_stale(int target) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        if (fd < 0)
                return -errno;
        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), PROC_FDS "%d", target);
        if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 || errno != ECONNREFUSED)
                return -EADDRINUSE;
        return 0;
}

static int check_free_in(int folder, const char *last) {
        NB_CLEANUP_FD int target = openat(folder, last, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (target < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(target, &st) < 0)
                return -errno;
        return S_ISSOCK(st.st_mode) ? check_stale(target) : -EEXIST;
}

int unix_path_check_free(const struct nb_unix_name *name) {
        NB_CLEANUP_FD int folder = resolve_folder(name);

        return folder < 0 ? folder : check_free_in(folder, last_of(name));
}

int unix_path_remove_stale(const struct nb_unix_name *name) {
        NB_CLEANUP_FD int folder = resolve_folder(name);
        int r = folder < 0 ? folder : check_free_in(folder, last_of(name));

        if (r < 0)
                return r;
        return unlinkat(folder, last_of(name), 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Whether a file is still the one that the bind has made. */
static bool is_same(const struct unix_file *file, const struct stat *st) {
        return st->st_dev == file->device && st->st_ino == file->inode;
}

/* By a descriptor of the file: who may write in the folder could put another into its place. */
int unix_file_give(const struct unix_file *file, uid_t uid, gid_t gid) {
        NB_CLEANUP_FD int target = resolve(file->name.text + 1, 0);
        struct stat st;

        if (target < 0)
                return target;
        if (fstat(target, &st) < 0)
                return -errno;
        if (!is_same(file, &st))
                return -ESTALE;
        return fchownat(target, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int unix_file_rename(struct unix_file *file, const char *last) {
        NB_CLEANUP_FD int folder = resolve_folder(&file->name);
        size_t length = (size_t)(last_of(&file->name) - file->name.text);
        struct stat st;

        if (folder < 0)
                return folder;
        if (length + strlen(last) > NB_UNIX_NAME_MAX)
                return -ENAMETOOLONG;
        if (look(folder, last_of(&file->name), &st) < 0 || !is_same(file, &st))
                return -ESTALE;
        if (renameat(folder, last_of(&file->name), folder, last) < 0)
                return -errno;
        file->name.length = (uint8_t)(length + strlen(last));
        memcpy(file->name.text + length, last, strlen(last) + 1);
        return 0;
}

const struct nb_unix_name *unix_file_name(const struct unix_file *file) {
        return &file->name;
}

void unix_file_identify(const struct unix_file *file, uint64_t *ret_device, uint64_t *ret_inode) {
        *ret_device = file->device;
        *ret_inode = file->inode;
}

int unix_file_take_over(const char *text, uint64_t device, uint64_t inode, struct unix_file **ret) {
        NB_CLEANUP_FREE struct unix_file *file = malloc(sizeof(*file));

        if (!file)
                return -ENOMEM;
        *file = (struct unix_file){ .device = (dev_t)device, .inode = (ino_t)inode };
        if (nb_unix_name_parse(text, strlen(text), &file->name) < 0 || file->name.abstract)
                return -EINVAL;
        *ret = nb_steal_ptr(file);
        return 0;
}

struct unix_file *unix_file_leave(struct unix_file *file) {
        free(file);
        return NULL;
}

static void remove_if_same(const struct unix_file *file) {
        NB_CLEANUP_FD int folder = resolve_folder(&file->name);
        struct stat st;

        if (folder < 0 || look(folder, last_of(&file->name), &st) < 0)
                return;
        if (is_same(file, &st))
                (void)unlinkat(folder, last_of(&file->name), 0);
}

struct unix_file *unix_file_free(struct unix_file *file) {
        if (!file)
                return NULL;
        remove_if_same(file);
        free(file);
        return NULL;
}

static const struct confine_call calls[] = {
        CONFINE_CALL(openat2, "paths that are resolved without following links"),
        CONFINE_CALL(openat, "their last part"),
        CONFINE_CALL(umask, "permissions from the first moment on"),
        CONFINE_CALL(renameat, "a socket that gets its name when it is ready"),
        CONFINE_CALL(renameat2, "the same, by another C library"),
        CONFINE_CALL(fchownat, "its owner"),
        CONFINE_CALL(fchmodat, "its permissions"),
        CONFINE_CALL(unlinkat, "what is removed with its socket"),
        CONFINE_CALL(unlink, "the same, and the broker's own sockets"),
};
const struct confine_list unix_path_calls = CONFINE_LIST(calls);
