/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library that is preloaded (ld.so(8)) into our programs under valgrind, and does nothing in place of what would hold valgrind, too: filters of system calls, which
 * are made and looked at, and not loaded; limits of memory, of files' sizes, and of the time in which a filter is made. Each of these walls has tests that do not run under
 * valgrind. And it has openat2(2), which valgrind has not, made of openat(2).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* What a function stands in front of. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit) {
        return resource == RLIMIT_AS || resource == RLIMIT_FSIZE ? 0 : NEXT(setrlimit)(resource, limit);
}

EXPORT int setitimer(__itimer_which_t which, const struct itimerval *restrict value, struct itimerval *restrict ret) {
        return which == ITIMER_VIRTUAL ? 0 : NEXT(setitimer)(which, value, ret);
}

/* To a program /proc/self/exe is itself; but what valgrind starts is valgrind's own. The environment says how the program is started under valgrind. */
EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *restrict attributes, char *const arguments[restrict],
                       char *const environment[restrict]) {
        const char *itself = getenv("VALGRIND_PROGRAM");
        bool is_itself = itself && strcmp(path, "/proc/self/exe") == 0;

        return NEXT(posix_spawn)(pid, is_itself ? itself : path, actions, attributes, arguments, environment);
}

static int refuse(int fd, int error) {
        (void)close(fd);
        errno = error;
        return -1;
}

/* One step of a path. @param folder_fd  consumed @return an O_PATH descriptor, or -1 */
static int step(int folder_fd, const char *path, size_t length) {
        char name[NAME_MAX + 1];
        struct stat st;
        int fd;

        if (length >= sizeof(name))
                return refuse(folder_fd, ENAMETOOLONG);
        memcpy(name, path, length);
        name[length] = '\0';
        fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        (void)refuse(folder_fd, errno);
        if (fd < 0 || fstat(fd, &st) < 0)
                return fd;
        return S_ISLNK(st.st_mode) ? refuse(fd, ELOOP) : fd;
}

/* openat2(2) as broker/unix_path.c asks for it: an O_PATH descriptor, and no link anywhere. */
static int open_without_links(int folder_fd, const char *path, uint64_t flags) {
        int fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);
        struct stat st;

        for (size_t n; fd >= 0 && *path != '\0'; path += n + (path[n] == '/')) {
                n = strcspn(path, "/");
                fd = step(fd, path, n);
        }
        if (fd < 0 || fstat(fd, &st) < 0 || (flags & O_DIRECTORY) == 0 || S_ISDIR(st.st_mode))
                return fd;
        return refuse(fd, ENOTDIR);
}

/* It is there, and has all that libseccomp asks for, by calls that no kernel carries out; a filter is taken, and holds nobody. */
static long seccomp_as(long operation, const void *argument) {
        if (argument)
                return 0;
        errno = operation == SECCOMP_SET_MODE_STRICT ? EINVAL : EFAULT;
        return -1;
}

/* Valgrind answers ENOSYS to Landlock's calls with many words, for each. */
EXPORT long syscall(long number, ...) {
        long a[6];
        va_list arguments;

        va_start(arguments, number);
        for (int i = 0; i < 6; ++i)
                a[i] = va_arg(arguments, long);
        va_end(arguments);
        if (number == SYS_openat2)
                return open_without_links((int)a[0], (const char *)a[1], ((const struct open_how *)a[2])->flags);
        if (number == SYS_seccomp)
                return seccomp_as(a[0], (const void *)a[2]);
        if (number != SYS_landlock_create_ruleset)
                return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        errno = ENOSYS;
        return -1;
}
