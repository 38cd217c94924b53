/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library that is preloaded (ld.so(8)) into our programs under valgrind, and does nothing in place of what would hold valgrind, too: filters of system calls, which
 * are made and looked at, and not loaded; limits of memory, of files' sizes, and of the time in which a filter is made. Each of these walls has tests that do not run under
 * valgrind. And it has openat2(2), which valgrind has not, made of openat(2).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

/* A link is refused at the end of the path only: what it is in its middle is not for valgrind to say. */
static long open_as(int folder_fd, const char *path, const struct open_how *how) {
        return openat(folder_fd, path, (int)how->flags | O_NOFOLLOW, (mode_t)how->mode);
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
                return open_as((int)a[0], (const char *)a[1], (const struct open_how *)a[2]);
        if (number == SYS_seccomp)
                return seccomp_as(a[0], (const void *)a[2]);
        if (number != SYS_landlock_create_ruleset)
                return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        errno = ENOSYS;
        return -1;
}
