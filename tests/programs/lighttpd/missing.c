/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that lighttpd refers to and a guest cannot have: other processes, users, signals, pipes. They fail as POSIX lets them.
 * One process that serves files in the foreground calls none but dup2(), getuid(), getgid() and tzset().
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <wasi/api.h>

static int fail(void) {
        errno = ENOSYS;
        return -1;
}

pid_t fork(void) {
        return fail();
}

int execv(const char *path, char *const *argv) {
        (void)path;
        (void)argv;
        return fail();
}

pid_t waitpid(pid_t pid, int *status, int options) {
        (void)pid;
        (void)status;
        (void)options;
        return fail();
}

int kill(pid_t pid, int signal) {
        (void)pid;
        (void)signal;
        return fail();
}

pid_t getppid(void) {
        return 1;
}

/* Not root, whose server would change to another user. */
uid_t getuid(void) {
        return 1;
}

gid_t getgid(void) {
        return 1;
}

int pipe(int fds[2]) {
        (void)fds;
        return fail();
}

int dup(int fd) {
        (void)fd;
        return fail();
}

/* A descriptor has one number here. What lighttpd copies is /dev/null, onto its standard streams, so that is opened once more. */
int dup2(int fd, int as) {
        int null;

        if (as > STDERR_FILENO)
                return fail();
        (void)fd;
        null = open("/dev/null", O_RDWR);
        if (null < 0)
                return -1;
        errno = __wasi_fd_renumber((__wasi_fd_t)null, (__wasi_fd_t)as);
        if (errno == 0)
                return as;
        (void)close(null);
        return -1;
}

int chmod(const char *path, mode_t mode) {
        (void)path;
        (void)mode;
        return fail();
}

/* For large bodies of requests, which a server of files does not take. */
int mkstemp(char *template) {
        (void)template;
        return fail();
}

void syslog(int priority, const char *format, ...) {
        (void)priority;
        (void)format;
}

/* A guest's time zone is UTC. */
void tzset(void) {
}

/* sys-setjmp.c guards reads from mapped files; no file is mapped here, and no signal comes. */
void sys_setjmp_sigbus(int signal) {
        (void)signal;
        abort();
}

off_t sys_setjmp_eval3(off_t (*callback)(void *, const void *, off_t), void *to, const void *from, off_t length) {
        return callback(to, from, length);
}
