/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/soak/party.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/socket_address.h"
#include "netbroker/client.h"
#include "tests/support/random.h"
#include "tests/support/traffic.h"

/* How long a word may take, and an answer of the broker. Datagrams may be lost, and their word with them. */
#define PATIENCE_MS 5000
#define DATAGRAM_PATIENCE_MS 100

/* What a client keeps, and what a server has at once. */
#define KEPT_MAX 12
#define SERVED_MAX 96

/* So many calls in a row that come to nothing end a client: its session may be gone. */
#define FAILURES_MAX 4

#define ADDRESS_SIZE 128

/* A way of a client, or of one who is none. */
struct way {
        const char *name;
        const char *protocol; /* NULL: a plain socket */
        enum nb_socket_type type;
        int server; /* whom it is to: an enum soak_server; -1: the echo, -2: by its name */
};

#define TO_ECHO (-1)
#define TO_NAME (-2)

static const struct way ways[SOAK_ROUTES] = {
        [SOAK_DIRECT] = { "direct", "direct", NB_SOCKET_STREAM, TO_ECHO },
        [SOAK_RELAYED] = { "relayed", "relay", NB_SOCKET_STREAM, TO_ECHO },
        [SOAK_NAMED] = { "by name", "direct", NB_SOCKET_STREAM, TO_NAME },
        [SOAK_DATAGRAM] = { "datagrams", "direct", NB_SOCKET_DGRAM, TO_ECHO },
        [SOAK_DATAGRAM_RELAYED] = { "datagrams, relayed", "relay", NB_SOCKET_DGRAM, TO_ECHO },
        [SOAK_GUESTS] = { "guest to guest", "direct", NB_SOCKET_STREAM, SOAK_SERVER_DIRECT },
        [SOAK_GUESTS_RELAYED] = { "guest to guest, relayed", "relay", NB_SOCKET_STREAM, SOAK_SERVER_RELAYED },
        [SOAK_TLS] = { "TLS", "tls", NB_SOCKET_STREAM, SOAK_SERVER_TLS },
        [SOAK_QUIC] = { "QUIC", "quic", NB_SOCKET_STREAM, SOAK_SERVER_QUIC },
        [SOAK_PEER] = { "peer", NULL, NB_SOCKET_STREAM, SOAK_SERVER_DIRECT },
        [SOAK_PEER_RELAYED] = { "peer, relayed", NULL, NB_SOCKET_STREAM, SOAK_SERVER_RELAYED },
        [SOAK_PEER_DATAGRAM] = { "peer, datagrams", NULL, NB_SOCKET_DGRAM, SOAK_SERVER_DATAGRAM },
};

/* How servers listen. */
static const struct {
        const char *protocol;
        enum nb_socket_type type;
} listenings[SOAK_SERVERS] = {
        [SOAK_SERVER_DIRECT] = { "direct", NB_SOCKET_STREAM }, [SOAK_SERVER_RELAYED] = { "relay", NB_SOCKET_STREAM },
        [SOAK_SERVER_DATAGRAM] = { "relay", NB_SOCKET_DGRAM }, [SOAK_SERVER_TLS] = { "tls", NB_SOCKET_STREAM },
        [SOAK_SERVER_QUIC] = { "quic", NB_SOCKET_STREAM },
};

const char *soak_route_name(enum soak_route route) {
        return ways[route].name;
}

/* ---- sessions ---- */

/* No call lasts for longer, whatever was killed meanwhile: who waits in vain gives up, and so comes to his end. */
static int wait_for(void *data, struct pollfd *fds, nfds_t n_fds, int64_t timeout_ns) {
        int timeout_ms = PATIENCE_MS, n;

        (void)data;
        if (timeout_ns >= 0 && timeout_ns / 1000000 < PATIENCE_MS)
                timeout_ms = (int)((timeout_ns + 999999) / 1000000);
        n = poll(fds, n_fds, timeout_ms);
        if (n < 0)
                return -errno;
        return n == 0 && timeout_ms == PATIENCE_MS ? -EINTR : n;
}

/* @return owned by the caller, or NULL */
static struct nb_session *open_session(const struct soak_party *party) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        struct nb_session *session;

        options.socket_path = party->socket_path;
        options.tenant = party->tenant;
        options.token = party->token;
        options.label = "soak";
        options.wait = wait_for;
        /* A broker that was killed comes back. */
        options.outage_ms = PATIENCE_MS;
        return nb_session_open(&options, &session) == 0 ? session : NULL;
}

/* ---- echoes ---- */

void soak_echo(void *data) {
        const struct soak_party *party = data;

        traffic_serve_echo(party->echo_fd);
}

void soak_echo_datagrams(void *data) {
        const struct soak_party *party = data;

        traffic_serve_datagrams(party->echo_udp_fd);
}

/* ---- servers ---- */

/* A stream; or a connection of many, which makes more of these. */
struct served {
        struct nb_connection *connection; /* owned; NULL: a stream */
        int fd;                           /* of a stream, owned */
};

struct server {
        struct nb_control *control;
        struct served served[SERVED_MAX];
        size_t n;
};

static void served_end(struct served *served) {
        (void)nb_connection_free(served->connection);
        if (served->fd >= 0)
                (void)traffic_close_now(served->fd);
}

static void server_drop(struct server *server, size_t i) {
        served_end(&server->served[i]);
        server->served[i] = server->served[--server->n];
}

/* Consumes both. The oldest goes where there are too many. */
static void server_add(struct server *server, struct nb_connection *connection, int fd) {
        if (server->n == SERVED_MAX)
                server_drop(server, 0);
        server->served[server->n++] = (struct served){ connection, fd };
}

/* @return whether the control goes on */
static bool accept_all(struct server *server) {
        struct nb_connection *connection;
        struct nb_stream stream;
        int r;

        (void)nb_control_ready(server->control);
        while ((r = nb_accept(server->control, &connection)) == 0) {
                if (nb_connection_is_multiplexed(connection)) {
                        server_add(server, connection, -1);
                        continue;
                }
                if (nb_stream_accept(connection, 0, &stream) == 0)
                        server_add(server, NULL, stream.fd);
                (void)nb_connection_free(connection);
        }
        return r == -EAGAIN || r == -EINTR || r == -EMFILE;
}

/* @return whether the stream goes on */
static bool echo(int fd) {
        char bytes[512];
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        return n > 0 && send(fd, bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n;
}

/* @return whether the connection goes on */
static bool take_streams(struct server *server, struct nb_connection *connection) {
        struct nb_stream stream;
        int r;

        (void)nb_connection_ready(connection);
        /* One that would push out an older one, which may be this connection, waits. */
        while (server->n < SERVED_MAX) {
                r = nb_stream_accept(connection, NB_STREAM_NONBLOCK, &stream);
                if (r < 0)
                        return r == -EAGAIN || r == -EMFILE;
                server_add(server, NULL, stream.fd);
        }
        server_drop(server, server->n - 1);
        return true;
}

static void serve_ready(struct server *server, const struct pollfd *polled, size_t n) {
        /* From the end, so that what moves into a gap has been looked at. */
        for (size_t i = n; i-- > 0;) {
                const struct served served = server->served[i];
                bool goes_on = true;

                if (polled[i].revents == 0)
                        continue;
                goes_on = served.connection ? take_streams(server, served.connection) : echo(served.fd);
                if (!goes_on)
                        server_drop(server, i);
        }
}

static size_t fill_polled(const struct server *server, struct pollfd *ret) {
        for (size_t i = 0; i < server->n; ++i) {
                const struct served *served = &server->served[i];
                short events = POLLIN;
                int fd = served->connection ? nb_connection_poll_fd(served->connection, &events) : served->fd;

                ret[i] = (struct pollfd){ .fd = fd, .events = events };
        }
        return server->n;
}

static void serve_on(struct server *server) {
        struct pollfd polled[1 + SERVED_MAX];
        bool goes_on = true;

        while (goes_on) {
                size_t n = fill_polled(server, &polled[1]);
                short events;

                polled[0].fd = nb_control_poll_fd(server->control, &events);
                polled[0].events = events;
                if (poll(polled, 1 + n, -1) < 0)
                        return;
                serve_ready(server, &polled[1], n);
                if (polled[0].revents != 0)
                        goes_on = accept_all(server);
        }
}

static uint16_t port_of(const char *address) {
        const char *colon = strrchr(address, ':');

        return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

void soak_serve(void *data) {
        const struct soak_party *party = data;
        struct nb_session *session = open_session(party);
        struct nb_protocol *protocol =
                session ? nb_session_find_protocol(session, listenings[party->server].protocol) : NULL;
        struct server server = { .n = 0 };
        uint64_t base, inheriting;
        int r;

        if (!protocol)
                return;
        nb_protocol_rights(protocol, &base, &inheriting);
        r = nb_open(protocol, "127.0.0.1:0", strlen("127.0.0.1:0"), listenings[party->server].type, inheriting,
                    inheriting, 0, &server.control);
        if (r == 0)
                r = nb_listen(server.control, SOMAXCONN);
        if (r < 0)
                return;
        nb_control_set_flags(server.control, NB_NONBLOCK);
        atomic_store(&party->shared->ports[party->tenant_index][party->server],
                     port_of(nb_control_address(server.control)));
        serve_on(&server);
}

/* ---- who calls ---- */

struct kept {
        enum soak_route route;
        struct nb_connection *connection; /* owned; NULL where the stream lives by itself */
        int fd;                           /* owned */
};

struct caller {
        const struct soak_party *party;
        struct nb_session *session; /* NULL: a plain peer */
        uint64_t random;
        struct kept kept[KEPT_MAX];
        size_t n;
        unsigned failures; /* in a row */
};

static void note(const struct caller *caller, enum soak_route route, int r) {
        struct soak_tally *tally = &caller->party->shared->routes[route];

        if (r == 0) {
                (void)atomic_fetch_add(&tally->done, 1);
                return;
        }
        (void)atomic_fetch_add(&tally->failed, 1);
        atomic_store(&tally->error, -r);
        /* A datagram's answer may come when its word has been given up. */
        if (r == -EBADMSG && ways[route].type == NB_SOCKET_STREAM)
                (void)atomic_fetch_add(&caller->party->shared->wrong, 1);
}

static void drop_kept(struct caller *caller, size_t i) {
        struct kept *kept = &caller->kept[i];

        (void)traffic_close_now(kept->fd);
        (void)nb_connection_free(kept->connection);
        *kept = caller->kept[--caller->n];
}

/* @return 0 or -errno */
static int send_word(struct caller *caller, const struct kept *kept) {
        bool is_datagram = ways[kept->route].type == NB_SOCKET_DGRAM;
        int r = traffic_exchange(kept->fd, next_random(&caller->random),
                                 is_datagram ? DATAGRAM_PATIENCE_MS : PATIENCE_MS);

        note(caller, kept->route, r);
        return r;
}

/* As any peer. @return owned by the caller, or -errno */
static int knock(enum nb_socket_type type, uint16_t port) {
        const struct sockaddr_in address = { .sin_family = AF_INET,
                                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                             .sin_port = htons(port) };
        int kind = type == NB_SOCKET_STREAM ? SOCK_STREAM : SOCK_DGRAM;
        NB_CLEANUP_FD int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);

        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;
        return nb_steal_fd(&fd);
}

/* @return whether there is somebody to call */
static bool find_target(struct caller *caller, const struct way *way, char address[static ADDRESS_SIZE]) {
        const struct soak_party *party = caller->party;
        uint16_t port = way->type == NB_SOCKET_STREAM ? party->echo_port : party->echo_udp_port;

        if (way->server >= 0)
                port = atomic_load(&party->shared->ports[next_random(&caller->random) % SOAK_TENANTS][way->server]);
        (void)snprintf(address, ADDRESS_SIZE, "%s:%u", way->server == TO_NAME ? party->echo_name : "127.0.0.1", port);
        return port != 0;
}

static int call_by_session(const struct caller *caller, const struct way *way, const char *address, struct kept *ret) {
        struct nb_protocol *protocol = nb_session_find_protocol(caller->session, way->protocol);

        if (!protocol)
                return -ENOENT;
        return traffic_call(protocol, address, way->type, &ret->connection, &ret->fd);
}

/* A call, a word, and then it is kept or not. */
static void call_once(struct caller *caller, enum soak_route route) {
        const struct way *way = &ways[route];
        struct kept made = { .route = route, .fd = -1 };
        char address[ADDRESS_SIZE];
        int r;

        if (!find_target(caller, way, address))
                return;
        if (way->protocol)
                r = call_by_session(caller, way, address, &made);
        else
                r = made.fd = knock(way->type, port_of(address));
        if (r < 0)
                note(caller, route, r);
        caller->failures = r < 0 ? caller->failures + 1 : 0;
        if (r < 0)
                return;
        if (caller->n == KEPT_MAX)
                drop_kept(caller, next_random(&caller->random) % KEPT_MAX);
        caller->kept[caller->n++] = made;
        if (send_word(caller, &made) < 0 || next_random(&caller->random) % 2 == 0)
                drop_kept(caller, caller->n - 1);
}

static void use_kept(struct caller *caller) {
        size_t i;

        if (caller->n == 0)
                return;
        i = next_random(&caller->random) % caller->n;
        if (send_word(caller, &caller->kept[i]) < 0)
                drop_kept(caller, i);
}

static void call_on(struct caller *caller, unsigned first, unsigned end) {
        while (caller->failures < FAILURES_MAX) {
                if (next_random(&caller->random) % 3 == 0)
                        use_kept(caller);
                else
                        call_once(caller, first + (unsigned)(next_random(&caller->random) % (end - first)));
        }
}

void soak_call(void *data) {
        const struct soak_party *party = data;
        struct caller caller = { .party = party, .session = open_session(party), .random = party->seed };

        if (caller.session)
                call_on(&caller, 0, SOAK_CLIENT_ROUTES);
}

void soak_knock(void *data) {
        const struct soak_party *party = data;
        struct caller caller = { .party = party, .random = party->seed };

        call_on(&caller, SOAK_CLIENT_ROUTES, SOAK_ROUTES);
}
