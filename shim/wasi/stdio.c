/* SPDX-License-Identifier: Apache-2.0 */
#include "shim/wasi/stdio.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/wasi.h"
#include "shim/wasi/iovec.h"

#define FILETYPE_UNKNOWN 0
#define FILETYPE_CHARACTER_DEVICE 2
#define FILETYPE_REGULAR_FILE 4

#define RIGHTS_COMMON (NB_RIGHT_FD_FDSTAT_SET_FLAGS | NB_RIGHT_FD_FILESTAT_GET | NB_RIGHT_POLL_FD_READWRITE)

/* wasi-libc takes a character device for a terminal, so nothing else is called one. */
static uint8_t filetype(int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return FILETYPE_UNKNOWN;
        if (S_ISREG(st.st_mode))
                return FILETYPE_REGULAR_FILE;
        return isatty(fd) ? FILETYPE_CHARACTER_DEVICE : FILETYPE_UNKNOWN;
}

struct nb_descriptor nb_stdio_descriptor(int host_fd, bool input) {
        return (struct nb_descriptor){
                .kind = NB_DESCRIPTOR_STDIO,
                .filetype = filetype(host_fd),
                .rights_base = RIGHTS_COMMON | (input ? NB_RIGHT_FD_READ : NB_RIGHT_FD_WRITE),
                .host_fd = host_fd,
        };
}

uint64_t nb_stdio_size(const struct nb_descriptor *stdio) {
        struct stat st;

        if (fstat(stdio->host_fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        return (uint64_t)st.st_size;
}

/* Waits as the guest wants to: not at all, or until the stream is ready. */
static int await(struct nb_call *call, const struct nb_descriptor *stdio, short events) {
        struct pollfd pollfd = { .fd = stdio->host_fd, .events = events };
        int r;

        r = call->guest->wait(call->guest->wait_data, &pollfd, 1, stdio->flags & NB_NONBLOCK ? 0 : -1);
        nb_call_refresh(call);
        if (r < 0)
                return nb_call_errno(r);
        return r == 0 && (stdio->flags & NB_NONBLOCK) ? NB_WASI_EAGAIN : NB_WASI_SUCCESS;
}

/* The signal that comes with an errno of writev(); 0: none. */
static int signal_of(int error) {
        if (error == EPIPE)
                return SIGPIPE;
        return error == EFBIG ? SIGXFSZ : 0;
}

/* writev() that raises no signal: a guest whose reader is gone, or whose file has all that RLIMIT_FSIZE allows, must not end the host. */
static ssize_t write_quietly(int fd, const struct iovec *parts, size_t n) {
        const struct timespec now = { 0 };
        sigset_t blocked;
        sigset_t raised;
        sigset_t pending;
        sigset_t before;
        int number;
        int saved;
        ssize_t r;

        (void)sigemptyset(&blocked);
        (void)sigaddset(&blocked, SIGPIPE);
        (void)sigaddset(&blocked, SIGXFSZ);
        (void)sigpending(&pending);
        (void)pthread_sigmask(SIG_BLOCK, &blocked, &before);
        r = writev(fd, parts, (int)n);
        saved = errno;
        number = r < 0 ? signal_of(saved) : 0;
        if (number && !sigismember(&pending, number)) {
                (void)sigemptyset(&raised);
                (void)sigaddset(&raised, number);
                (void)sigtimedwait(&raised, NULL, &now);
        }
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = saved;
        return r;
}

static int load(struct nb_call *call, const struct nb_descriptor *stdio, uint64_t right, struct nb_iovecs *ret) {
        if (!(stdio->rights_base & right))
                return NB_WASI_ENOTCAPABLE;
        if (!nb_call_covers(call, nb_call_u32(call, 3), sizeof(uint32_t)))
                return NB_WASI_EFAULT;
        return nb_iovecs_load(call, nb_call_u32(call, 1), nb_call_u32(call, 2), ret);
}

int nb_stdio_read(struct nb_call *call, struct nb_descriptor *stdio) {
        struct iovec parts[NB_IOVECS_MAX];
        struct nb_iovecs iovecs;
        ssize_t n = 0;
        size_t n_parts;
        int r;

        r = load(call, stdio, NB_RIGHT_FD_READ, &iovecs);
        if (r)
                return r;
        if (iovecs.total > 0) {
                r = await(call, stdio, POLLIN);
                if (r)
                        return r;
                r = nb_iovecs_map(call, &iovecs, 0, UINT32_MAX, parts, &n_parts);
                if (r)
                        return r;
                n = readv(stdio->host_fd, parts, (int)n_parts);
                if (n < 0)
                        return nb_call_errno(-errno);
        }
        return nb_call_write_u32(call, nb_call_u32(call, 3), (uint32_t)n) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}

/* One piece of what is left: all of it into a file, else what a writable pipe takes without blocking. */
static int write_piece(struct nb_call *call, const struct nb_descriptor *stdio, const struct nb_iovecs *iovecs,
                       uint32_t *done) {
        bool file = stdio->filetype == FILETYPE_REGULAR_FILE;
        struct iovec parts[NB_IOVECS_MAX];
        size_t n_parts;
        ssize_t n;
        int r;

        if (!file) {
                r = await(call, stdio, POLLOUT);
                if (r)
                        return r;
        }
        r = nb_iovecs_map(call, iovecs, *done, file ? UINT32_MAX : PIPE_BUF, parts, &n_parts);
        if (r)
                return r;
        n = write_quietly(stdio->host_fd, parts, n_parts);
        if (n < 0)
                return nb_call_errno(-errno);
        *done += (uint32_t)n;
        return NB_WASI_SUCCESS;
}

int nb_stdio_write(struct nb_call *call, struct nb_descriptor *stdio) {
        struct nb_iovecs iovecs;
        uint32_t done = 0;
        int r;

        r = load(call, stdio, NB_RIGHT_FD_WRITE, &iovecs);
        if (r)
                return r;
        while (done < iovecs.total) {
                r = write_piece(call, stdio, &iovecs, &done);
                if (r)
                        break;
        }
        if (r && done == 0)
                return r;
        return nb_call_write_u32(call, nb_call_u32(call, 3), done) ? NB_WASI_SUCCESS : NB_WASI_EFAULT;
}
