/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restarts under load: hosts that listen and connect, peers that want to be served, and streams that are there all the time, while brokers come and go. What is
 * lost is counted.
 *
 *      peers ──connect──► [listening host]     [connecting host] ──Open, Connect──► echo server ◄── [host with STREAMS live streams]
 *
 * Each party is a process of its own; they tell of themselves in memory that all share. Nobody waits for a time: the next restart comes when all have got on.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/client.h"
#include "proto/wasi.h"
#include "tests/support/keeper.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/traffic.h"

#define STREAMS 200
#define PEERS 3
#define CONNECTORS 2
#define PARTIES (1 + 1 + PEERS + CONNECTORS + 1)

/* How much everybody does between two restarts. */
#define TURNS 40

/* The slowest that a call may be in an outage, in ms (the issue's); a sanitizer's broker starts more slowly. */
#define SLOWEST_MS 2000

/* Of each way; NETBROKER_RESTARTS says another number. */
#define RESTARTS 50

/* ---- what all share ---- */

struct count {
        _Atomic uint64_t done;
        _Atomic uint64_t lost;
        _Atomic uint64_t slowest_ms;
};

struct shared {
        _Atomic bool stopping;
        _Atomic bool listening;
        _Atomic bool streaming;
        struct count accepted;  /* by a peer's count */
        struct count connected; /* by a host's */
        struct count streamed;  /* rounds over all streams */
        char address[NB_ADDRESS_LENGTH_MAX + 1];
        char why[256]; /* the first loss, in words */
};

static uint64_t now_ms(void) {
        return harness_now_ms();
}

static void note_time(struct count *count, uint64_t ms) {
        uint64_t before = atomic_load(&count->slowest_ms);

        while (ms > before && !atomic_compare_exchange_weak(&count->slowest_ms, &before, ms))
                ;
}

static void note_loss(struct shared *shared, struct count *count, const char *what, int error) {
        if (atomic_load(&shared->stopping))
                return;
        if (atomic_fetch_add(&count->lost, 1) == 0)
                (void)snprintf(shared->why, sizeof(shared->why), "%s: %s", what, strerror(error));
}

/* ---- a party ---- */

struct parties {
        struct shared *shared;
        const char *socket_path;
        char echo[NB_ADDRESS_TEXT_MAX];
        int echo_fd;
        pid_t pids[PARTIES];
        size_t n;
};

/* Ends when all are to end: its party looks why. */
static int wait_for(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        const struct shared *shared = data;
        uint64_t end = timeout_ns < 0 ? UINT64_MAX : now_ms() + (uint64_t)timeout_ns / 1000000;

        for (;;) {
                int n = poll(fds, n_fds, 20);

                if (n != 0)
                        return n < 0 ? -errno : n;
                if (atomic_load(&shared->stopping))
                        return -EINTR;
                if (now_ms() >= end)
                        return 0;
        }
}

static struct nb_session *open_session(const struct parties *parties) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        struct nb_session *session;

        options.socket_path = parties->socket_path;
        options.wait = wait_for;
        options.wait_data = parties->shared;
        if (nb_session_open(&options, &session) < 0)
                _exit(2);
        return session;
}

/* ---- parties ---- */

static void serve_echo(const struct parties *parties) {
        traffic_serve_echo(parties->echo_fd);
}

/* One word, which comes in one piece. */
static void echo_word(int fd) {
        uint64_t word;

        if (harness_poll(fd, POLLIN, HARNESS_DEADLINE_MS) != 0 &&
            recv(fd, &word, sizeof(word), 0) == (ssize_t)sizeof(word))
                (void)send(fd, &word, sizeof(word), MSG_NOSIGNAL);
}

static void listen_as_host(const struct parties *parties) {
        struct nb_session *session = open_session(parties);
        struct nb_control *control;
        int r = nb_open(nb_session_protocol(session, 0), "127.0.0.1:0", 11, NB_SOCKET_STREAM, NB_RIGHTS_CONTROL,
                        NB_RIGHTS_CONNECTION | NB_RIGHTS_STREAM, 0, &control);

        if (r == 0)
                r = nb_listen(control, 1024);
        if (r < 0)
                _exit(3);
        (void)snprintf(parties->shared->address, sizeof(parties->shared->address), "%s", nb_control_address(control));
        atomic_store(&parties->shared->listening, true);
        for (;;) {
                struct nb_connection *connection;
                struct nb_stream stream;

                r = nb_accept(control, &connection);
                if (atomic_load(&parties->shared->stopping))
                        _exit(0);
                if (r == -EINTR)
                        continue;
                if (r < 0 || nb_stream_accept(connection, 0, &stream) < 0) {
                        fprintf(stderr, "nb_accept: %s\n", strerror(-r));
                        _exit(4);
                }
                echo_word(stream.fd);
                (void)close(stream.fd);
                (void)nb_connection_free(connection);
        }
}

/* It is served, or it is lost: whatever the broker does meanwhile. */
static void connect_as_peer(const struct parties *parties) {
        struct shared *shared = parties->shared;
        struct count *count = &shared->accepted;

        for (uint64_t word = 1; !atomic_load(&shared->stopping); ++word) {
                uint64_t start = now_ms();
                int fd = peer_connect(shared->address);
                int r = fd < 0 ? -errno : traffic_exchange(fd, word, HARNESS_DEADLINE_MS);

                if (r < 0)
                        note_loss(shared, count, fd < 0 ? "a peer is refused" : "a peer is not served", -r);
                note_time(count, now_ms() - start);
                atomic_fetch_add(&count->done, 1);
                if (fd >= 0)
                        (void)traffic_close_now(fd);
        }
        _exit(0);
}

static int connect_once(struct nb_session *session, const char *address, int *ret_fd) {
        return traffic_call(nb_session_protocol(session, 0), address, NB_SOCKET_STREAM, NULL, ret_fd);
}

static void connect_as_host(const struct parties *parties) {
        struct nb_session *session = open_session(parties);
        struct shared *shared = parties->shared;
        struct count *count = &shared->connected;

        for (uint64_t word = 1; !atomic_load(&shared->stopping); ++word) {
                uint64_t start = now_ms();
                int fd = -1;
                int r = connect_once(session, parties->echo, &fd);

                note_time(count, now_ms() - start);
                if (r < 0)
                        note_loss(shared, count, "a call of a host fails", -r);
                else if (traffic_exchange(fd, word, HARNESS_DEADLINE_MS) < 0)
                        note_loss(shared, count, "a new stream is lost", EIO);
                atomic_fetch_add(&count->done, 1);
                if (fd >= 0)
                        (void)traffic_close_now(fd);
        }
        _exit(0);
}

static void stream_as_host(const struct parties *parties) {
        struct nb_session *session = open_session(parties);
        struct shared *shared = parties->shared;
        int fds[STREAMS];

        for (int i = 0; i < STREAMS; ++i) {
                if (connect_once(session, parties->echo, &fds[i]) < 0)
                        _exit(3);
        }
        atomic_store(&shared->streaming, true);
        for (uint64_t round = 1; !atomic_load(&shared->stopping); ++round) {
                for (int i = 0; i < STREAMS; ++i) {
                        int r = traffic_exchange(fds[i], round * STREAMS + (uint64_t)i, HARNESS_DEADLINE_MS);

                        if (r < 0)
                                note_loss(shared, &shared->streamed, "a live stream is lost", -r);
                }
                atomic_fetch_add(&shared->streamed.done, 1);
        }
        _exit(0);
}

/* ---- the whole ---- */

static void start_party(struct parties *parties, void (*function)(const struct parties *parties)) {
        pid_t pid = fork();

        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
                function(parties);
                _exit(0);
        }
        parties->pids[parties->n++] = pid;
}

static void wait_until(const struct parties *parties, const _Atomic bool *flag, const char *what) {
        uint64_t start = harness_now_ms();

        while (!atomic_load(flag)) {
                ck_assert_int_eq(waitpid(parties->pids[parties->n - 1], NULL, WNOHANG), 0);
                harness_wait_a_moment(start, what);
        }
}

static void start_all(struct parties *parties) {
        start_party(parties, serve_echo);
        start_party(parties, stream_as_host);
        wait_until(parties, &parties->shared->streaming, "all streams");
        start_party(parties, listen_as_host);
        wait_until(parties, &parties->shared->listening, "the listener");
        for (int i = 0; i < PEERS; ++i)
                start_party(parties, connect_as_peer);
        for (int i = 0; i < CONNECTORS; ++i)
                start_party(parties, connect_as_host);
}

static void wait_for_more(const struct count *count, uint64_t n, const char *what) {
        uint64_t end = atomic_load(&count->done) + n, start = harness_now_ms();

        while (atomic_load(&count->done) < end)
                harness_wait_a_moment(start, what);
}

/* Whatever is to be had from a broker is had again. */
static void let_all_get_on(const struct shared *shared) {
        wait_for_more(&shared->accepted, TURNS, "peers to be served");
        wait_for_more(&shared->connected, TURNS, "hosts to connect");
        wait_for_more(&shared->streamed, 1, "the streams");
}

static void stop_all(struct parties *parties) {
        atomic_store(&parties->shared->stopping, true);
        for (size_t i = 0; i < parties->n; ++i)
                (void)kill(parties->pids[i], SIGKILL);
        for (size_t i = 0; i < parties->n; ++i)
                ck_assert_int_eq(waitpid(parties->pids[i], NULL, 0), parties->pids[i]);
}

static unsigned count_restarts(void) {
        const char *text = getenv("NETBROKER_RESTARTS");

        return text ? (unsigned)strtoul(text, NULL, 10) : RESTARTS;
}

static void tell(const struct shared *shared, const char *how, unsigned n, uint64_t ms) {
        fprintf(stderr,
                "%u %s in %llu ms: %llu peers served, %llu lost, slowest %llu ms; %llu connects, %llu failed, slowest "
                "%llu ms; %llu rounds over %d streams, %llu lost%s%s\n",
                n, how, (unsigned long long)ms, (unsigned long long)shared->accepted.done,
                (unsigned long long)shared->accepted.lost, (unsigned long long)shared->accepted.slowest_ms,
                (unsigned long long)shared->connected.done, (unsigned long long)shared->connected.lost,
                (unsigned long long)shared->connected.slowest_ms, (unsigned long long)shared->streamed.done, STREAMS,
                (unsigned long long)shared->streamed.lost, shared->why[0] ? "; " : "", shared->why);
}

START_TEST(restarts_under_load) {
        bool killed = _i == 1;
        struct peer echo = peer_listen("127.0.0.1", 1024);
        unsigned n = count_restarts();
        struct restart_scene world;
        struct parties parties = { .echo_fd = echo.fd };
        uint64_t start;

        parties.shared = mmap(NULL, sizeof(*parties.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(parties.shared, MAP_FAILED);
        (void)memcpy(parties.echo, echo.text, sizeof(parties.echo));
        restart_prepare(&world);
        world.options.no_info = true;
        restart_begin(&world, SCENE_LOOPBACK);
        parties.socket_path = world.scene.daemon.socket_path;
        start_all(&parties);
        start = harness_now_ms();
        for (unsigned i = 0; i < n; ++i) {
                let_all_get_on(parties.shared);
                restart_one(&world, killed);
        }
        let_all_get_on(parties.shared);
        tell(parties.shared, killed ? "kills" : "restarts", n, harness_now_ms() - start);
        ck_assert_uint_eq(parties.shared->streamed.lost, 0);
        ck_assert_uint_eq(parties.shared->connected.lost, 0);
        ck_assert_uint_le(parties.shared->accepted.lost, killed ? n : 0);
        ck_assert_uint_le(parties.shared->connected.slowest_ms, SLOWEST_MS);
        stop_all(&parties);
        restart_end(&world);
        peer_close(&echo);
        (void)munmap(parties.shared, sizeof(*parties.shared));
}
END_TEST

static Suite *restart_load_suite(void) {
        Suite *suite = suite_create("restart_load");
        TCase *load = tcase_create("load");

        tcase_set_timeout(load, 120);
        tcase_add_loop_test(load, restarts_under_load, 0, 2);
        suite_add_tcase(suite, load);
        return suite;
}

int main(void) {
        return run_suite(restart_load_suite());
}
