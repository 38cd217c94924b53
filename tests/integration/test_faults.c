/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What broker and relay do when calls of theirs fail: each allocation, each descriptor, each class of system calls, one after the other.
 *
 * A sweep does something once to count the calls, and then again with the first of them failing, the second, and so on. Whatever came of it, the daemon
 * is the same process; a session that was there before works; what was done is done again and must succeed; and descriptors and memory are as many as before.
 * What is done is in tests/faults/: deeds_plain.c, deeds_relayed.c, deeds_operator.c; where, in world.c.
 *
 * NETBROKER_FAULTS=all sweeps over all calls. Without it each sweep takes a sample that differs by its first call, NETBROKER_FAULTS_SEED.
 * NETBROKER_FAULTS_DEED=NAME does only the deed of that name.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/faults/world.h"
#include "tests/support/runner.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* How many calls of each kind fail in a sample. */
#define SAMPLE 2

/* How far apart the kinds are that a deed meets in a sample. */
#define KINDS_STRIDE 5

/* No deed takes as many descriptors. */
#define LIMIT_MAX 64

static const struct deed deeds[] = {
        { "session", do_session, SETTING_PLAIN, false, false, false, { 0 } },
        { "direct", do_direct, SETTING_PLAIN, false, false, false, { 0 } },
        { "unix", do_unix, SETTING_PLAIN, false, false, false, { 0 } },
        { "name", do_name, SETTING_PLAIN, false, true, false, { 0 } },
        { "relayed", do_relayed, SETTING_PLAIN, true, false, false, { 0 } },
        { "datagrams", do_datagrams, SETTING_PLAIN, true, false, false, { 0 } },
        { "Unix datagrams", do_unix_datagrams, SETTING_PLAIN, true, false, false, { 0 } },
        { "token", do_token, SETTING_PLAIN, false, true, false, { 0 } },
        /* GnuTLS says of a certificate that it cannot verify for want of memory that it is not trusted; a peer that cannot go on with a handshake
         * ends it, against the protocol; a listener that cannot take a peer of QUIC refuses it. */
        { "tls", do_tls, SETTING_SECURE, true, true, true, { EACCES, EPROTO, EIO } },
        { "quic", do_quic, SETTING_SECURE, true, true, true, { EACCES, EPROTO, ECONNREFUSED, EIO } },
        { "proxy", do_proxy, SETTING_SECURE, true, true, false, { 0 } },
        { "lists", do_lists, SETTING_SECURE, false, true, false, { 0 } },
        { "watch", do_watch, SETTING_PLAIN, false, true, false, { 0 } },
        { "revoke", do_revoke, SETTING_PLAIN, true, true, false, { 0 } },
        { "reload", do_reload, SETTING_PLAIN, false, true, false, { ECANCELED } },
        { "reload secure", do_reload, SETTING_SECURE, true, true, true, { ECANCELED } },
};

/* A call, and what it fails with. */
struct fault {
        enum faults_call call;
        int error;
        bool broker_only;
};

/* What a sweep is about, for messages. */
struct sweep {
        const struct deed *deed;
        enum program program;
        enum faults_call call;
        int error;
        unsigned n;
        unsigned n_excused; /* relays that may have crashed */
};

#define expect(condition, world, sweep, ...)                                                                           \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        complain((world), (sweep), __VA_ARGS__);                                                       \
        } while (0)

__attribute__((format(printf, 3, 4), noreturn)) static void
complain(const struct world *world, const struct sweep *sweep, const char *format, ...) {
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

/* How the daemon was before: what it must be again. */
struct before {
        unsigned fds;
        long live;
};

static struct before look(const struct world *world) {
        return (struct before){ daemon_count_fds_at_rest(&world->daemon), world->faults[BROKER]->live };
}

/* The same when nothing changes any more: what ended before has been forgotten. */
static struct before settle(const struct world *world) {
        struct before last = look(world), now;

        for (int n_equal = 0; n_equal < 30;
             n_equal = now.fds == last.fds && now.live == last.live ? n_equal + 1 : 0, last = now) {
                (void)poll(NULL, 0, 1);
                now = look(world);
        }
        return last;
}

/* Does it without failures. The relay may have ended, which the daemon learns by and by: then it is done again. */
static void do_it_well(const struct world *world, const struct sweep *sweep) {
        uint64_t start = harness_now_ms();
        int r;

        while ((r = sweep->deed->function(world)) < 0 && sweep->deed->relayed &&
               harness_now_ms() - start < HARNESS_DEADLINE_MS)
                (void)poll(NULL, 0, 1);
        expect(r == 0, world, sweep, "afterwards it is refused with errno %d", -r);
        r = connect_stream(world, world->direct, world->peer.text);
        expect(r == 0, world, sweep, "another session is refused with errno %d", -r);
}

static void expect_before(const struct world *world, const struct sweep *sweep, const struct before *before,
                          bool lenient) {
        uint64_t start = harness_now_ms();
        struct before now = look(world);

        while ((now.fds != before->fds || (now.live > before->live && !lenient)) &&
               harness_now_ms() - start < HARNESS_DEADLINE_MS) {
                (void)poll(NULL, 0, 1);
                now = look(world);
        }
        expect(now.fds == before->fds, world, sweep, "%u descriptors, and %u before", now.fds, before->fds);
        expect(lenient || now.live <= before->live, world, sweep, "%ld blocks of memory, and %ld before", now.live,
               before->live);
}

static bool is_also(const struct deed *deed, int r) {
        for (size_t i = 0; i < N(deed->also); ++i) {
                if (deed->also[i] != 0 && deed->also[i] == -r)
                        return true;
        }
        return false;
}

/* What may be said to one for whom a call failed: the failure, want of memory or buffers, or the end of what could not go on. */
static bool is_answer(const struct sweep *sweep, int r) {
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

static unsigned count_text(const char *log, const char *text) {
        unsigned n = 0;

        for (const char *next = log; (next = strstr(next, text)); next += strlen(text))
                ++n;
        return n;
}

/*
 * What libraries do whose calls fail is not ours: libuv aborts when it cannot begin to watch, GMP, by which GnuTLS computes, when it has no memory, and libtasn1,
 * by which it reads certificates, goes on (4.19 does not look at what its copy of a certificate's part could be stored in).
 */
static bool is_excused(const struct faults *faults) {
        static const char *const libraries[] = { "libuv.", "libgmp.", "libtasn1." };
        const char *caller = faults_caller(faults);

        for (size_t i = 0; i < N(libraries); ++i) {
                if (strncmp(caller, libraries[i], strlen(libraries[i])) == 0)
                        return true;
        }
        return false;
}

/* A relay that cannot go on ends; it does not crash. */
static bool has_crashed(const struct world *world, struct sweep *sweep) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);

        sweep->n_excused += sweep->program == RELAY && is_excused(world->faults[RELAY]);
        return count_text(log, "was killed by SIG") > sweep->n_excused;
}

static void fail_one(const struct world *world, struct sweep *sweep, const struct before *before) {
        struct faults *faults = world->faults[sweep->program];
        bool shown = getenv("NETBROKER_FAULTS_SHOW") != NULL;
        int r;

        if (shown)
                fprintf(stderr, "%s %s %s %u errno %d", sweep->deed->name, program_name(sweep->program),
                        faults_call_name(sweep->call), sweep->n, sweep->error);
        faults_arm(faults, sweep->call, sweep->n, sweep->error);
        r = sweep->deed->function(world);
        if (shown)
                fprintf(stderr, ": %d%s\n", r, faults->n_failed > 0 ? "" : ", nothing failed");
        if (!faults_disarm(faults))
                return;
        expect(world_is_alive(world), world, sweep, "the daemon ended");
        expect(is_answer(sweep, r), world, sweep, "it is refused with errno %d", -r);
        do_it_well(world, sweep);
        expect_before(world, sweep, before, sweep->deed->cached);
        expect(!has_crashed(world, sweep), world, sweep, "a relay crashed");
}

static bool is_all(void) {
        const char *all = getenv("NETBROKER_FAULTS");

        return all && strcmp(all, "all") == 0;
}

static unsigned seed(void) {
        const char *text = getenv("NETBROKER_FAULTS_SEED");

        return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

/* How far apart the calls are that fail, of so many. @param ret_first  the first of them */
static unsigned stride_of(unsigned n_calls, unsigned *ret_first) {
        unsigned stride = is_all() ? 1 : n_calls / SAMPLE + 1;

        *ret_first = 1 + seed() % stride;
        return stride;
}

/* Of many kinds of failures each deed meets a few. */
static bool is_in_sample(size_t index, size_t n_kinds) {
        return is_all() || n_kinds < KINDS_STRIDE || (index + seed()) % KINDS_STRIDE == 0;
}

/* What a deed is made of, and how it leaves the daemon. */
struct count {
        struct before before;
        unsigned n[N_PROGRAMS][FAULTS_N_CALLS];
};

static void count_calls(const struct world *world, const struct deed *deed, struct count *ret) {
        const struct sweep sweep = { .deed = deed };

        for (int i = 0; i < 5; ++i)
                do_it_well(world, &sweep);
        ret->before = settle(world);
        for (int i = 0; i < N_PROGRAMS; ++i) {
                for (int call = 0; call < FAULTS_N_CALLS; ++call)
                        ret->n[i][call] = world->faults[i]->seen[call];
        }
        do_it_well(world, &sweep);
        expect_before(world, &sweep, &ret->before, deed->cached);
        for (int i = 0; i < N_PROGRAMS; ++i) {
                for (int call = 0; call < FAULTS_N_CALLS; ++call)
                        ret->n[i][call] = world->faults[i]->seen[call] - ret->n[i][call];
        }
}

static void sweep_call(const struct world *world, struct sweep *sweep, const struct count *count, enum program program,
                       const struct fault *fault) {
        unsigned n_calls = count->n[program][fault->call], stride, first;

        /* What a library does then differs by the call, and which it is by chance: a sample of these would be a lottery. */
        if (program == RELAY && sweep->deed->by_libraries && fault->call == FAULTS_memory && !is_all())
                return;
        sweep->program = program;
        sweep->call = fault->call;
        sweep->error = fault->error;
        stride = stride_of(n_calls, &first);
        for (unsigned n = first; n <= n_calls; n += stride) {
                sweep->n = n;
                fail_one(world, sweep, &count->before);
        }
}

static void sweep(const struct deed *deed, const struct fault *faults, size_t n_faults) {
        struct sweep all = { .deed = deed };
        struct lowered lowered;
        struct world world;
        struct count count;

        world_start(&world, deed->setting, &lowered);
        count_calls(&world, deed, &count);
        for (size_t i = 0; i < n_faults; ++i) {
                if (!is_in_sample((size_t)(deed - deeds) + i, n_faults))
                        continue;
                sweep_call(&world, &all, &count, BROKER, &faults[i]);
                if (!faults[i].broker_only)
                        sweep_call(&world, &all, &count, RELAY, &faults[i]);
        }
        /* Whatever is kept for a time is forgotten by now, or soon. */
        expect_before(&world, &all, &count.before, false);
        world_end(&world);
}

static bool is_left_out(const struct deed *deed) {
        const char *only = getenv("NETBROKER_FAULTS_DEED");

        return only && strcmp(only, deed->name) != 0;
}

START_TEST(test_memory) {
        const struct fault fault = { FAULTS_memory, ENOMEM, false };

        if (is_left_out(&deeds[_i]))
                return;
        sweep(&deeds[_i], &fault, 1);
}
END_TEST

/*
 * Errnos of each class that its manual page lists, and that say nothing of a mistake of the caller's.
 *
 * What is only for the broker, which asks again what is ready, is a lie that no kernel tells to a relay, which waits for edges: EAGAIN is followed by an edge
 * (tcp_sendmsg_locked() makes one where nothing is in flight), and an end, EPIPE or ECONNRESET, is an event of the other direction as well; a relay is
 * told by that. EAGAIN of what has been there is none for the broker either: it reads it the next time. ENOTCONN tells a server's socket of QUIC from a client's.
 */
static const struct fault faults_of_calls[] = {
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
};

START_TEST(test_calls) {
        if (is_left_out(&deeds[_i]))
                return;
        sweep(&deeds[_i], faults_of_calls, N(faults_of_calls));
}
END_TEST

/* ---- descriptors ---- */

/* Fewer descriptors than are open, then one more each time, until there are enough. */
static void sweep_limit(const struct world *world, const struct deed *deed) {
        struct sweep sweep = { .deed = deed, .call = FAULTS_socket, .error = EMFILE };
        struct before before;
        int r = -1;

        do_it_well(world, &sweep);
        before = settle(world);
        for (unsigned n = 0; r < 0 && n < LIMIT_MAX; ++n) {
                bool lifted;

                sweep.n = n;
                lower(world->lowered, world->daemon.pid, daemon_lowest_free_fd(&world->daemon) + n);
                r = deed->function(world);
                lifted = world->lowered->pid == 0;
                lift(world->lowered);
                expect(world_is_alive(world), world, &sweep, "the daemon ended");
                expect(is_answer(&sweep, r), world, &sweep, "it is refused with errno %d", -r);
                do_it_well(world, &sweep);
                expect_before(world, &sweep, &before, true);
                if (r == 0 && lifted)
                        r = -EMFILE;
        }
        ck_assert_int_eq(r, 0);
}

START_TEST(test_descriptors) {
        struct lowered lowered;
        struct world world;

        if (is_left_out(&deeds[_i]))
                return;
        world_start(&world, deeds[_i].setting, &lowered);
        sweep_limit(&world, &deeds[_i]);
        world_end(&world);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("faults");
        TCase *memory = tcase_create("memory"), *calls = tcase_create("calls");
        TCase *descriptors = tcase_create("descriptors");

        tcase_set_timeout(memory, 600);
        tcase_add_loop_test(memory, test_memory, 0, (int)N(deeds));
        suite_add_tcase(suite, memory);
        tcase_set_timeout(descriptors, 600);
        tcase_add_loop_test(descriptors, test_descriptors, 0, (int)N(deeds));
        suite_add_tcase(suite, descriptors);
        tcase_set_timeout(calls, 3600);
        tcase_add_loop_test(calls, test_calls, 0, (int)N(deeds));
        suite_add_tcase(suite, calls);
        return run_suite(suite);
}
