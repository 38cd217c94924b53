/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library that is preloaded into a program under test (ld.so(8)), and has the call fail that the test chose: tests/faults/faults.h.
 *
 * What it stands in front of is looked up at each call, so that what there is of state is the mapped file, and which process this is. These are mutable globals, for a
 * function that replaces one of the C library has no other place to find them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/faults/faults.h"

#define EXPORT __attribute__((visibility("default")))

/* What a function stands in front of. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static struct faults *faults; /* NULL: nothing fails */
static pid_t self;
static bool is_child; /* of the process whose memory is counted: a copy of it, or the same program */

/* glibc's own names of its allocator, for those who replace it. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static void tell_place(void);

/* Of a program that has something to say when it crashes, by signal. */
static void (*last_words[_NSIG])(int number);

static bool is_crash(int number) {
        return number == SIGSEGV || number == SIGBUS || number == SIGABRT || number == SIGVTALRM;
}

/* A crash: told is where, then it goes on. */
static void crash(int number) {
        tell_place();
        if (last_words[number])
                last_words[number](number);
}

__attribute__((constructor)) static void start(void) {
        const struct sigaction action = { .sa_handler = crash, .sa_flags = SA_RESETHAND | SA_NODEFER };
        const char *path = getenv(FAULTS_VARIABLE);
        void *warm[1], *memory;
        int fd;

        /* The first backtrace loads a library; later there might be no descriptor for it. */
        (void)backtrace(warm, 1);
        fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        if (fd < 0)
                return;
        memory = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)close(fd);
        if (memory == MAP_FAILED)
                return;
        self = getpid();
        faults = memory;
        is_child = getenv(FAULTS_CHILD) != NULL;
        (void)unsetenv(FAULTS_CHILD);
        if (!is_child)
                faults->live = 0;
        for (int number = 1; number < _NSIG; ++number) {
                if (is_crash(number))
                        (void)NEXT(sigaction)(number, &action, NULL);
        }
}

/* Whoever asks finds no handler, and who has one is called when the place was told. */
EXPORT int sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict ret) {
        if (!faults || !is_crash(number))
                return NEXT(sigaction)(number, action, ret);
        if (ret)
                *ret = (struct sigaction){ .sa_handler = last_words[number] ? last_words[number] : SIG_DFL };
        if (action)
                last_words[number] = action->sa_handler == SIG_DFL ? NULL : action->sa_handler;
        return 0;
}

static void tell_place(void) {
        void *addresses[FAULTS_DEPTH];
        int n = backtrace(addresses, FAULTS_DEPTH);

        for (int i = 0; i < n; ++i) {
                struct faults_place *place = &faults->places[i];
                const char *name;
                Dl_info info;

                if (dladdr(addresses[i], &info) == 0)
                        continue;
                name = strrchr(info.dli_fname, '/');
                (void)snprintf(place->file, sizeof(place->file), "%s", name ? name + 1 : info.dli_fname);
                place->offset = (unsigned long)((char *)addresses[i] - (char *)info.dli_fbase);
        }
        faults->depth = (unsigned)n;
}

/* Whether this call is the one. */
static bool is_chosen(enum faults_call call) {
        if (!faults || (faults->only != 0 && faults->only != self))
                return false;
        ++faults->seen[call];
        if (faults->countdown == 0 || faults->call != call || --faults->countdown > 0)
                return false;
        ++faults->n_failed;
        tell_place();
        return true;
}

/* The same, which sets errno. */
static bool fails(enum faults_call call) {
        if (!is_chosen(call) || faults->error == FAULTS_SHORT)
                return false;
        errno = faults->error;
        return true;
}

static bool is_stream(int fd) {
        socklen_t length = sizeof(int);
        int type;

        return NEXT(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

/* Of a call that moves `*size` bytes, which are fewer if it is chosen for that. @return whether it fails, which sets errno */
static bool fails_or_shortens(enum faults_call call, int fd, size_t *size) {
        if (!is_chosen(call))
                return false;
        if (faults->error == FAULTS_SHORT) {
                *size = *size > 1 && is_stream(fd) ? 1 : *size;
                return false;
        }
        errno = faults->error;
        return true;
}

/* ---- memory ---- */

static void *count(void *memory) {
        if (memory && faults && !is_child)
                ++faults->live;
        return memory;
}

EXPORT void *malloc(size_t size) {
        return fails(FAULTS_memory) ? NULL : count(__libc_malloc(size));
}

EXPORT void *calloc(size_t n, size_t size) {
        return fails(FAULTS_memory) ? NULL : count(__libc_calloc(n, size));
}

EXPORT void *realloc(void *memory, size_t size) {
        void *r;

        if (memory && size == 0) {
                free(memory);
                return NULL;
        }
        if (fails(FAULTS_memory))
                return NULL;
        r = __libc_realloc(memory, size);
        return memory ? r : count(r);
}

EXPORT void *memalign(size_t alignment, size_t size) {
        return fails(FAULTS_memory) ? NULL : count(__libc_memalign(alignment, size));
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
        return fails(FAULTS_memory) ? NULL : count(__libc_memalign(alignment, size));
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size) {
        void *memory = fails(FAULTS_memory) ? NULL : count(__libc_memalign(alignment, size));

        if (!memory)
                return ENOMEM;
        *ret = memory;
        return 0;
}

EXPORT void free(void *memory) {
        if (memory && faults && !is_child)
                --faults->live;
        __libc_free(memory);
}

/* ---- processes that are started ---- */

EXPORT pid_t fork(void) {
        pid_t pid = fails(FAULTS_fork) ? -1 : NEXT(fork)();

        if (pid == 0) {
                self = getpid();
                is_child = true;
        }
        return pid;
}

/* It returns an errno, and sets none. What is started so is the same program, in the same environment. */
EXPORT int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *restrict attributes, char *const arguments[restrict],
                       char *const environment[restrict]) {
        (void)environment;
        if (fails(FAULTS_posix_spawn))
                return faults->error;
        (void)setenv(FAULTS_CHILD, "1", 1);
        return NEXT(posix_spawn)(pid, path, actions, attributes, arguments, environ);
}

/* A program that cleans its children's environment would keep the library out of them. */
EXPORT int execvp(const char *file, char *const *arguments) {
        int (*next)(const char *, char *const *) = (int (*)(const char *, char *const *))dlsym(RTLD_NEXT, "execvp");

        struct faults *mapped = faults;

        /* This is the child, whose memory is none of the parent's. */
        faults = NULL;
        if (mapped && mapped->child_preload[0] != '\0') {
                (void)putenv(mapped->child_preload);
                (void)putenv(mapped->child_file);
        }
        return next(file, arguments);
}

/* ---- system calls ---- */

#define REPLACE(type, name, parameters, arguments)                                                                     \
        EXPORT type name parameters {                                                                                  \
                return fails(FAULTS_##name) ? -1 : NEXT(name) arguments;                                               \
        }

/* Of those that move `size` bytes. */
#define REPLACE_SIZED(name, parameters, arguments)                                                                     \
        EXPORT ssize_t name parameters {                                                                               \
                return fails_or_shortens(FAULTS_##name, fd, &size) ? -1 : NEXT(name) arguments;                        \
        }

/* clang-format off: one line each */
REPLACE(int, accept4, (int fd, struct sockaddr *restrict sa, socklen_t *restrict length, int flags),
        (fd, sa, length, flags))
REPLACE(int, bind, (int fd, const struct sockaddr *sa, socklen_t length), (fd, sa, length))
REPLACE(int, connect, (int fd, const struct sockaddr *sa, socklen_t length), (fd, sa, length))
REPLACE(int, dup, (int fd), (fd))
REPLACE(int, epoll_create1, (int flags), (flags))
REPLACE(int, epoll_wait, (int epoll, struct epoll_event *events, int n, int ms), (epoll, events, n, ms))
REPLACE(int, eventfd, (unsigned value, int flags), (value, flags))
REPLACE(int, getpeername, (int fd, struct sockaddr *restrict sa, socklen_t *restrict length), (fd, sa, length))
REPLACE(int, getsockname, (int fd, struct sockaddr *restrict sa, socklen_t *restrict length), (fd, sa, length))
REPLACE(int, getsockopt, (int fd, int level, int option, void *restrict value, socklen_t *restrict length),
        (fd, level, option, value, length))
REPLACE(int, listen, (int fd, int backlog), (fd, backlog))
REPLACE(int, memfd_create, (const char *name, unsigned flags), (name, flags))
REPLACE(int, pipe2, (int fds[2], int flags), (fds, flags))
REPLACE(int, poll, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
REPLACE_SIZED(recv, (int fd, void *buffer, size_t size, int flags), (fd, buffer, size, flags))
REPLACE(ssize_t, recvfrom,
        (int fd, void *restrict buffer, size_t size, int flags, struct sockaddr *restrict sa,
         socklen_t *restrict length),
        (fd, buffer, size, flags, sa, length))
REPLACE(int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout),
        (fd, messages, n, flags, timeout))
REPLACE(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
REPLACE_SIZED(send, (int fd, const void *buffer, size_t size, int flags), (fd, buffer, size, flags))
REPLACE(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned n, int flags), (fd, messages, n, flags))
REPLACE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
REPLACE(ssize_t, sendto,
        (int fd, const void *buffer, size_t size, int flags, const struct sockaddr *sa, socklen_t length),
        (fd, buffer, size, flags, sa, length))
REPLACE(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t length),
        (fd, level, option, value, length))
REPLACE(int, shutdown, (int fd, int how), (fd, how))
REPLACE(int, socket, (int family, int type, int protocol), (family, type, protocol))
REPLACE(int, socketpair, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds))
REPLACE(int, timerfd_create, (int clock, int flags), (clock, flags))
/* clang-format on */

EXPORT ssize_t splice(int in, off64_t *in_place, int out, off64_t *out_place, size_t size, unsigned flags) {
        /* One end is a pipe; if the other is a stream, the bytes are. */
        int fd = is_stream(in) ? in : out;

        return fails_or_shortens(FAULTS_splice, fd, &size) ? -1
                                                           : NEXT(splice)(in, in_place, out, out_place, size, flags);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int n) {
        struct iovec first = n > 0 ? parts[0] : (struct iovec){ 0 };
        size_t size = first.iov_len;

        if (fails_or_shortens(FAULTS_writev, fd, &size))
                return -1;
        if (size == first.iov_len)
                return NEXT(writev)(fd, parts, n);
        first.iov_len = size;
        return NEXT(writev)(fd, &first, 1);
}

/* libuv writes down which signals came, and reads it. It loses them when 64 KiB of them wait, and never otherwise. */
static bool is_of_libuv(const void *caller) {
        Dl_info info;

        return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "/libuv.");
}

EXPORT ssize_t write(int fd, const void *buffer, size_t size) {
        if (!is_of_libuv(__builtin_return_address(0)) && fails_or_shortens(FAULTS_write, fd, &size))
                return -1;
        return NEXT(write)(fd, buffer, size);
}

EXPORT ssize_t read(int fd, void *buffer, size_t size) {
        if (!is_of_libuv(__builtin_return_address(0)) && fails_or_shortens(FAULTS_read, fd, &size))
                return -1;
        return NEXT(read)(fd, buffer, size);
}

/* Only to add takes memory; what is there can always be changed and removed. */
EXPORT int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
        if (operation == EPOLL_CTL_ADD && fails(FAULTS_epoll_ctl))
                return -1;
        return NEXT(epoll_ctl)(epoll, operation, fd, event);
}

EXPORT void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
        return fails(FAULTS_mmap) ? MAP_FAILED : NEXT(mmap)(address, size, protection, flags, fd, offset);
}

/* The third argument of those that may have one; a pointer is as wide as any. */
#define LAST_ARGUMENT(before)                                                                                          \
        ({                                                                                                             \
                va_list list;                                                                                          \
                void *last;                                                                                            \
                va_start(list, before);                                                                                \
                last = va_arg(list, void *);                                                                           \
                va_end(list);                                                                                          \
                last;                                                                                                  \
        })

EXPORT int fcntl(int fd, int command, ...) {
        void *argument = LAST_ARGUMENT(command);

        /* Flags of what is open can always be read and set. */
        return command == F_DUPFD_CLOEXEC && fails(FAULTS_fcntl) ? -1 : NEXT(fcntl)(fd, command, argument);
}

EXPORT int ioctl(int fd, unsigned long command, ...) {
        void *argument = LAST_ARGUMENT(command);

        return fails(FAULTS_ioctl) ? -1 : NEXT(ioctl)(fd, command, argument);
}

EXPORT int open(const char *path, int flags, ...) {
        void *mode = LAST_ARGUMENT(flags);

        return fails(FAULTS_open) ? -1 : NEXT(open)(path, flags, mode);
}

EXPORT int openat(int folder, const char *path, int flags, ...) {
        void *mode = LAST_ARGUMENT(flags);

        return fails(FAULTS_open) ? -1 : NEXT(openat)(folder, path, flags, mode);
}
