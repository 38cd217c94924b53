/* SPDX-License-Identifier: Apache-2.0 */
#include "confine/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What can be said of a file that is no folder. */
#define FS_OF_FILES                                                                                                    \
        (CONFINE_FS_EXECUTE | CONFINE_FS_WRITE_FILE | CONFINE_FS_READ_FILE | CONFINE_FS_TRUNCATE | CONFINE_FS_IOCTL_DEV)

/* The kernel's struct; who knows less of it gets less, and finds the rest zero. */
struct ruleset {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
        uint64_t scoped;
};

int confine_landlock_abi(void) {
        return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

const char *confine_landlock_missing(void) {
        int abi = confine_landlock_abi();

        if (abi < 1)
                return "Landlock: the kernel has none, or it is not among its security modules";
        if (abi < 4)
                return "Landlock's rules for TCP (Linux 6.7)";
        return abi < 6 ? "Landlock's scopes of signals and abstract sockets (Linux 6.12)" : NULL;
}

static struct ruleset known(int abi, const struct confine_refused *refused) {
        struct ruleset ruleset = { .handled_access_fs = refused->fs };

        if (abi < 2)
                ruleset.handled_access_fs &= ~CONFINE_FS_REFER;
        if (abi < 3)
                ruleset.handled_access_fs &= ~CONFINE_FS_TRUNCATE;
        if (abi >= 4)
                ruleset.handled_access_net = refused->net;
        if (abi < 5)
                ruleset.handled_access_fs &= ~CONFINE_FS_IOCTL_DEV;
        if (abi >= 6)
                ruleset.scoped = refused->scopes;
        return ruleset;
}

static bool is_short(int error) {
        return error == ENOMEM || error == EMFILE || error == ENFILE;
}

static int add_path(int ruleset_fd, const struct ruleset *ruleset, const struct confine_path *path) {
        struct landlock_path_beneath_attr rule = { .allowed_access = path->fs & ruleset->handled_access_fs };
        NB_CLEANUP_FD int fd = path->path ? open(path->path, O_PATH | O_CLOEXEC) : -1;
        struct stat st;

        /* What is not there needs no rule; what could not be opened now does. */
        if (path->path && fd < 0 && is_short(errno))
                return -errno;
        if (fd < 0 || fstat(fd, &st) < 0)
                return 0;
        if (!S_ISDIR(st.st_mode))
                rule.allowed_access &= FS_OF_FILES;
        if (rule.allowed_access == 0)
                return 0;
        rule.parent_fd = fd;
        return syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int confine_landlock(const struct confine_refused *refused, const struct confine_path *paths, size_t n) {
        int r = 0, abi = confine_landlock_abi();
        struct ruleset ruleset = known(abi, refused);
        NB_CLEANUP_FD int fd = -1;

        if (abi < 1)
                return 0;
        fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
        if (fd < 0)
                return -errno;
        for (size_t i = 0; r == 0 && i < n; ++i)
                r = add_path(fd, &ruleset, &paths[i]);
        if (r < 0)
                return r;
        return syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
}
