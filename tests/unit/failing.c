/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/failing.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The one place that a function which stands in for another can find what the test chose. */
static struct {
        enum failing_call call;
        unsigned countdown; /* 0: nothing fails */
        int error;
        bool failed, paused;
} chosen;

static const char *const names[] = {
#define FAILING_ENTRY(name) #name,
        FAILING_CALLS(FAILING_ENTRY)
#undef FAILING_ENTRY
};

const char *failing_name(enum failing_call call) {
        return names[call];
}

void failing_arm(enum failing_call call, unsigned n, int error) {
        chosen.call = call;
        chosen.error = error;
        chosen.failed = false;
        chosen.paused = false;
        chosen.countdown = n;
}

bool failing_disarm(void) {
        chosen.countdown = 0;
        return chosen.failed;
}

void failing_pause(void) {
        chosen.paused = true;
}

void failing_resume(void) {
        chosen.paused = false;
}

/* Whether this call is the one, which sets errno. */
static bool fails(enum failing_call call) {
        if (chosen.countdown == 0 || chosen.paused || chosen.call != call || --chosen.countdown > 0)
                return false;
        chosen.failed = true;
        errno = chosen.error;
        return true;
}

#define WRAP(call, type, name, parameters, arguments, failure)                                                         \
        type __real_##name parameters;                                                                                 \
        type __wrap_##name parameters;                                                                                 \
        type __wrap_##name parameters {                                                                                \
                return fails(FAILING_##call) ? (failure) : __real_##name arguments;                                    \
        }

/* clang-format off: one line each */
WRAP(memory, void *, malloc, (size_t size), (size), NULL)
WRAP(memory, void *, calloc, (size_t n, size_t size), (n, size), NULL)
WRAP(memory, void *, realloc, (void *memory, size_t size), (memory, size), NULL)
WRAP(memory, void *, reallocarray, (void *memory, size_t n, size_t size), (memory, n, size), NULL)
WRAP(memory, char *, strdup, (const char *text), (text), NULL)
WRAP(memory, char *, strndup, (const char *text, size_t size), (text, size), NULL)
WRAP(memory, int, scandir,
     (const char *path, struct dirent ***ret, int (*filter)(const struct dirent *),
      int (*compare)(const struct dirent **, const struct dirent **)),
     (path, ret, filter, compare), -1)
WRAP(memory, int, scandirat,
     (int folder, const char *path, struct dirent ***ret, int (*filter)(const struct dirent *),
      int (*compare)(const struct dirent **, const struct dirent **)),
     (folder, path, ret, filter, compare), -1)
WRAP(connect, int, connect, (int fd, const struct sockaddr *sa, socklen_t length), (fd, sa, length), -1)
WRAP(getsockopt, int, getsockopt, (int fd, int level, int option, void *value, socklen_t *length),
     (fd, level, option, value, length), -1)
WRAP(read, ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size), -1)
WRAP(readv, ssize_t, readv, (int fd, const struct iovec *parts, int n), (fd, parts, n), -1)
WRAP(recv, ssize_t, recv, (int fd, void *buffer, size_t size, int flags), (fd, buffer, size, flags), -1)
WRAP(recvmsg, ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1)
WRAP(send, ssize_t, send, (int fd, const void *buffer, size_t size, int flags), (fd, buffer, size, flags), -1)
WRAP(sendmsg, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1)
WRAP(sendto, ssize_t, sendto,
     (int fd, const void *buffer, size_t size, int flags, const struct sockaddr *sa, socklen_t length),
     (fd, buffer, size, flags, sa, length), -1)
WRAP(setsockopt, int, setsockopt, (int fd, int level, int option, const void *value, socklen_t length),
     (fd, level, option, value, length), -1)
WRAP(socket, int, socket, (int family, int type, int protocol), (family, type, protocol), -1)
WRAP(socketpair, int, socketpair, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds), -1)
WRAP(writev, ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n), -1)
/* clang-format on */

/* Those with arguments that may be there or not; a pointer is as wide as any. */

int __real_fcntl(int fd, int command, void *argument);
int __wrap_fcntl(int fd, int command, void *argument);
int __wrap_fcntl(int fd, int command, void *argument) {
        /* Flags of what is open can always be read and set. */
        return command == F_DUPFD_CLOEXEC && fails(FAILING_fcntl) ? -1 : __real_fcntl(fd, command, argument);
}

int __real_ioctl(int fd, unsigned long command, void *argument);
int __wrap_ioctl(int fd, unsigned long command, void *argument);
int __wrap_ioctl(int fd, unsigned long command, void *argument) {
        return fails(FAILING_ioctl) ? -1 : __real_ioctl(fd, command, argument);
}

int __wrap_asprintf(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **ret, const char *format, ...) {
        va_list arguments;
        int n;

        if (fails(FAILING_memory))
                return -1;
        va_start(arguments, format);
        n = vasprintf(ret, format, arguments);
        va_end(arguments);
        return n;
}

/* ---- streams into memory ---- */

/* What the C library's own grows by is out of the linker's reach: this one asks for each byte's room here, so that any of its allocations can fail. */
struct memory_stream {
        char **ret;
        size_t *ret_length;
        char *text;
        size_t length, size;
};

static bool make_room(struct memory_stream *stream, size_t n) {
        size_t size = stream->size ? stream->size : 256;
        char *text;

        if (stream->length + n < stream->size)
                return true;
        while (size <= stream->length + n)
                size *= 2;
        text = __wrap_realloc(stream->text, size);
        if (!text)
                return false;
        stream->text = text;
        stream->size = size;
        return true;
}

static ssize_t write_memory(void *cookie, const char *bytes, size_t n) {
        struct memory_stream *stream = cookie;

        if (!make_room(stream, n))
                return 0; /* which the stream notes as its error */
        memcpy(stream->text + stream->length, bytes, n);
        stream->length += n;
        stream->text[stream->length] = '\0';
        return (ssize_t)n;
}

static int close_memory(void *cookie) {
        struct memory_stream *stream = cookie;

        *stream->ret = stream->text;
        *stream->ret_length = stream->length;
        free(stream);
        return 0;
}

FILE *__wrap_open_memstream(char **ret, size_t *ret_length);
FILE *__wrap_open_memstream(char **ret, size_t *ret_length) {
        struct memory_stream *stream = __wrap_calloc(1, sizeof(*stream));
        FILE *file;

        if (!stream)
                return NULL;
        stream->ret = ret;
        stream->ret_length = ret_length;
        file = make_room(stream, 1)
                       ? fopencookie(stream, "w",
                                     (cookie_io_functions_t){ .write = write_memory, .close = close_memory })
                       : NULL;
        if (!file) {
                free(stream->text);
                free(stream);
        } else {
                stream->text[0] = '\0';
        }
        return file;
}

/* @return whether the allocation number `n` was made, and failed */
static bool fail_one(const char *name, int (*function)(void *data), void *data, unsigned n) {
        bool failed;
        int r;

        failing_arm(FAILING_memory, n, ENOMEM);
        r = function(data);
        failed = failing_disarm();
        ck_assert_msg(r == (failed ? -ENOMEM : 0), "%s, with allocation %u failing: %d", name, n, r);
        return failed;
}

void failing_each_allocation(const char *name, int (*function)(void *data), void *data, unsigned most) {
        unsigned n = 1;

        while (fail_one(name, function, data, n))
                ck_assert_uint_lt(n++, most);
        ck_assert_msg(n > 1, "%s allocates nothing", name);
}
