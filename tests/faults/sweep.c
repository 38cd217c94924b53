/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/sweep.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* How many calls of each kind fail in a sample. */
#define SAMPLE 2

/* How far apart the kinds are that a deed meets in a sample. */
#define KINDS_STRIDE 5

/* Of NETBROKER_FAULTS_ONLY. */
struct only {
        char call[32];
        unsigned from, to;
};

/* @return whether it is set */
static bool read_only(struct only *ret) {
        const char *text = getenv("NETBROKER_FAULTS_ONLY");

        *ret = (struct only){ .from = 1, .to = UINT_MAX };
        if (!text)
                return false;
        ck_assert_msg(sscanf(text, "%31[^:]:%u-%u", ret->call, &ret->from, &ret->to) > 0 && ret->from > 0,
                      "NETBROKER_FAULTS_ONLY is CALL, CALL:FROM or CALL:FROM-TO, and not %s", text);
        return true;
}

bool sweep_is_all(void) {
        const char *all = getenv("NETBROKER_FAULTS");

        return getenv("NETBROKER_FAULTS_ONLY") || (all && strcmp(all, "all") == 0);
}

bool sweep_leaves_out(const char *deed) {
        const char *only = getenv("NETBROKER_FAULTS_DEED");

        return only && strcmp(only, deed) != 0;
}

static unsigned seed(void) {
        const char *text = getenv("NETBROKER_FAULTS_SEED");

        return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

struct sweep_range sweep_range(unsigned n_calls) {
        unsigned stride = sweep_is_all() ? 1 : n_calls / SAMPLE + 1;
        struct only only;

        if (read_only(&only))
                return (struct sweep_range){ only.from, only.to < n_calls ? only.to : n_calls, 1 };
        return (struct sweep_range){ 1 + seed() % stride, n_calls, stride };
}

bool sweep_has(const struct fault *fault, size_t index, size_t n_kinds, unsigned sparsely) {
        unsigned stride = KINDS_STRIDE * sparsely;
        struct only only;

        if (read_only(&only))
                return strcmp(only.call, faults_call_name(fault->call)) == 0;
        return sweep_is_all() || n_kinds < stride || (index + seed()) % stride == 0;
}

/*
 * What is only for the broker, which asks again what is ready, is a lie that no kernel tells to a relay, which waits for edges: EAGAIN is followed by an edge
 * (tcp_sendmsg_locked() makes one where nothing is in flight), and an end, EPIPE or ECONNRESET, is an event of the other direction as well; a relay is
 * told by that. EAGAIN of what has been there is none for the broker either: it reads it the next time. ENOTCONN tells a server's socket of QUIC from a client's.
 */
const struct fault sweep_faults[] = {
        { FAULTS_socket, EMFILE, false },
        { FAULTS_socket, ENOBUFS, false },
        { FAULTS_socketpair, ENFILE, false },
        { FAULTS_socketpair, ENOMEM, false },
        { FAULTS_bind, EADDRINUSE, false },
        { FAULTS_bind, ENOMEM, false },
        { FAULTS_listen, EADDRINUSE, false },
        { FAULTS_accept4, EMFILE, false },
        { FAULTS_accept4, ENOBUFS, false },
        { FAULTS_accept4, ECONNABORTED, false },
        { FAULTS_connect, EADDRNOTAVAIL, false },
        { FAULTS_connect, ENETUNREACH, false },
        { FAULTS_connect, EAGAIN, false },
        { FAULTS_dup, EMFILE, false },
        { FAULTS_epoll_create1, EMFILE, false },
        { FAULTS_epoll_create1, ENOMEM, false },
        { FAULTS_epoll_ctl, ENOMEM, false },
        { FAULTS_epoll_ctl, ENOSPC, false },
        { FAULTS_epoll_wait, EINTR, false },
        { FAULTS_eventfd, EMFILE, false },
        { FAULTS_fcntl, EMFILE, false },
        { FAULTS_fork, EAGAIN, false },
        { FAULTS_posix_spawn, EAGAIN, false },
        { FAULTS_posix_spawn, ENOENT, false },
        { FAULTS_getpeername, ENOTCONN, true },
        { FAULTS_getpeername, ENOBUFS, false },
        { FAULTS_getsockname, ENOBUFS, false },

        { FAULTS_ioctl, ENOTTY, false },
        { FAULTS_ioctl, ENOMEM, false },
        { FAULTS_memfd_create, EMFILE, false },
        { FAULTS_mmap, ENOMEM, false },
        { FAULTS_open, EMFILE, false },
        { FAULTS_open, ENOMEM, false },
        { FAULTS_pipe2, ENFILE, false },
        { FAULTS_read, EINTR, false },
        { FAULTS_read, EIO, false },
        { FAULTS_recv, EINTR, false },
        { FAULTS_recv, ECONNRESET, false },
        { FAULTS_recv, ENOMEM, false },
        { FAULTS_recvfrom, ENOMEM, false },
        { FAULTS_recvmmsg, ENOMEM, false },
        { FAULTS_recvmsg, EINTR, false },
        { FAULTS_recvmsg, ENOMEM, false },
        { FAULTS_recvmsg, ECONNRESET, true },
        { FAULTS_send, EAGAIN, true },
        { FAULTS_send, ENOBUFS, false },
        { FAULTS_sendmmsg, ENOBUFS, false },
        { FAULTS_sendmsg, EINTR, false },
        { FAULTS_sendmsg, EAGAIN, false },
        { FAULTS_sendmsg, ENOBUFS, false },
        { FAULTS_sendmsg, ETOOMANYREFS, false },
        { FAULTS_sendmsg, EPIPE, false },
        { FAULTS_sendto, EAGAIN, false },
        { FAULTS_sendto, ENOBUFS, false },
        { FAULTS_sendto, EPERM, false },
        { FAULTS_setsockopt, ENOBUFS, false },

        { FAULTS_shutdown, ENOTCONN, false },
        { FAULTS_splice, ENOMEM, false },
        { FAULTS_timerfd_create, EMFILE, false },
        { FAULTS_write, EAGAIN, false },
        { FAULTS_write, ENOSPC, false },
        { FAULTS_writev, EAGAIN, false },
        { FAULTS_read, FAULTS_SHORT, false },
        { FAULTS_recv, FAULTS_SHORT, false },
        { FAULTS_send, FAULTS_SHORT, false },
        { FAULTS_splice, FAULTS_SHORT, false },
        { FAULTS_write, FAULTS_SHORT, false },
        { FAULTS_writev, FAULTS_SHORT, false },
        { FAULTS_accept4, EINTR, false },
        { FAULTS_connect, EINTR, false },
        { FAULTS_recvfrom, EINTR, false },
        { FAULTS_recvmmsg, EINTR, false },
        { FAULTS_send, EINTR, false },
        { FAULTS_sendmmsg, EINTR, false },
        { FAULTS_sendto, EINTR, false },
        { FAULTS_splice, EINTR, false },
        { FAULTS_write, EINTR, false },
        { FAULTS_writev, EINTR, false },
        { FAULTS_open, EINTR, false },
        { FAULTS_send, EPIPE, true },
        { FAULTS_send, ECONNRESET, true },
        { FAULTS_recv, EAGAIN, true },
        { FAULTS_recvmsg, EAGAIN, true },
        { FAULTS_writev, EPIPE, true },
        { FAULTS_writev, ENOBUFS, false },
        { FAULTS_write, EPIPE, true },
        { FAULTS_poll, EINTR, false },
};

size_t sweep_n_faults(void) {
        return sizeof(sweep_faults) / sizeof(sweep_faults[0]);
}

/* ---- what may come of it ---- */

void sweep_complain(const struct world *world, const struct sweep *sweep, const char *format, ...) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);
        char text[256];
        size_t length = strlen(log);
        va_list list;

        va_start(list, format);
        (void)vsnprintf(text, sizeof(text), format, list);
        va_end(list);
        fprintf(stderr, "---- %s\n", text);
        faults_show(world->faults[sweep->program]);
        fprintf(stderr, "---- netbrokerd said last:\n%s\n", log + (length > 3000 ? length - 3000 : 0));
        ck_abort_msg("%s, %s of the %s number %u with errno %d: %s", sweep->deed->name, faults_call_name(sweep->call),
                     program_name(sweep->program), sweep->n, sweep->error, text);
}

static bool is_also(const struct deed *deed, int r) {
        for (size_t i = 0; i < N(deed->also); ++i) {
                if (deed->also[i] != 0 && deed->also[i] == -r)
                        return true;
        }
        return false;
}

bool sweep_is_answer(const struct sweep *sweep, int r) {
        switch (-r) {
        case 0:
        case ENOMEM:
        case ENOBUFS:
        case ENFILE: /* ETOOMANYREFS: descriptors in flight */
        case EPIPE:
        case ECONNRESET:
        case ECONNABORTED:
                return true;
        case EAGAIN: /* a relay that keeps ending is not started at once */
                return sweep->deed->relayed || sweep->error == EAGAIN;
        default:
                return r == -sweep->error || is_also(sweep->deed, r);
        }
}

bool sweep_is_excused(const struct faults *faults) {
        static const char *const libraries[] = { "libuv.", "libseccomp.", "libgmp.", "libtasn1." };
        const char *caller = faults_caller(faults);

        for (size_t i = 0; i < N(libraries); ++i) {
                if (strncmp(caller, libraries[i], strlen(libraries[i])) == 0)
                        return true;
        }
        return false;
}

void sweep_show(const struct sweep *sweep, const struct faults *faults, int r) {
        if (getenv("NETBROKER_FAULTS_SHOW"))
                fprintf(stderr, "%s %s %s %u errno %d: %d%s\n", sweep->deed->name, program_name(sweep->program),
                        faults_call_name(sweep->call), sweep->n, sweep->error, r,
                        faults->n_failed > 0 ? "" : ", nothing failed");
}
