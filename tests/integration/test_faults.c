/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What broker and relay do when calls of theirs fail: each allocation, each descriptor, each class of system calls, one after the other.
 *
 * A sweep does something once to count the calls, and then again with the first of them failing, the second, and so on. Whatever came of it, the daemon
 * is the same process; a session that was there before works; what was done is done again and must succeed; and descriptors and memory are as many as before.
 *
 * NETBROKER_FAULTS=all sweeps over all calls. Without it each sweep takes a sample that differs by its first call, NETBROKER_FAULTS_SEED.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "broker/seen.h"
#include "netbroker/client.h"
#include "proto/wasi.h"
#include "tests/support/fake_dns.h"
#include "tests/support/faults.h"
#include "tests/support/harness.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* How many calls of each kind fail in a sample. */
#define SAMPLE 2

/* No deed takes as many descriptors. */
#define LIMIT_MAX 64

#define RIGHTS (NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM)

#define POLICY                                                                                                         \
        "[Tenant]\nName=acme\nUser=%u\nResolvers=%s\n"                                                                 \
        "[Protocol direct]\nFamily=ip\nDataPath=direct\nSocketTypes=stream dgram\n"                                    \
        "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\nConnect=*.example.com:*\nAddresses=local\n"                        \
        "[Protocol relayed]\nFamily=ip\nDataPath=relay\nSocketTypes=stream dgram\n"                                    \
        "Connect=127.0.0.0/8:*\nListen=127.0.0.1:*\n"                                                                  \
        "[Protocol local]\nFamily=unix\nDataPath=direct\nConnect=@nb-faults-*\nListen=@nb-faults-*\n"

enum program {
        BROKER,
        RELAY,
        N_PROGRAMS,
};

static const char *const program_names[N_PROGRAMS] = { "broker", "relay" };

/* A limit that the daemon has for a while. It waits as long as it has no descriptor for a session, so who waits lifts it. */
struct lowered {
        pid_t pid; /* 0: it is as it was */
        struct rlimit old;
};

/* Beside what the library waits for; -1: nothing. */
struct waiter {
        int peer;
        struct lowered *lowered; /* borrowed; NULL: no limit is */
};

struct world {
        struct daemon daemon;
        struct fake_dns *dns;
        struct faults *faults[N_PROGRAMS];
        struct peer peer;           /* whom guests connect to */
        struct peer udp;            /* the same with datagrams */
        struct nb_session *session; /* works whatever happens to others */
        struct nb_protocol *direct; /* borrowed from it */
        struct waiter waiter;       /* of that session */
        struct lowered *lowered;
};

/* ---- waiting, with an end ---- */

static void lift(struct lowered *lowered) {
        if (lowered->pid != 0)
                ck_assert_int_eq(prlimit(lowered->pid, RLIMIT_NOFILE, &lowered->old, NULL), 0);
        lowered->pid = 0;
}

/* How long a limit stays when nothing comes. */
static int patience(const struct waiter *waiter) {
        return waiter->lowered && waiter->lowered->pid != 0 ? 250 : HARNESS_DEADLINE_MS;
}

/* A wait that takes too long is a hang, which is what no failure may lead to. The peer's end is one of -ECONNABORTED. */
static int wait_for(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        const struct waiter *waiter = data;
        struct pollfd all[8];
        int n;

        ck_assert_uint_lt(n_fds, N(all));
        if (n_fds > 0)
                memcpy(all, fds, n_fds * sizeof(*fds));
        all[n_fds] = (struct pollfd){ .fd = waiter->peer, .events = POLLIN };
        n = poll(all, n_fds + 1, timeout_ns >= 0 ? (int)(timeout_ns / 1000000) : patience(waiter));
        if (n == 0 && timeout_ns < 0 && patience(waiter) != HARNESS_DEADLINE_MS) {
                lift(waiter->lowered);
                n = poll(all, n_fds + 1, HARNESS_DEADLINE_MS);
        }
        if (n < 0)
                return -errno;
        ck_assert_msg(n > 0 || timeout_ns >= 0, "a request is not answered");
        for (nfds_t i = 0; i < n_fds; ++i)
                fds[i].revents = all[i].revents;
        if (all[n_fds].revents == 0)
                return n;
        return n > 1 ? n - 1 : -ECONNABORTED;
}

/* Waits until something can be read. @return 0; -ECONNRESET at the end */
static int expect_word(int fd) {
        char text[8];
        ssize_t n;

        ck_assert_msg(harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0, "nothing comes, and no end");
        n = recv(fd, text, sizeof(text), 0);
        return n == 4 && memcmp(text, "word", 4) == 0 ? 0 : -ECONNRESET;
}

static int say_word(int from, int to) {
        if (send(from, "word", 4, MSG_NOSIGNAL) != 4)
                return -ECONNRESET;
        return expect_word(to);
}

static int exchange(int one, int other) {
        int r = say_word(one, other);

        return r < 0 ? r : say_word(other, one);
}

/* ---- what is done ---- */

static void free_session(struct nb_session **session) {
        *session = nb_session_free(*session);
}

static void free_control(struct nb_control **control) {
        *control = nb_control_free(*control);
}

static void free_connection(struct nb_connection **connection) {
        *connection = nb_connection_free(*connection);
}

#define CLEANUP(what) __attribute__((cleanup(free_##what)))

static int open_session(const struct world *world, struct waiter *waiter, struct nb_session **ret) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;

        waiter->lowered = world->lowered;
        options.socket_path = world->daemon.socket_path;
        options.wait = wait_for;
        options.wait_data = waiter;
        options.outage_ms = -1;
        return nb_session_open(&options, ret);
}

static int open_control(struct nb_protocol *protocol, const char *address, enum nb_socket_type type,
                        struct nb_control **ret) {
        return nb_open(protocol, address, strlen(address), type, NB_RIGHTS_CONTROL, RIGHTS, 0, ret);
}

/* Closes whoever connected to the peer and was not expected any more. */
static void forget_strangers(const struct peer *peer) {
        while (harness_poll(peer->fd, POLLIN, 0) != 0)
                (void)close(peer_accept(peer));
}

/* Takes the connection's other end at the peer. @return it; -ECONNRESET if it has gone */
static int take_stream(struct nb_connection *connection, struct nb_stream *ret) {
        return nb_stream_create(connection, 0, ret);
}

/* Connects to the peer, by the address given, and talks. */
static int connect_stream(const struct world *world, struct nb_protocol *protocol, const char *address) {
        CLEANUP(control) struct nb_control *control = NULL;
        CLEANUP(connection) struct nb_connection *connection = NULL;
        NB_CLEANUP_FD int other = -1;
        struct nb_stream stream;
        int r;

        forget_strangers(&world->peer);
        r = open_control(protocol, "0.0.0.0:0", NB_SOCKET_STREAM, &control);
        if (r < 0)
                return r;
        r = nb_connect(control, address, strlen(address), &connection);
        if (r < 0)
                return r;
        r = take_stream(connection, &stream);
        if (r < 0)
                return r;
        other = peer_accept(&world->peer);
        r = exchange(stream.fd, other);
        (void)close(stream.fd);
        return r;
}

/* Sends a datagram to the peer and gets one back. */
static int connect_datagrams(const struct world *world, struct nb_protocol *protocol) {
        CLEANUP(control) struct nb_control *control = NULL;
        CLEANUP(connection) struct nb_connection *connection = NULL;
        struct nb_stream stream;
        int r = open_control(protocol, "0.0.0.0:0", NB_SOCKET_DGRAM, &control);

        if (r < 0)
                return r;
        r = nb_connect(control, world->udp.text, strlen(world->udp.text), &connection);
        if (r < 0)
                return r;
        r = take_stream(connection, &stream);
        if (r < 0)
                return r;
        (void)send(stream.fd, "word", 4, MSG_NOSIGNAL);
        (void)close(stream.fd);
        return 0;
}

/* One connection that comes. @return -ECONNABORTED if the daemon has dropped the peer, which may come again */
static int accept_one(struct nb_control *control, struct waiter *waiter, int peer) {
        CLEANUP(connection) struct nb_connection *connection = NULL;
        struct nb_stream stream;
        int r;

        waiter->peer = peer;
        r = nb_accept(control, &connection);
        waiter->peer = -1;
        if (r < 0)
                return r;
        r = take_stream(connection, &stream);
        if (r < 0)
                return r;
        r = exchange(stream.fd, peer);
        (void)close(stream.fd);
        return r;
}

static int accept_stream(struct nb_protocol *protocol, struct waiter *waiter) {
        CLEANUP(control) struct nb_control *control = NULL;
        int r = open_control(protocol, "127.0.0.1:0", NB_SOCKET_STREAM, &control);

        if (r < 0)
                return r;
        r = nb_listen(control, 8);
        if (r < 0)
                return r;
        for (int i = 0; i < 2; ++i) {
                NB_CLEANUP_FD int peer = peer_connect(nb_control_address(control));

                ck_assert_int_ge(peer, 0);
                r = accept_one(control, waiter, peer);
                if (r != -ECONNABORTED && r != -ECONNRESET)
                        return r;
        }
        return r;
}

static int use_unix(struct nb_protocol *protocol, struct waiter *waiter) {
        CLEANUP(control) struct nb_control *listener = NULL;
        NB_CLEANUP_FD int peer = -1;
        char name[64];
        int r;

        (void)snprintf(name, sizeof(name), "@nb-faults-%d", (int)getpid());
        r = open_control(protocol, name, NB_SOCKET_STREAM, &listener);
        if (r < 0)
                return r;
        r = nb_listen(listener, 8);
        if (r < 0)
                return r;
        peer = peer_unix_connect(NULL, name);
        ck_assert_int_ge(peer, 0);
        return accept_one(listener, waiter, peer);
}

static int do_session(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        struct nb_protocol *direct, *narrow = NULL;
        uint64_t base, inheriting;
        int r = open_session(world, &waiter, &session);

        if (r < 0)
                return r;
        direct = nb_session_find_protocol(session, "direct");
        nb_protocol_rights(direct, &base, &inheriting);
        r = nb_protocol_restrict(direct, "Connect=127.0.0.1:*\n", 20, base, inheriting, &narrow);
        if (r < 0)
                return r;
        r = connect_stream(world, narrow, world->peer.text);
        (void)nb_protocol_unref(narrow);
        return r;
}

static int do_direct(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        struct nb_protocol *protocol;
        int r = open_session(world, &waiter, &session);

        if (r < 0)
                return r;
        protocol = nb_session_find_protocol(session, "direct");
        r = connect_stream(world, protocol, world->peer.text);
        if (r < 0)
                return r;
        r = connect_datagrams(world, protocol);
        return r < 0 ? r : accept_stream(protocol, &waiter);
}

static int do_relayed(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        struct nb_protocol *protocol;
        int r = open_session(world, &waiter, &session);

        if (r < 0)
                return r;
        protocol = nb_session_find_protocol(session, "relayed");
        r = connect_stream(world, protocol, world->peer.text);
        if (r < 0)
                return r;
        r = connect_datagrams(world, protocol);
        return r < 0 ? r : accept_stream(protocol, &waiter);
}

static int do_unix(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        int r = open_session(world, &waiter, &session);

        return r < 0 ? r : use_unix(nb_session_find_protocol(session, "local"), &waiter);
}

static int do_name(const struct world *world) {
        CLEANUP(session) struct nb_session *session = NULL;
        struct waiter waiter = { -1, NULL };
        char name[64];
        int r = open_session(world, &waiter, &session);

        if (r < 0)
                return r;
        /* Asked anew each time. */
        (void)snprintf(name, sizeof(name), "fresh.example.com:%u", peer_port(world->peer.text));
        return connect_stream(world, nb_session_find_protocol(session, "direct"), name);
}

struct deed {
        const char *name;
        int (*function)(const struct world *world); /* @return 0, or what it was refused with */
        bool relayed;                               /* whether the relay has a part in it */
        bool cached;                                /* whether something is kept of it for a time */
};

static const struct deed deeds[] = {
        { "session", do_session, false, false }, { "direct", do_direct, false, false },
        { "unix", do_unix, false, false },       { "name", do_name, false, true },
        { "relayed", do_relayed, true, false },
};

/* ---- sweeps ---- */

static const struct fake_dns_name zone[] = { { .name = "fresh.example.com", .ipv4 = "127.0.0.1", .ttl = 0 } };

/* The daemon notes what a tenant asks for, up to a bound (broker/seen.h): once it is reached, nothing adds to its memory. */
static void fill_notes(struct nb_protocol *protocol) {
        CLEANUP(control) struct nb_control *control = NULL;
        CLEANUP(connection) struct nb_connection *connection = NULL;
        char address[32];

        ck_assert_int_eq(open_control(protocol, "0.0.0.0:0", NB_SOCKET_STREAM, &control), 0);
        for (unsigned i = 1; i <= SEEN_MAX; ++i) {
                int n = snprintf(address, sizeof(address), "192.0.2.1:%u", i);

                ck_assert_int_lt(nb_connect(control, address, (size_t)n, &connection), 0);
        }
}

static void world_start(struct world *world, struct lowered *lowered) {
        world->waiter.peer = -1;
        world->lowered = lowered;
        lowered->pid = 0;
        world->dns = fake_dns_start(zone, N(zone));
        world->peer = peer_listen("127.0.0.1", 16);
        world->udp = peer_udp("127.0.0.1");
        daemon_init(&world->daemon);
        for (size_t i = 0; i < N_PROGRAMS; ++i)
                world->faults[i] = faults_new(world->daemon.folder, program_names[i]);
        daemon_write_policy(&world->daemon, POLICY, (unsigned)getuid(), fake_dns_address(world->dns));
        faults_preload_children(world->faults[BROKER], world->daemon.folder, program_names[RELAY]);
        faults_preload(world->daemon.folder, program_names[BROKER]);
        daemon_start(&world->daemon, NULL);
        faults_preload(NULL, NULL);
        ck_assert_int_eq(open_session(world, &world->waiter, &world->session), 0);
        world->direct = nb_session_find_protocol(world->session, "direct");
        fill_notes(world->direct);
}

static void world_end(struct world *world) {
        world->session = nb_session_free(world->session);
        daemon_stop(&world->daemon);
        for (size_t i = 0; i < N_PROGRAMS; ++i)
                world->faults[i] = faults_free(world->faults[i], world->daemon.folder, program_names[i]);
        daemon_deinit(&world->daemon);
        peer_close(&world->udp);
        peer_close(&world->peer);
        world->dns = fake_dns_stop(world->dns);
}

/* A call, and what it fails with. */
struct fault {
        enum faults_call call;
        int error;
};

/* What a sweep is about, for messages. */
struct sweep {
        const struct deed *deed;
        enum program program;
        enum faults_call call;
        int error;
        unsigned n;
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
                     program_names[sweep->program], sweep->n, sweep->error, text);
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

static bool is_alive(const struct world *world) {
        return harness_poll(world->daemon.pidfd, POLLIN, 0) == 0;
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
                return r == -sweep->error;
        }
}

/* A relay that cannot go on ends; it does not crash. */
static bool has_crashed(const struct world *world) {
        NB_CLEANUP_FREE char *log = daemon_read(world->daemon.stderr_path);

        return strstr(log, "was killed by SIG") != NULL;
}

static void fail_one(const struct world *world, const struct sweep *sweep, const struct before *before) {
        struct faults *faults = world->faults[sweep->program];
        int r;

        faults_arm(faults, sweep->call, sweep->n, sweep->error);
        r = sweep->deed->function(world);
        if (!faults_disarm(faults))
                return;
        if (getenv("NETBROKER_FAULTS_SHOW"))
                fprintf(stderr, "%s %s %s %u errno %d: %d\n", sweep->deed->name, program_names[sweep->program],
                        faults_call_name(sweep->call), sweep->n, sweep->error, r);
        expect(is_alive(world), world, sweep, "the daemon ended");
        expect(is_answer(sweep, r), world, sweep, "it is refused with errno %d", -r);
        do_it_well(world, sweep);
        expect_before(world, sweep, before, sweep->deed->cached);
        expect(!has_crashed(world), world, sweep, "a relay crashed");
}

/* How far apart the calls are that fail, of so many. @param ret_first  the first of them */
static unsigned stride_of(unsigned n_calls, unsigned *ret_first) {
        const char *seed = getenv("NETBROKER_FAULTS_SEED"), *all = getenv("NETBROKER_FAULTS");
        unsigned stride = n_calls / SAMPLE + 1;

        if (all && strcmp(all, "all") == 0)
                stride = 1;
        *ret_first = 1 + (seed ? (unsigned)strtoul(seed, NULL, 10) : 0) % stride;
        return stride;
}

/* What a deed is made of, and how it leaves the daemon. */
struct count {
        struct before before;
        unsigned n[N_PROGRAMS][FAULTS_N_CALLS];
};

static void count_calls(const struct world *world, const struct deed *deed, struct count *ret) {
        const struct sweep sweep = { deed, BROKER, FAULTS_memory, 0, 0 };

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

static void sweep_call(const struct world *world, const struct deed *deed, const struct count *count,
                       enum program program, const struct fault *fault) {
        struct sweep sweep = { deed, program, fault->call, fault->error, 0 };
        unsigned n_calls = count->n[program][fault->call], stride, first;

        stride = stride_of(n_calls, &first);
        for (unsigned n = first; n <= n_calls; n += stride) {
                sweep.n = n;
                fail_one(world, &sweep, &count->before);
        }
}

static void sweep(const struct deed *deed, const struct fault *faults, size_t n_faults) {
        struct sweep end = { deed, BROKER, FAULTS_memory, 0, 0 };
        struct lowered lowered;
        struct world world;
        struct count count;

        world_start(&world, &lowered);
        count_calls(&world, deed, &count);
        for (size_t i = 0; i < n_faults; ++i) {
                sweep_call(&world, deed, &count, BROKER, &faults[i]);
                sweep_call(&world, deed, &count, RELAY, &faults[i]);
        }
        /* Whatever is kept for a time is forgotten by now, or soon. */
        expect_before(&world, &end, &count.before, false);
        world_end(&world);
}

START_TEST(test_memory) {
        const struct fault fault = { FAULTS_memory, ENOMEM };

        sweep(&deeds[_i], &fault, 1);
}
END_TEST

/* Errnos of each class that its manual page lists, and that say nothing of a mistake of the caller's. EAGAIN
 * of a socket that has something is none: who watches for edges relies on it. Nor EPIPE of
 * one whose other end is there: the other direction is asked for that. */
static const struct fault faults_of_calls[] = {
        { FAULTS_socket, EMFILE },
        { FAULTS_socket, ENOBUFS },
        { FAULTS_socketpair, ENFILE },
        { FAULTS_socketpair, ENOMEM },
        { FAULTS_bind, EADDRINUSE },
        { FAULTS_bind, ENOMEM },
        { FAULTS_listen, EADDRINUSE },
        { FAULTS_accept4, EMFILE },
        { FAULTS_accept4, ENOBUFS },
        { FAULTS_accept4, ECONNABORTED },
        { FAULTS_connect, EADDRNOTAVAIL },
        { FAULTS_connect, ENETUNREACH },
        { FAULTS_connect, EAGAIN },
        { FAULTS_dup, EMFILE },
        { FAULTS_epoll_create1, EMFILE },
        { FAULTS_epoll_create1, ENOMEM },
        { FAULTS_epoll_ctl, ENOMEM },
        { FAULTS_epoll_ctl, ENOSPC },
        { FAULTS_epoll_wait, EINTR },
        { FAULTS_eventfd, EMFILE },
        { FAULTS_fcntl, EMFILE },
        { FAULTS_fork, EAGAIN },
        { FAULTS_getpeername, ENOTCONN },
        { FAULTS_getpeername, ENOBUFS },
        { FAULTS_getsockname, ENOBUFS },

        { FAULTS_ioctl, ENOTTY },
        { FAULTS_ioctl, ENOMEM },
        { FAULTS_memfd_create, EMFILE },
        { FAULTS_mmap, ENOMEM },
        { FAULTS_open, EMFILE },
        { FAULTS_open, ENOMEM },
        { FAULTS_pipe2, ENFILE },
        { FAULTS_read, EINTR },
        { FAULTS_read, EIO },
        { FAULTS_recv, EINTR },
        { FAULTS_recv, ECONNRESET },
        { FAULTS_recv, ENOMEM },
        { FAULTS_recvfrom, ENOMEM },
        { FAULTS_recvmmsg, ENOMEM },
        { FAULTS_recvmsg, EINTR },
        { FAULTS_recvmsg, ENOMEM },
        { FAULTS_recvmsg, ECONNRESET },
        { FAULTS_send, EAGAIN },
        { FAULTS_send, ENOBUFS },
        { FAULTS_sendmmsg, ENOBUFS },
        { FAULTS_sendmsg, EINTR },
        { FAULTS_sendmsg, EAGAIN },
        { FAULTS_sendmsg, ENOBUFS },
        { FAULTS_sendmsg, ETOOMANYREFS },
        { FAULTS_sendmsg, EPIPE },
        { FAULTS_sendto, EAGAIN },
        { FAULTS_sendto, ENOBUFS },
        { FAULTS_sendto, EPERM },
        { FAULTS_setsockopt, ENOBUFS },

        { FAULTS_shutdown, ENOTCONN },
        { FAULTS_splice, ENOMEM },
        { FAULTS_timerfd_create, EMFILE },
        { FAULTS_write, EAGAIN },
        { FAULTS_write, ENOSPC },
        { FAULTS_writev, EAGAIN },
};

START_TEST(test_calls) {
        sweep(&deeds[_i], faults_of_calls, N(faults_of_calls));
}
END_TEST

/* ---- descriptors ---- */

static void lower(struct lowered *lowered, pid_t pid, rlim_t max) {
        struct rlimit new;

        ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, NULL, &lowered->old), 0);
        new = (struct rlimit){ .rlim_cur = max, .rlim_max = lowered->old.rlim_max };
        ck_assert_int_eq(prlimit(pid, RLIMIT_NOFILE, &new, NULL), 0);
        lowered->pid = pid;
}

/* Fewer descriptors than are open, then one more each time, until there are enough. */
static void sweep_limit(const struct world *world, const struct deed *deed) {
        struct sweep sweep = { deed, BROKER, FAULTS_socket, EMFILE, 0 };
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
                expect(is_alive(world), world, &sweep, "the daemon ended");
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

        world_start(&world, &lowered);
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
