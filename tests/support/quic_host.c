/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/quic_host.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/random.h"

#define POLICY                                                                                                         \
        "[Tenant]\nName=%s\nUser=%u\nExplainDenials=yes\n%s"                                                           \
        "[Protocol quic]\nFamily=quic\nTLSALPN=" QUIC_HOST_ALPN "\n"                                                   \
        "TLSTrust=%s\nTLSCertificate=%s %s\nConnect=127.0.0.0/8:*\nListen=127.0.0.1:*\n%s"

#define ECHO_BUFFER 16384
#define EVENTS_MAX 64

/* ---- the daemon ---- */

void quic_world_write(const struct quic_world *world, const char *tenant, const char *limits, const char *keys) {
        char trust[CERTIFICATES_PATH_MAX], chain[CERTIFICATES_PATH_MAX], key[CERTIFICATES_PATH_MAX];
        char file[64];

        (void)snprintf(file, sizeof(file), "%s.conf", tenant);
        daemon_write_policy_file(&world->daemon, file, POLICY, tenant, (unsigned)getuid(), limits,
                                 certificates_path(&world->certificates, "root.pem", trust),
                                 certificates_path(&world->certificates, "server.chain", chain),
                                 certificates_path(&world->certificates, "server.key", key), keys);
}

/* A relay that has tried the certificates (broker/relay_check.h) may still be ending, and is none of those that are counted. */
static void wait_for_trial(const struct quic_world *world) {
        uint64_t start_ms = harness_now_ms();
        pid_t relay;

        while (quic_world_relays(world, &relay, 1) > 0)
                harness_wait_a_moment(start_ms, "the relay of the trial to be gone");
}

void quic_world_prepare(struct quic_world *world, const char *limits, const char *keys) {
        const struct certificate server = {
                .name = "server",
                .issuer = "root",
                .template = "ip_address = 127.0.0.1\ndns_name = " QUIC_HOST_NAME "\ntls_www_server\nsigning_key\n",
        };

        certificates_init(&world->certificates);
        certificates_make_authority(&world->certificates, "root", NULL);
        certificates_make(&world->certificates, &server);
        daemon_init(&world->daemon);
        quic_world_write(world, "acme", limits, keys);
        quic_world_write(world, "other", "", keys);
}

void quic_world_start(struct quic_world *world, const char *limits, const char *keys) {
        quic_world_prepare(world, limits, keys);
        daemon_start(&world->daemon, NULL);
        wait_for_trial(world);
}

void quic_world_end(struct quic_world *world) {
        daemon_stop(&world->daemon);
        daemon_deinit(&world->daemon);
        certificates_deinit(&world->certificates);
}

size_t quic_world_relays(const struct quic_world *world, pid_t *ret, size_t max) {
        return harness_children(world->daemon.pid, ret, max);
}

pid_t quic_world_relay(const struct quic_world *world) {
        return harness_only_child(world->daemon.pid);
}

/* ---- a client ---- */

/* For a child as well, in which a failed assertion would be heard by nobody. @return 0, or an errno */
static int open_host(struct quic_host *host, const char *socket_path, const char *tenant, const char *address,
                     enum nb_socket_type type) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        uint64_t base, inheriting;
        int r;

        *host = (struct quic_host){ 0 };
        options.socket_path = socket_path;
        options.tenant = tenant;
        r = nb_session_open(&options, &host->session);
        if (r < 0)
                return -r;
        host->protocol = nb_session_find_protocol(host->session, "quic");
        if (!host->protocol)
                return ENOENT;
        nb_protocol_rights(host->protocol, &base, &inheriting);
        return -nb_open(host->protocol, address, strlen(address), type, inheriting, inheriting, 0, &host->control);
}

void quic_host_open_at(struct quic_host *host, const struct quic_world *world, const char *tenant, const char *address,
                       enum nb_socket_type type) {
        int error = open_host(host, world->daemon.socket_path, tenant, address, type);

        ck_assert_msg(error == 0, "%s at %s: %s", tenant, address, strerror(error));
}

void quic_host_open(struct quic_host *host, const struct quic_world *world, const char *tenant) {
        quic_host_open_at(host, world, tenant, "0.0.0.0:0", NB_SOCKET_STREAM);
}

void quic_host_close(struct quic_host *host) {
        nb_control_free(host->control);
        nb_session_free(host->session);
        *host = (struct quic_host){ 0 };
}

struct nb_connection *quic_host_connect(const struct quic_host *host, const char *address) {
        struct nb_connection *connection = NULL;
        int r = nb_connect(host->control, address, strlen(address), &connection);

        ck_assert_msg(r == 0, "connect to %s: %s (%s)", address, strerror(-r), nb_session_last_denial(host->session));
        ck_assert_int_eq(nb_connection_is_multiplexed(connection), 1);
        return connection;
}

int quic_host_stream(struct nb_connection *connection) {
        struct nb_stream stream;
        int r = nb_stream_create(connection, 0, &stream);

        ck_assert_msg(r == 0, "a stream: %s (%s)", strerror(-r), nb_connection_end_reason(connection));
        return stream.fd;
}

/* One byte of what is echoed: any two places of it differ, by what is near them. */
static uint8_t byte_at(uint64_t seed, size_t offset) {
        uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15ULL + offset / 8;

        return (uint8_t)(next_random(&state) >> (offset % 8));
}

static size_t send_some(int fd, uint64_t seed, size_t sent, size_t length) {
        uint8_t bytes[4096];
        size_t n = length - sent < sizeof(bytes) ? length - sent : sizeof(bytes);
        ssize_t written;

        for (size_t i = 0; i < n; ++i)
                bytes[i] = byte_at(seed, sent + i);
        written = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        ck_assert_msg(written > 0 || errno == EAGAIN, "after %zu bytes: %s", sent, strerror(errno));
        return written > 0 ? (size_t)written : 0;
}

static size_t receive_some(int fd, uint64_t seed, size_t received, bool *ret_end) {
        uint8_t bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        ck_assert_msg(n >= 0 || errno == EAGAIN, "after %zu bytes back: %s", received, strerror(errno));
        *ret_end = n == 0;
        /* Not asserted byte by byte: check(3) writes down where it is at each assertion that holds, by a system call. */
        for (ssize_t i = 0; i < n; ++i)
                if (bytes[i] != byte_at(seed, received + (size_t)i))
                        ck_abort_msg("another byte came back behind %zu", received + (size_t)i);
        return n > 0 ? (size_t)n : 0;
}

/* One stream of quic_host_echo(). */
struct exchange {
        int fd; /* -1: it has ended */
        uint64_t seed;
        size_t sent, received;
};

/* @return whether it has ended */
static bool exchange_run(struct exchange *exchange, short events, size_t length) {
        bool end = false;

        if ((events & POLLOUT) && exchange->sent < length) {
                exchange->sent += send_some(exchange->fd, exchange->seed, exchange->sent, length);
                if (exchange->sent == length)
                        ck_assert_int_eq(shutdown(exchange->fd, SHUT_WR), 0);
        }
        if (events & (POLLIN | POLLHUP | POLLERR))
                exchange->received += receive_some(exchange->fd, exchange->seed, exchange->received, &end);
        if (!end)
                return false;
        ck_assert_uint_eq(exchange->received, length);
        exchange->fd = nb_fd_close(exchange->fd);
        return true;
}

void quic_host_echo(struct nb_connection *connection, size_t n_streams, size_t length, uint64_t seed) {
        NB_CLEANUP_FREE struct exchange *exchanges = calloc(n_streams, sizeof(*exchanges));
        NB_CLEANUP_FREE struct pollfd *polled = calloc(n_streams, sizeof(*polled));
        size_t n_left = n_streams;

        ck_assert(exchanges && polled && length > 0);
        for (size_t i = 0; i < n_streams; ++i)
                exchanges[i] = (struct exchange){ .fd = quic_host_stream(connection), .seed = seed + i };
        while (n_left > 0) {
                for (size_t i = 0; i < n_streams; ++i)
                        polled[i] = (struct pollfd){ .fd = exchanges[i].fd,
                                                     .events = exchanges[i].sent < length ? POLLIN | POLLOUT : POLLIN };
                ck_assert_msg(poll(polled, n_streams, HARNESS_DEADLINE_MS) > 0, "nothing moves on %zu streams", n_left);
                for (size_t i = 0; i < n_streams; ++i)
                        if (polled[i].revents != 0 && exchange_run(&exchanges[i], polled[i].revents, length))
                                n_left--;
        }
}

/* ---- a server ---- */

enum watched_kind {
        WATCHED_CONTROL,
        WATCHED_CONNECTION,
        WATCHED_STREAM,
};

struct watched {
        enum watched_kind kind;
        struct nb_connection *connection; /* owned */
        int fd;                           /* of a stream, owned */
        bool may_write;
        size_t n, n_written;
        uint8_t *buffer; /* owned; NULL: empty */
};

struct server {
        int epoll_fd;
        struct quic_host host;
        struct watched control;
};

static void need(bool holds) {
        if (!holds)
                _exit(EXIT_FAILURE);
}

static void watch(const struct server *server, int operation, int fd, uint32_t events, struct watched *watched) {
        struct epoll_event event = { .events = events, .data.ptr = watched };

        need(epoll_ctl(server->epoll_fd, operation, fd, &event) == 0);
}

/* Before it is closed: whoever sent a descriptor may have its own still open for a moment, and epoll(7) goes on watching then. */
static void unwatch(const struct server *server, int fd) {
        need(epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0);
}

static struct watched *watched_new(enum watched_kind kind) {
        struct watched *watched = calloc(1, sizeof(*watched));

        need(watched != NULL);
        watched->kind = kind;
        return watched;
}

static void take_connections(struct server *server) {
        struct nb_connection *connection;
        short events;
        int r, fd;

        while ((r = nb_accept(server->host.control, &connection)) == 0) {
                struct watched *watched = watched_new(WATCHED_CONNECTION);

                watched->connection = connection;
                fd = nb_connection_poll_fd(connection, &events);
                need(fd >= 0);
                watch(server, EPOLL_CTL_ADD, fd, EPOLLIN, watched);
        }
        need(r == -EAGAIN);
}

static void take_streams(struct server *server, struct watched *connection) {
        struct nb_stream stream;
        short events;
        int r;

        (void)nb_connection_ready(connection->connection);
        while ((r = nb_stream_accept(connection->connection, NB_STREAM_NONBLOCK, &stream)) == 0) {
                struct watched *watched = watched_new(WATCHED_STREAM);

                watched->fd = stream.fd;
                watched->may_write = stream.may_write;
                watch(server, EPOLL_CTL_ADD, stream.fd, EPOLLIN, watched);
        }
        if (r == -EAGAIN)
                return;
        unwatch(server, nb_connection_poll_fd(connection->connection, &events));
        nb_connection_free(connection->connection);
        free(connection);
}

static void stream_end(const struct server *server, struct watched *stream) {
        unwatch(server, stream->fd);
        (void)close(stream->fd);
        free(stream->buffer);
        free(stream);
}

/* At the end all was written: closing is a FIN. @return whether the stream still is */
static bool stream_read(struct watched *stream) {
        ssize_t n;

        if (!stream->buffer)
                stream->buffer = malloc(ECHO_BUFFER);
        need(stream->buffer != NULL);
        n = recv(stream->fd, stream->buffer, ECHO_BUFFER, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
                return true;
        if (n < 0)
                return false;
        stream->n = stream->may_write ? (size_t)n : 0;
        stream->n_written = 0;
        return n > 0;
}

static bool stream_write(struct watched *stream) {
        ssize_t n = send(stream->fd, stream->buffer + stream->n_written, stream->n - stream->n_written,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
                return false;
        stream->n_written += n > 0 ? (size_t)n : 0;
        return true;
}

static void stream_run(struct server *server, struct watched *stream) {
        if (stream->n == stream->n_written && !stream_read(stream)) {
                stream_end(server, stream);
                return;
        }
        if (stream->n > stream->n_written && !stream_write(stream)) {
                stream_end(server, stream);
                return;
        }
        watch(server, EPOLL_CTL_MOD, stream->fd, stream->n > stream->n_written ? EPOLLOUT : EPOLLIN, stream);
        if (stream->n > stream->n_written)
                return;
        /* Ten thousand idle streams need no buffers. */
        free(stream->buffer);
        stream->buffer = NULL;
}

_Noreturn static void serve(struct server *server) {
        short events;

        nb_control_set_flags(server->host.control, NB_NONBLOCK);
        server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        need(server->epoll_fd >= 0);
        watch(server, EPOLL_CTL_ADD, nb_control_poll_fd(server->host.control, &events), EPOLLIN, &server->control);
        for (;;) {
                struct epoll_event ready[EVENTS_MAX];
                int n = epoll_wait(server->epoll_fd, ready, EVENTS_MAX, -1);

                for (int i = 0; i < n; ++i) {
                        struct watched *watched = ready[i].data.ptr;

                        if (watched->kind == WATCHED_CONTROL)
                                take_connections(server);
                        else if (watched->kind == WATCHED_CONNECTION)
                                take_streams(server, watched);
                        else
                                stream_run(server, watched);
                }
        }
}

/* Keeps none of the test's descriptors open. @param fd  where the address is written to */
_Noreturn static void run_echo(const char *socket_path, const char *tenant, int fd, pid_t parent) {
        struct server server = { .control = { .kind = WATCHED_CONTROL } };
        const char *address;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGTERM, SIG_DFL);
        need(getppid() == parent);
        need(fd == 3 || dup3(fd, 3, O_CLOEXEC) == 3);
        need(close_range(4, ~0U, 0) == 0);
        need(open_host(&server.host, socket_path, tenant, "127.0.0.1:0", NB_SOCKET_STREAM) == 0);
        need(nb_listen(server.host.control, SOMAXCONN) == 0);
        address = nb_control_address(server.host.control);
        need(write(3, address, strlen(address)) == (ssize_t)strlen(address) && close(3) == 0);
        serve(&server);
}

void quic_echo_start(struct quic_echo *echo, const struct quic_world *world, const char *tenant) {
        pid_t parent = getpid();
        int fds[2];
        ssize_t n;

        *echo = (struct quic_echo){ 0 };
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        echo->pid = fork();
        ck_assert_int_ge(echo->pid, 0);
        if (echo->pid == 0)
                run_echo(world->daemon.socket_path, tenant, fds[1], parent);
        (void)nb_fd_close(fds[1]);
        ck_assert_int_ne(harness_poll(fds[0], POLLIN, HARNESS_DEADLINE_MS), 0);
        n = read(fds[0], echo->address, sizeof(echo->address) - 1);
        ck_assert_msg(n > 0, "the server of %s ended", tenant);
        (void)nb_fd_close(fds[0]);
}

void quic_echo_stop(struct quic_echo *echo) {
        int status;

        ck_assert_int_eq(kill(echo->pid, SIGTERM), 0);
        ck_assert_int_eq(waitpid(echo->pid, &status, 0), echo->pid);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "the server had ended: %x", status);
        echo->pid = -1;
}
