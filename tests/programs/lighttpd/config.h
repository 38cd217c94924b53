/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lighttpd's configure would find out about wasi-libc and the guest library. Below are the names that lighttpd uses without asking
 * first; they stand for processes, signals and a system's log, which a guest has not, and missing.c has their functions.
 */
#ifndef NB_TESTS_PROGRAMS_LIGHTTPD_CONFIG_H
#define NB_TESTS_PROGRAMS_LIGHTTPD_CONFIG_H

#define PACKAGE_NAME "lighttpd"
#define PACKAGE_VERSION "1.4.69"
#define LIGHTTPD_VERSION_ID 0x10445

#define HAVE_CLOCK_GETTIME 1
#define HAVE_GETENTROPY 1
#define HAVE_GMTIME_R 1
#define HAVE_INET_PTON 1
#define HAVE_INTTYPES_H 1
#define HAVE_IPV6 1
#define HAVE_JRAND48 1
#define HAVE_LOCALTIME_R 1
#define HAVE_LSTAT 1
#define HAVE_PREAD 1
#define HAVE_PWRITE 1
/* Not poll: lighttpd asserts that its bits are those of Linux, and wasi-libc has others. */
#define HAVE_SELECT 1
#define HAVE_SIGNAL 1
#define HAVE_SIGNAL_H 1
#define HAVE_SOCKLEN_T 1
#define HAVE_STDINT_H 1
#define HAVE_STRERROR_R 1
#define HAVE_STRUCT_TM_GMTOFF 1
#define HAVE_SYS_RANDOM_H 1
#define HAVE_SYS_TIME_H 1
#define HAVE_SYS_UIO_H 1
#define HAVE_SYS_UN_H 1
#define HAVE_TIMEGM 1
#define HAVE_UNISTD_H 1
#define HAVE_WRITEV 1

#include <sys/types.h>

#define F_DUPFD 0
#define WNOHANG 1
#define WEXITSTATUS(status) (status)
#define WIFEXITED(status) ((void)(status), 0)
#define WIFSIGNALED(status) ((void)(status), 0)
#define WTERMSIG(status) (status)
#define LOG_ERR 3

int chmod(const char *path, mode_t mode);
int dup(int fd);
int dup2(int fd, int as);
int execv(const char *path, char *const *argv);
pid_t fork(void);
gid_t getgid(void);
pid_t getppid(void);
uid_t getuid(void);
int kill(pid_t pid, int signal);
int mkstemp(char *template);
int pipe(int fds[2]);
void syslog(int priority, const char *format, ...);
void sys_setjmp_sigbus(int signal);
off_t sys_setjmp_eval3(off_t (*callback)(void *, const void *, off_t), void *to, const void *from, off_t length);
void tzset(void);
pid_t waitpid(pid_t pid, int *status, int options);

#endif
