/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load PROTOCOL PORT LISTEN-PORT RATE STREAMS: a host with traffic, which counts what is lost. For the system test.
 *
 * It is five threads, each with a session of its own where it has one:
 *
 *      echoer    sends back what comes, on every socket that it is given; also a plain server on PORT
 *      server    listens on LISTEN-PORT by the broker, and gives the echoer what it accepts
 *      caller    opens a control and connects to PORT by the broker, RATE / 2 times a second: a word there and back each time
 *      knocker   connects to LISTEN-PORT as any peer does, as often
 *      streams   keeps STREAMS connections, half of them made as the caller makes them and half as the knocker, and sends a word on each
 *                five times a second
 *
 * Says "ready" when all streams are there, and at SIGTERM what it has counted. What takes more than half a minute is lost.
 *
 * Exit codes: 0, whatever was lost; 1 when it could not begin; 2 for a wrong command line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netbroker/client.h"
#include "tests/support/traffic.h"

#define STREAMS_MAX 1000
#define RATE_MAX 10000
#define PATIENCE_S 30
#define ROUNDS_PER_SECOND 5

/** What one thread has done. */
struct tally {
        atomic_uint_fast64_t done;
        atomic_uint_fast64_t lost;
        atomic_uint_fast64_t slowest_us;
};

struct load {
        const char *protocol;
        uint16_t port;
        uint16_t listen_port;
        unsigned rate;
        unsigned n_streams;
        int epoll_fd; /* the echoer's */
        int plain_fd; /* of the plain server */
        atomic_bool ready;
        atomic_bool failed;
        struct tally connects;
        struct tally accepts;
        struct tally streams;
};

static uint64_t now_us(void) {
        struct timespec time;

        (void)clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void count(struct tally *tally, uint64_t begin_us, bool is_done) {
        uint64_t took = now_us() - begin_us;

        (void)atomic_fetch_add(is_done ? &tally->done : &tally->lost, 1);
        if (took > atomic_load(&tally->slowest_us))
                atomic_store(&tally->slowest_us, took);
}

/* Whoever looks into the journal for what went wrong finds it. */
static void complain(const char *what, int error) {
        struct timespec time;

        (void)clock_gettime(CLOCK_REALTIME, &time);
        fprintf(stderr, "load: %lld.%03ld %s: %s\n", (long long)time.tv_sec, time.tv_nsec / 1000000, what,
                strerror(error));
}

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in){ .sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                     .sin_port = htons(port) };
}

/* @return 0 or -ETIMEDOUT */
static int wait_for(int fd, short events) {
        struct pollfd waited = { .fd = fd, .events = events };

        return poll(&waited, 1, PATIENCE_S * 1000) == 1 ? 0 : -ETIMEDOUT;
}

static int exchange(int fd, uint64_t word) {
        return traffic_exchange(fd, word, PATIENCE_S * 1000);
}

/* ---- sessions ---- */

static struct nb_protocol *open_session(const struct load *load, struct nb_session **ret) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        struct nb_protocol *protocol;
        int r;

        options.label = "load";
        r = nb_session_open(&options, ret);
        if (r < 0) {
                complain("no session", -r);
                return NULL;
        }
        protocol = nb_session_find_protocol(*ret, load->protocol);
        if (!protocol)
                complain("no such protocol", ENOENT);
        return protocol;
}

static int take_stream(struct nb_connection *connection) {
        struct nb_stream stream;
        int r = nb_stream_create(connection, 0, &stream);

        (void)nb_connection_free(connection);
        return r < 0 ? r : stream.fd;
}

/* @return the stream, owned by the caller, or -errno */
static int call(struct nb_protocol *protocol, uint16_t port) {
        char address[32];
        int r, fd;

        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
        r = traffic_call(protocol, address, NB_SOCKET_STREAM, NULL, &fd);
        return r < 0 ? r : fd;
}

/* As any peer. @return a descriptor, owned by the caller, or -errno */
static int knock(uint16_t port) {
        NB_CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const struct sockaddr_in address = loopback(port);
        socklen_t length = sizeof(int);
        int r, error = 0;

        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
                return -errno;
        r = wait_for(fd, POLLOUT);
        if (r < 0)
                return r;
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
        return error != 0 ? -error : nb_steal_fd(&fd);
}

/* ---- the echoer ---- */

static int echo_on(const struct load *load, int fd) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        return epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* An epoll instance goes on to tell of a file as long as anybody has it open, and the number may be another's by then. */
static void stop_echo(const struct load *load, int fd) {
        (void)epoll_ctl(load->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        (void)nb_fd_close(fd);
}

static void echo(const struct load *load, int fd) {
        char buffer[4096];
        ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
                stop_echo(load, fd);
}

static void accept_plain(const struct load *load) {
        int fd = accept4(load->plain_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0 && echo_on(load, fd) < 0)
                (void)nb_fd_close(fd);
}

/* Before any thread begins, so that none finds nobody there. @return 0 or -errno */
static int listen_plain(struct load *load) {
        const struct sockaddr_in address = loopback(load->port);

        load->plain_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (load->plain_fd < 0 || setsockopt(load->plain_fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
            bind(load->plain_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(load->plain_fd, 4096) < 0)
                return -errno;
        return echo_on(load, load->plain_fd);
}

static void *run_echoer(void *data) {
        struct load *load = data;

        while (!atomic_load(&load->failed)) {
                struct epoll_event events[64];
                int n = epoll_wait(load->epoll_fd, events, 64, -1);

                for (int i = 0; i < n; ++i) {
                        if (events[i].data.fd == load->plain_fd)
                                accept_plain(load);
                        else
                                echo(load, events[i].data.fd);
                }
        }
        return NULL;
}

/* ---- the server ---- */

static int serve(struct load *load, struct nb_protocol *protocol) {
        struct nb_control *control = NULL;
        uint64_t base, inheriting;
        char address[32];
        int r;

        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", load->listen_port);
        nb_protocol_rights(protocol, &base, &inheriting);
        r = nb_open(protocol, address, strlen(address), NB_SOCKET_STREAM, inheriting, inheriting, 0, &control);
        if (r == 0)
                r = nb_listen(control, 4096);
        while (r == 0) {
                struct nb_connection *connection = NULL;
                int fd;

                r = nb_accept(control, &connection);
                if (r < 0)
                        break;
                fd = take_stream(connection);
                if (fd >= 0 && echo_on(load, fd) < 0)
                        (void)nb_fd_close(fd);
        }
        return r;
}

static void *run_server(void *data) {
        struct nb_session *session = NULL;
        struct load *load = data;
        struct nb_protocol *protocol = open_session(load, &session);

        if (protocol)
                complain("the server ended", -serve(load, protocol));
        atomic_store(&load->failed, true);
        return NULL;
}

/* ---- the caller and the knocker ---- */

/* @return a timer's descriptor, whose reads wait for the next turn; owned by the caller */
static int start_turns(unsigned per_second) {
        const long ns = 1000000000L / (long)per_second;
        const struct itimerspec turns = {
                .it_value = { .tv_sec = ns / 1000000000L, .tv_nsec = ns % 1000000000L },
                .it_interval = { .tv_sec = ns / 1000000000L, .tv_nsec = ns % 1000000000L },
        };
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

        if (fd >= 0)
                (void)timerfd_settime(fd, 0, &turns, NULL);
        return fd;
}

static void wait_for_turn(int fd) {
        uint64_t expirations;

        (void)!read(fd, &expirations, sizeof(expirations));
}

/* @param protocol  NULL: as any peer */
static void try_once(struct load *load, struct nb_protocol *protocol, struct tally *tally) {
        uint64_t begin = now_us();
        NB_CLEANUP_FD int fd = protocol ? call(protocol, load->port) : knock(load->listen_port);
        int r = fd < 0 ? fd : exchange(fd, begin);

        if (r < 0)
                complain(protocol ? "a connect was lost" : "an accept was lost", -r);
        count(tally, begin, r == 0);
}

static void try_on(struct load *load, struct nb_protocol *protocol, struct tally *tally) {
        int turns = start_turns(load->rate / 2);

        for (;;) {
                wait_for_turn(turns);
                if (atomic_load(&load->ready))
                        try_once(load, protocol, tally);
        }
}

static void *run_caller(void *data) {
        struct nb_session *session = NULL;
        struct load *load = data;
        struct nb_protocol *protocol = open_session(load, &session);

        if (protocol)
                try_on(load, protocol, &load->connects);
        atomic_store(&load->failed, true);
        return NULL;
}

static void *run_knocker(void *data) {
        struct load *load = data;

        try_on(load, NULL, &load->accepts);
        return NULL;
}

/* ---- streams ---- */

/* The first come while the server may not listen yet. */
static int knock_until_served(const struct load *load) {
        int turns = start_turns(100), fd = -ECONNREFUSED;

        for (unsigned i = 0; fd == -ECONNREFUSED && i < 100 * PATIENCE_S; ++i) {
                fd = knock(load->listen_port);
                if (fd == -ECONNREFUSED)
                        wait_for_turn(turns);
        }
        (void)nb_fd_close(turns);
        return fd;
}

static bool make_streams(const struct load *load, struct nb_protocol *protocol, int fds[static STREAMS_MAX]) {
        for (unsigned i = 0; i < load->n_streams; ++i) {
                fds[i] = i % 2 == 0 ? call(protocol, load->port) : knock_until_served(load);
                if (fds[i] < 0) {
                        complain("a stream cannot be made", -fds[i]);
                        return false;
                }
        }
        return true;
}

static void use_streams(struct load *load, int fds[static STREAMS_MAX]) {
        for (unsigned i = 0; i < load->n_streams; ++i) {
                uint64_t begin = now_us();
                int r = fds[i] >= 0 ? exchange(fds[i], begin) : 0;

                if (fds[i] < 0)
                        continue;
                count(&load->streams, begin, r == 0);
                if (r == 0)
                        continue;
                complain("a stream was lost", -r);
                fds[i] = nb_fd_close(fds[i]);
        }
}

static void *run_streams(void *data) {
        struct nb_session *session = NULL;
        struct load *load = data;
        struct nb_protocol *protocol = open_session(load, &session);
        int fds[STREAMS_MAX], turns = start_turns(ROUNDS_PER_SECOND);

        if (!protocol || !make_streams(load, protocol, fds)) {
                atomic_store(&load->failed, true);
                return NULL;
        }
        atomic_store(&load->ready, true);
        for (;;) {
                wait_for_turn(turns);
                use_streams(load, fds);
        }
}

/* ---- all together ---- */

static void print_tally(const char *what, struct tally *tally) {
        printf("%s done=%" PRIuFAST64 " lost=%" PRIuFAST64 " slowest_ms=%" PRIuFAST64 "\n", what,
               atomic_load(&tally->done), atomic_load(&tally->lost), atomic_load(&tally->slowest_us) / 1000);
}

/* @return whether SIGTERM came, and not the end of a thread */
static bool wait_for_end(struct load *load, int signal_fd) {
        bool told = false;

        for (;;) {
                struct pollfd ended = { .fd = signal_fd, .events = POLLIN };

                if (poll(&ended, 1, 100) > 0)
                        return true;
                if (atomic_load(&load->failed))
                        return false;
                if (told || !atomic_load(&load->ready))
                        continue;
                printf("ready\n");
                (void)fflush(stdout);
                told = true;
        }
}

static unsigned number(const char *text, unsigned max) {
        char *end;
        unsigned long value = strtoul(text, &end, 10);

        return *end == '\0' && value <= max ? (unsigned)value : 0;
}

static int run(struct load *load) {
        void *(*const threads[])(void *) = { run_echoer, run_server, run_streams, run_caller, run_knocker };
        sigset_t signals;
        int signal_fd, r;

        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGTERM);
        (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
        signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
        load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (signal_fd < 0 || load->epoll_fd < 0)
                return 1;
        r = listen_plain(load);
        if (r < 0) {
                complain("no plain server", -r);
                return 1;
        }
        for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); ++i) {
                pthread_t thread;

                if (pthread_create(&thread, NULL, threads[i], load) != 0)
                        return 1;
        }
        if (!wait_for_end(load, signal_fd))
                return 1;
        print_tally("connects", &load->connects);
        print_tally("accepts", &load->accepts);
        print_tally("streams", &load->streams);
        return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
        struct load load = { .epoll_fd = -1, .plain_fd = -1 };

        if (argc == 6) {
                load.protocol = argv[1];
                load.port = (uint16_t)number(argv[2], UINT16_MAX);
                load.listen_port = (uint16_t)number(argv[3], UINT16_MAX);
                load.rate = number(argv[4], RATE_MAX);
                load.n_streams = number(argv[5], STREAMS_MAX);
        }
        if (load.port == 0 || load.listen_port == 0 || load.rate < 2 || load.n_streams == 0) {
                fputs("usage: load PROTOCOL PORT LISTEN-PORT RATE STREAMS\n", stderr);
                return 2;
        }
        return run(&load);
}
