/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one operation costs in system calls, exactly: for the broker, for a host with libnetbroker beside a program with sockets of its own, and for a relay.
 *
 * Each call has its reason in a table here. Whoever adds one adds it to the table, with a reason; whoever saves one takes it out.
 *
 * Operations come one at a time: together they cost the broker less, since a turn of its loop serves many. The network is the test's own, for the
 * kernel tells the broker of the end of each socket in it.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/network.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/scene.h"
#include "tests/support/syscalls.h"

/* As many are looked at. One before them warms up, and one behind them ends the last. */
#define OPERATIONS 8u
#define ROUNDS (OPERATIONS + 2)

/* A timer may fall into a series: then it is done again. What is wrong with the code is wrong each time. */
#define SERIES 5

/* One kind of operation. */
struct operation {
        const char *anchor;
        void (*prepare)(void *data);  /* what a series of them needs; NULL: nothing */
        void (*function)(void *data); /* does it once */
        const struct syscalls_expected *expected;
};

/* Does it again and again, each time when the process sleeps. @param folder  for the trace */
static char *measure(const struct operation *operation, pid_t pid, const char *folder, void *data) {
        struct syscalls syscalls;

        if (operation->prepare)
                operation->prepare(data);
        syscalls_watch(&syscalls, pid, folder);
        for (unsigned i = 0; i < ROUNDS; ++i) {
                operation->function(data);
                syscalls_settle(&syscalls, operation->anchor, i + 1);
        }
        return syscalls_compare(&syscalls, operation->anchor, OPERATIONS, operation->expected);
}

static void expect_calls(const struct operation *operation, pid_t pid, const char *folder, void *data) {
        for (unsigned i = 1;; ++i) {
                NB_CLEANUP_FREE char *differences = measure(operation, pid, folder, data);

                if (!differences)
                        return;
                ck_assert_msg(i < SERIES, "%s", differences);
        }
}

/* ---- the broker ---- */

struct world {
        struct scene scene;
        struct peer peer;
        struct wire control;
        char server[NB_ADDRESS_LENGTH_MAX + 1]; /* where the control listens */
        uint64_t n_accepted;
        int fds[2 * SERIES * ROUNDS]; /* what is kept open, for its end costs the broker something */
        size_t n;
};

/* Watched by strace each request takes long: where the machine is slow too, the tenant would have used up its share of time. */
#define UNTHROTTLED                                                                                                    \
        "[Tenant]\n"                                                                                                   \
        "Name=acme\n"                                                                                                  \
        "User=%u\n"                                                                                                    \
        "RequestRate=infinity\n"                                                                                       \
        "[Protocol web]\n"                                                                                             \
        "Family=ip\n"                                                                                                  \
        "DataPath=direct\n" SCENE_LOOPBACK

static void world_start(struct world *world) {
        const struct daemon_options options = { .no_info = true };

        network_enter();
        *world = (struct world){ .control.fd = -1 };
        daemon_init(&world->scene.daemon);
        daemon_write_policy(&world->scene.daemon, UNTHROTTLED, (unsigned)getuid());
        scene_open(&world->scene, &options);
        world->peer = peer_listen("127.0.0.1", 2 * SERIES * ROUNDS);
}

static void world_end(struct world *world) {
        while (world->n > 0)
                (void)nb_fd_close(world->fds[--world->n]);
        (void)wire_close(&world->control);
        peer_close(&world->peer);
        scene_end(&world->scene);
}

static void keep(struct world *world, int fd) {
        ck_assert_uint_lt(world->n, sizeof(world->fds) / sizeof(world->fds[0]));
        world->fds[world->n++] = fd;
}

#define WAITS                                                                                                          \
        { "epoll_wait", 2, "the loop's; the tenant's, for tenants take turns" }

/* What is done with each socket that is handed out. */
#define HANDED_OUT                                                                                                     \
        { "getsockopt", 2, "SO_COOKIE: whose end the kernel tells of; SO_LINGER: would its close wait" },              \
                { "getsockname", 1, "by which the kernel finds it when it is revoked" },                               \
                { "epoll_ctl", 1, "onto the shelf: it is held as long as it is there, connected or not" }, {           \
                "close", 1, "the copy"                                                                                 \
        }

#define LAST_ANSWER "SIOCOUTQ: whether the last answer was read, of which the kernel alone is believed"

static void expect_of_broker(const struct operation *operation, struct world *world) {
        expect_calls(operation, world->scene.daemon.pid, world->scene.daemon.folder, world);
}

static const struct syscalls_expected connect_calls[] = {
        WAITS,
        { "recvmsg", 1, "the request" },
        { "ioctl", 1, LAST_ANSWER },
        { "socket", 1, "the bare program's" },
        { "connect", 2,
          "the bare program's, and its outcome, which on loopback is there: a turn of the loop costs four" },
        { "sendmsg", 1, "the answer with the socket" },
        HANDED_OUT,
        { 0 },
};

static void connect_once(void *data) {
        struct world *world = data;
        int fd;

        ck_assert_uint_eq(wire_connect_to(&world->control, world->peer.text, &fd), 0);
        keep(world, fd);
}

START_TEST(a_connect_costs_the_broker) {
        const struct operation operation = { "sendmsg", NULL, connect_once, connect_calls };
        struct world world;

        world_start(&world);
        world.control = wire_open_control(world.scene.web, "0.0.0.0:0");
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

static const struct syscalls_expected cycle_calls[] = {
        { "epoll_wait", 6, "as for a connect, for each of open, connect and close" },
        { "recvmsg", 3, "both requests, and the end of the control" },
        { "ioctl", 2,
          "at open: " LAST_ANSWER
          "; at the end: whether it leaves descriptors unread, for who shuts down both ways only seems gone" },
        { "socketpair", 1, "the control" },
        { "socket", 1, "the bare program's" },
        { "connect", 2, "as for a connect" },
        { "sendmsg", 2, "both answers" },
        { "getsockopt", 2, "as for a connect" },
        { "getsockname", 1, "as for a connect" },
        { "epoll_ctl", 2, "the control's, and as for a connect" },
        { "setsockopt", 1, "SO_PASSRIGHTS off: nobody sends descriptors to the control" },
        { "close", 3, "both ends of the control, and as for a connect" },
        { 0 },
};

static void cycle_once(void *data) {
        struct world *world = data;
        struct wire control = wire_open_control(world->scene.web, "0.0.0.0:0");
        int fd;

        ck_assert_uint_eq(wire_connect_to(&control, world->peer.text, &fd), 0);
        (void)wire_close(&control);
        keep(world, fd);
}

START_TEST(open_connect_and_close_cost_the_broker) {
        const struct operation operation = { "socketpair", NULL, cycle_once, cycle_calls };
        struct world world;

        world_start(&world);
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

static const struct syscalls_expected accept_calls[] = {
        WAITS,
        { "accept4", 2, "the bare program's, and that nobody else waits: a turn of the loop costs two" },
        { "sendmsg", 1, "the push with the socket" },
        HANDED_OUT,
        { 0 },
};

static void accept_once(void *data) {
        struct world *world = data;
        int other_fd = peer_connect(world->server);

        ck_assert_int_ge(other_fd, 0);
        keep(world, wire_receive_accepted(&world->control, ++world->n_accepted));
        keep(world, other_fd);
}

START_TEST(an_accept_costs_the_broker) {
        const struct operation operation = { "sendmsg", NULL, accept_once, accept_calls };
        struct world world;

        world_start(&world);
        world.control = wire_open_control(world.scene.web, "127.0.0.1:0");
        ck_assert_uint_eq(wire_listen(&world.control, SERIES * ROUNDS, world.server), 0);
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

static const struct syscalls_expected close_calls[] = {
        { "epoll_wait", 1, "the loop's: this one belongs to no tenant" },
        { "recvmmsg", 1, "the kernel's word that the socket is no more" },
        { 0 },
};

static void connect_many(void *data) {
        for (unsigned i = 0; i < ROUNDS; ++i)
                connect_once(data);
}

/* By a reset, so that the kernel forgets it at once; the other end waits in the backlog still. */
static void close_once(void *data) {
        const struct linger linger = { .l_onoff = 1, .l_linger = 0 };
        struct world *world = data;
        int fd = world->fds[--world->n];

        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        ck_assert_int_eq(close(fd), 0);
}

START_TEST(a_close_by_the_holder_costs_the_broker) {
        const struct operation operation = { "recvmmsg", connect_many, close_once, close_calls };
        struct world world;

        world_start(&world);
        world.control = wire_open_control(world.scene.web, "0.0.0.0:0");
        expect_of_broker(&operation, &world);
        world_end(&world);
}
END_TEST

/* ---- a relay ---- */

#define RELAYED                                                                                                        \
        "[Tenant]\n"                                                                                                   \
        "Name=acme\n"                                                                                                  \
        "User=%u\n"                                                                                                    \
        "RequestRate=infinity\n"                                                                                       \
        "[Protocol web]\n"                                                                                             \
        "Family=ip\n"                                                                                                  \
        "DataPath=relay\n" SCENE_LOOPBACK

struct relayed {
        struct daemon daemon;
        struct wire_session session;
        struct wire control;
        struct peer peer;
        int fd, other_fd;
        pid_t relay;
        int fds[SERIES * ROUNDS]; /* guests' ends of other connections, */
        int other_fds[SERIES * ROUNDS];
        size_t n;
};

static void relayed_start(struct relayed *relayed) {
        const struct daemon_options options = { .no_info = true };

        network_enter();
        relayed->n = 0;
        daemon_init(&relayed->daemon);
        daemon_write_policy(&relayed->daemon, RELAYED, (unsigned)getuid());
        daemon_start(&relayed->daemon, &options);
        wire_session_open(relayed->daemon.socket_path, "acme", &relayed->session);
        relayed->control = wire_open_control(&relayed->session.protocols[0], "0.0.0.0:0");
        relayed->peer = peer_listen("127.0.0.1", 1);
        ck_assert_uint_eq(wire_connect_to(&relayed->control, relayed->peer.text, &relayed->fd), 0);
        relayed->other_fd = peer_accept(&relayed->peer);
        peer_exchange(relayed->fd, relayed->other_fd);
        relayed->relay = harness_only_child(relayed->daemon.pid);
}

static void relayed_end(struct relayed *relayed) {
        nb_fds_close(relayed->fds, relayed->n);
        nb_fds_close(relayed->other_fds, relayed->n);
        (void)nb_fd_close(relayed->fd);
        (void)nb_fd_close(relayed->other_fd);
        (void)wire_close(&relayed->control);
        peer_close(&relayed->peer);
        wire_session_close(&relayed->session);
        daemon_stop(&relayed->daemon);
        daemon_deinit(&relayed->daemon);
}

#define MESSAGE_SIZE 64

static void pass(int from, int to) {
        char bytes[MESSAGE_SIZE] = { 0 };

        ck_assert_int_eq(send(from, bytes, sizeof(bytes), MSG_NOSIGNAL), MESSAGE_SIZE);
        ck_assert_int_ne(harness_poll(to, POLLIN, HARNESS_DEADLINE_MS), 0);
        ck_assert_int_eq(recv(to, bytes, sizeof(bytes), MSG_WAITALL), MESSAGE_SIZE);
}

static const struct syscalls_expected forth_calls[] = {
        { "epoll_wait", 1, "until there is something" },
        { "recvfrom", 2,
          "a look, and the taking but for the last byte: what was not sent shall be a reset (relay/pair.c)" },
        { "sendto", 1, "to the peer" },
        { 0 },
};

static void send_forth(void *data) {
        const struct relayed *relayed = data;

        pass(relayed->fd, relayed->other_fd);
}

static const struct syscalls_expected back_calls[] = {
        { "epoll_wait", 1, "until there is something" },
        { "recvfrom", 1, "from the peer" },
        { "sendto", 1, "to the guest" },
        { 0 },
};

static void send_back(void *data) {
        const struct relayed *relayed = data;

        pass(relayed->other_fd, relayed->fd);
}

/* A round trip is one of each. */
static const struct operation ways[] = {
        { "sendto", NULL, send_forth, forth_calls },
        { "sendto", NULL, send_back, back_calls },
};

START_TEST(a_message_each_way_costs_the_relay) {
        struct relayed relayed;

        relayed_start(&relayed);
        expect_calls(&ways[_i], relayed.relay, relayed.daemon.folder, &relayed);
        relayed_end(&relayed);
}
END_TEST

static void connect_relayed(void *data) {
        struct relayed *relayed = data;

        ck_assert_uint_lt(relayed->n, sizeof(relayed->fds) / sizeof(relayed->fds[0]));
        ck_assert_uint_eq(wire_connect_to(&relayed->control, relayed->peer.text, &relayed->fds[relayed->n]), 0);
        relayed->other_fds[relayed->n++] = peer_accept(&relayed->peer);
}

static const struct syscalls_expected broker_relayed_calls[] = {
        WAITS,
        { "recvmsg", 1, "the request" },
        { "ioctl", 1, LAST_ANSWER },
        { "socket", 1, "the bare program's" },
        { "connect", 2, "as for a connect" },
        { "socketpair", 1, "the guest's" },
        { "sendto", 1, "the byte that is never read (relay/pair.h)" },
        { "sendmsg", 2, "the order with the socket and a pair's end, and the answer with the other end" },
        { "getsockopt", 2, "as for a connect" },
        { "getsockname", 1, "as for a connect" },
        { "epoll_ctl", 1, "as for a connect" },
        { "setsockopt", 2, "SO_PASSRIGHTS off, for both ends" },
        { "close", 3, "the copy, and both ends" },
        { 0 },
};

static const struct syscalls_expected relay_connect_calls[] = {
        { "epoll_wait", 2, "until there is an order; and the byte that is never read is told as something to read" },
        { "recvmsg", 1, "the order" },
        { "fcntl", 2, "whether a descriptor waits, which would hold up everybody" },
        { "getsockopt", 3, "what they are" },
        { "setsockopt", 3, "TCP_NODELAY; SO_OOBINLINE and SO_PEEK_OFF of the pair" },
        { "epoll_ctl", 2, "the peer's socket, and the pair" },
        { "recvfrom", 1, "nothing but that byte is there" },
        { 0 },
};

START_TEST(a_relayed_connect_costs_the_broker) {
        const struct operation operation = { "socket", NULL, connect_relayed, broker_relayed_calls };
        struct relayed relayed;

        relayed_start(&relayed);
        expect_calls(&operation, relayed.daemon.pid, relayed.daemon.folder, &relayed);
        relayed_end(&relayed);
}
END_TEST

START_TEST(a_relayed_connect_costs_the_relay) {
        const struct operation operation = { "recvmsg", NULL, connect_relayed, relay_connect_calls };
        struct relayed relayed;

        relayed_start(&relayed);
        expect_calls(&operation, relayed.relay, relayed.daemon.folder, &relayed);
        relayed_end(&relayed);
}
END_TEST

static const struct syscalls_expected relay_close_calls[] = {
        { "epoll_wait", 1, "until the guest has closed" },
        { "recvfrom", 2, "its end; and the byte, or the guest would read a reset" },
        { "shutdown", 2, "the end for the peer; and for a guest that has shut down both directions, and not closed" },
        { "epoll_ctl", 2, "the broker may have a copy of the socket still, and of the pair's end" },
        { "close", 2, "both" },
        { "sendto", 1, "Ended" },
        { 0 },
};

static void connect_many_relayed(void *data) {
        for (unsigned i = 0; i < ROUNDS; ++i)
                connect_relayed(data);
}

static void close_relayed(void *data) {
        struct relayed *relayed = data;

        relayed->n--;
        ck_assert_int_eq(close(relayed->fds[relayed->n]), 0);
        peer_expect_end(relayed->other_fds[relayed->n]);
        ck_assert_int_eq(close(relayed->other_fds[relayed->n]), 0);
}

START_TEST(a_close_by_the_guest_costs_the_relay) {
        const struct operation operation = { "sendto", connect_many_relayed, close_relayed, relay_close_calls };
        struct relayed relayed;

        relayed_start(&relayed);
        expect_calls(&operation, relayed.relay, relayed.daemon.folder, &relayed);
        relayed_end(&relayed);
}
END_TEST

/* ---- a host, and a program with sockets of its own ---- */

#define BENCH                                                                                                          \
        "[Tenant]\n"                                                                                                   \
        "Name=bench\n"                                                                                                 \
        "User=%u\n"                                                                                                    \
        "RequestRate=infinity\n"                                                                                       \
        "[Protocol ip]\n"                                                                                              \
        "Family=ip\n"                                                                                                  \
        "DataPath=direct\n" SCENE_LOOPBACK

/* One of bench/, which does what it is told on its standard input (bench/common.h); so what is counted is what is measured. */
struct program {
        FILE *in, *out;
        pid_t pid;
        char word[64]; /* where it listens */
};

struct host {
        struct daemon daemon;
        struct peer peer;
        struct program program;
        unsigned n_accepted;
        int fds[4 * SERIES * ROUNDS];
        size_t n;
};

static void run_program(const char *const *arguments, int in, int out) {
        const char *build = getenv("BUILDDIR");
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/bench/%s", build ? build : ".", arguments[0]);
        if (dup2(in, 0) < 0 || dup2(out, 1) < 0)
                _exit(126);
        (void)execv(path, (char *const *)arguments);
        _exit(127);
}

static void program_start(struct program *program, const char *const *arguments) {
        char line[64] = "";
        int in[2], out[2];

        ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
        ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
        program->pid = fork();
        ck_assert_int_ge(program->pid, 0);
        if (program->pid == 0)
                run_program(arguments, in[0], out[1]);
        (void)close(in[0]);
        (void)close(out[1]);
        program->in = fdopen(in[1], "w");
        program->out = fdopen(out[0], "r");
        ck_assert(program->in && program->out);
        ck_assert_ptr_nonnull(fgets(line, sizeof(line), program->out));
        ck_assert_int_eq(strncmp(line, "ready ", 6), 0);
        (void)snprintf(program->word, sizeof(program->word), "%s", line + 6);
        program->word[strcspn(program->word, "\n")] = '\0';
}

/* Has it do its thing, and waits for it. */
static void program_ask(struct program *program, unsigned count) {
        char line[64];

        ck_assert_int_gt(fprintf(program->in, "0 %u\n", count), 0);
        ck_assert_int_eq(fflush(program->in), 0);
        ck_assert_ptr_nonnull(fgets(line, sizeof(line), program->out));
}

static void program_end(struct program *program) {
        ck_assert_int_eq(fclose(program->in), 0);
        ck_assert_int_eq(fclose(program->out), 0);
        ck_assert_int_eq(harness_wait_exit(program->pid), 0);
}

static void host_start(struct host *host) {
        network_enter();
        host->n = host->n_accepted = 0;
        daemon_init(&host->daemon);
        daemon_write_policy_file(&host->daemon, "bench.conf", BENCH, (unsigned)getuid());
        daemon_start(&host->daemon, NULL);
        host->peer = peer_listen("127.0.0.1", SERIES * ROUNDS);
}

static void host_end(struct host *host) {
        program_end(&host->program);
        while (host->n > 0)
                (void)close(host->fds[--host->n]);
        peer_close(&host->peer);
        daemon_stop(&host->daemon);
        daemon_deinit(&host->daemon);
}

#define ASKED                                                                                                          \
        { "read", 1, "the bench's" }, {                                                                                \
                "write", 1, "the bench's"                                                                              \
        }
#define RESET(n)                                                                                                       \
        { "setsockopt", (n), "the bench's: SO_LINGER" }, {                                                             \
                "close", (n), "the stream"                                                                             \
        }

static const struct syscalls_expected bare_connect_calls[] = {
        ASKED, { "socket", 1, "" }, { "connect", 1, "" }, RESET(1), { 0 },
};

static const struct syscalls_expected host_connect_calls[] = {
        ASKED,
        { "sendto", 1, "the request" },
        { "ppoll", 1, "until it is answered" },
        { "recvmsg", 1, "the answer with the stream" },
        RESET(1),
        { 0 },
};

static void ask_once(void *data) {
        struct host *host = data;

        program_ask(&host->program, 1);
}

START_TEST(a_connect_costs_a_program) {
        const struct operation operation = { "write", NULL, ask_once, bare_connect_calls };
        struct host host;

        host_start(&host);
        program_start(&host.program, (const char *const[]){ "direct", "connect", host.peer.text, NULL });
        expect_calls(&operation, host.program.pid, host.daemon.folder, &host);
        host_end(&host);
}
END_TEST

START_TEST(a_connect_costs_a_host) {
        const struct operation operation = { "write", NULL, ask_once, host_connect_calls };
        struct host host;

        host_start(&host);
        program_start(&host.program,
                      (const char *const[]){ "client", "connect", host.daemon.socket_path, host.peer.text, NULL });
        expect_calls(&operation, host.program.pid, host.daemon.folder, &host);
        host_end(&host);
}
END_TEST

/* As many as are accepted for one message of credit. */
#define ACCEPTS 4

static const struct syscalls_expected bare_accept_calls[] = {
        ASKED,
        { "accept4", ACCEPTS, "" },
        RESET(ACCEPTS),
        { 0 },
};

static const struct syscalls_expected host_accept_calls[] = {
        ASKED,
        { "recvmsg", ACCEPTS, "the push with the stream" },
        { "sendto", 1, "credit for as many" },
        RESET(ACCEPTS),
        { 0 },
};

static void connect_to_program(struct host *host) {
        for (unsigned i = 0; i < ACCEPTS; ++i) {
                int fd = peer_connect(host->program.word);

                ck_assert_int_ge(fd, 0);
                host->fds[host->n++] = fd;
        }
}

static void bare_accept(void *data) {
        struct host *host = data;

        connect_to_program(host);
        program_ask(&host->program, ACCEPTS);
}

/* They are asked for when they are there: the broker writes each into its audit before it is pushed, and sleeps when it has pushed it. */
static void host_accept(void *data) {
        struct host *host = data;
        uint64_t start = harness_now_ms();

        connect_to_program(host);
        host->n_accepted += ACCEPTS;
        while (daemon_count_audit(&host->daemon, (const char *const[]){ "\"accept\"", NULL }) < host->n_accepted)
                harness_wait_a_moment(start, "accepts");
        syscalls_wait_asleep(host->daemon.pid);
        program_ask(&host->program, ACCEPTS);
}

START_TEST(accepts_cost_a_program) {
        const struct operation operation = { "write", NULL, bare_accept, bare_accept_calls };
        struct host host;

        host_start(&host);
        program_start(&host.program, (const char *const[]){ "direct", "accept", NULL });
        expect_calls(&operation, host.program.pid, host.daemon.folder, &host);
        host_end(&host);
}
END_TEST

START_TEST(accepts_cost_a_host) {
        const struct operation operation = { "write", NULL, host_accept, host_accept_calls };
        struct host host;

        host_start(&host);
        program_start(&host.program, (const char *const[]){ "client", "accept", host.daemon.socket_path, NULL });
        expect_calls(&operation, host.program.pid, host.daemon.folder, &host);
        host_end(&host);
}
END_TEST

static const struct syscalls_expected bare_poll_calls[] = {
        ASKED,
        { "poll", 1, "" },
        { 0 },
};

static const struct syscalls_expected host_poll_calls[] = {
        ASKED,
        { "ppoll", 1, "" },
        { "ioctl", 1, "FIONREAD: poll_oneoff says how many bytes there are, of the one that is ready" },
        { 0 },
};

static const char *const many[] = { "1", "10", "1000" };

START_TEST(a_poll_costs_a_program) {
        const struct operation operation = { "write", NULL, ask_once, bare_poll_calls };
        struct host host;

        host_start(&host);
        program_start(&host.program, (const char *const[]){ "poll", "direct", many[_i], "1", NULL });
        expect_calls(&operation, host.program.pid, host.daemon.folder, &host);
        host_end(&host);
}
END_TEST

START_TEST(a_poll_costs_a_host) {
        const struct operation operation = { "write", NULL, ask_once, host_poll_calls };
        struct host host;

        host_start(&host);
        program_start(&host.program,
                      (const char *const[]){ "poll", "guest", host.daemon.socket_path, many[_i], "1", NULL });
        expect_calls(&operation, host.program.pid, host.daemon.folder, &host);
        host_end(&host);
}
END_TEST

static Suite *make_suite(void) {
        Suite *suite = suite_create("syscalls");
        TCase *tcase = tcase_create("broker");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_connect_costs_the_broker);
        tcase_add_test(tcase, open_connect_and_close_cost_the_broker);
        tcase_add_test(tcase, an_accept_costs_the_broker);
        tcase_add_test(tcase, a_close_by_the_holder_costs_the_broker);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("relay");
        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, a_message_each_way_costs_the_relay, 0, 2);
        tcase_add_test(tcase, a_relayed_connect_costs_the_broker);
        tcase_add_test(tcase, a_relayed_connect_costs_the_relay);
        tcase_add_test(tcase, a_close_by_the_guest_costs_the_relay);
        suite_add_tcase(suite, tcase);

        tcase = tcase_create("host");
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_connect_costs_a_program);
        tcase_add_test(tcase, a_connect_costs_a_host);
        tcase_add_test(tcase, accepts_cost_a_program);
        tcase_add_test(tcase, accepts_cost_a_host);
        tcase_add_loop_test(tcase, a_poll_costs_a_program, 0, 3);
        tcase_add_loop_test(tcase, a_poll_costs_a_host, 0, 3);
        suite_add_tcase(suite, tcase);
        return suite;
}

int main(void) {
        return run_suite(make_suite());
}
