/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest does with QUIC, by libnetbroker.
 *
 *   quic echo SOCKET                     listens, and gives back what comes on each stream
 *   quic supply SOCKET                   listens, takes what comes, and gives as much as each stream asks for (bench/quic_server.h)
 *   quic up SOCKET ADDRESS STREAMS       a round sends that many bytes to such a server, on so many streams side by side
 *   quic down SOCKET ADDRESS STREAMS     the same, the other way
 *   quic streams SOCKET ADDRESS          a round opens that many streams, one after the other, and has a byte echoed on each
 *   quic ping SOCKET ADDRESS SIZE        a round sends SIZE bytes and waits for as many, on one stream
 *   quic touch SOCKET ADDRESS            a round connects, and closes
 *   quic hold SOCKET ADDRESS             a round makes that many connections, which stay
 *
 * SOCKET is the path of the broker's socket. The tenant and its protocol are those of the policy that bench/run writes.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/quic_server.h"

#define TENANT "bench"
#define PROTOCOL "quic"
#define CLIENT_ADDRESS "0.0.0.0:0"
#define SERVER_ADDRESS "127.0.0.1:0"
#define STREAMS_MAX 1000
#define BUFFER_SIZE ((size_t)256 * 1024)

struct transfer {
        int fd;
        uint64_t n_up;   /* bytes that are still to be sent */
        uint64_t n_down; /* and to come */
};

struct client {
        const char *address;
        size_t n_streams;
        bool up;
        size_t size;   /* of a ping, in bytes */
        int stream_fd; /* of pings; -1 before the first */
        struct nb_session *session;
        struct nb_control *control;
        struct nb_connection *connection;
        struct transfer transfers[STREAMS_MAX];
        struct pollfd polled[STREAMS_MAX];
        uint8_t *buffer;
        uint8_t *zeros;
};

static void check(const char *what, int result) {
        if (result < 0)
                bench_die(what, -result);
}

static void open_all(struct client *client, const char *socket_path, const char *address) {
        struct nb_session_options options = NB_SESSION_OPTIONS_INIT;
        struct nb_protocol *protocol;
        uint64_t base, inheriting;

        options.socket_path = socket_path;
        options.tenant = TENANT;
        check("nb_session_open", nb_session_open(&options, &client->session));
        protocol = nb_session_find_protocol(client->session, PROTOCOL);
        if (!protocol)
                bench_die("the tenant lacks protocol " PROTOCOL, 0);
        nb_protocol_rights(protocol, &base, &inheriting);
        check("nb_open", nb_open(protocol, address, strlen(address), NB_SOCKET_STREAM, inheriting, inheriting, 0,
                                 &client->control));
        client->buffer = malloc(BUFFER_SIZE);
        client->zeros = calloc(1, BUFFER_SIZE);
        if (!client->buffer || !client->zeros)
                bench_die("malloc", ENOMEM);
}

static struct nb_connection *connect_new(const struct client *client) {
        struct nb_connection *connection;

        check("nb_connect", nb_connect(client->control, client->address, strlen(client->address), &connection));
        return connection;
}

static int create_stream(struct nb_connection *connection) {
        struct nb_stream stream;

        check("nb_stream_create", nb_stream_create(connection, 0, &stream));
        return stream.fd;
}

/* ---- bytes ---- */

static void begin_transfer(const struct client *client, struct transfer *transfer, uint64_t share) {
        uint64_t header = htobe64(client->up ? 0 : share);

        transfer->fd = create_stream(client->connection);
        transfer->n_up = client->up ? share : 0;
        transfer->n_down = client->up ? 0 : share;
        if (send(transfer->fd, &header, sizeof(header), MSG_NOSIGNAL) != (ssize_t)sizeof(header))
                bench_die("send", errno);
        if (transfer->n_up == 0 && shutdown(transfer->fd, SHUT_WR) < 0)
                bench_die("shutdown", errno);
}

static void push(const struct client *client, struct transfer *transfer) {
        size_t size = transfer->n_up < BUFFER_SIZE ? (size_t)transfer->n_up : BUFFER_SIZE;
        ssize_t n = send(transfer->fd, client->zeros, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
                return;
        if (n < 0)
                bench_die("send", errno);
        transfer->n_up -= (uint64_t)n;
        if (transfer->n_up == 0 && shutdown(transfer->fd, SHUT_WR) < 0)
                bench_die("shutdown", errno);
}

/* @return whether the stream has ended */
static bool pull(const struct client *client, struct transfer *transfer) {
        ssize_t n = recv(transfer->fd, client->buffer, BUFFER_SIZE, 0);

        if (n < 0 && errno == EAGAIN)
                return false;
        if (n < 0)
                bench_die("recv", errno);
        if ((uint64_t)n > transfer->n_down || (n == 0 && transfer->n_down > 0))
                bench_die("the server sent another number of bytes", 0);
        transfer->n_down -= (uint64_t)n;
        return n == 0;
}

/* Takes a stream that has ended off the list. */
static void drop(struct client *client, size_t *n, size_t i) {
        (void)close(client->transfers[i].fd);
        client->transfers[i] = client->transfers[--*n];
}

static void transfer_all(struct client *client, size_t n) {
        while (n > 0) {
                for (size_t i = 0; i < n; ++i)
                        client->polled[i] = (struct pollfd){
                                .fd = client->transfers[i].fd,
                                .events = client->transfers[i].n_up > 0 ? POLLOUT : POLLIN,
                        };
                if (poll(client->polled, n, -1) < 0)
                        bench_die("poll", errno);
                for (size_t i = n; i > 0; --i) {
                        struct transfer *transfer = &client->transfers[i - 1];

                        if (client->polled[i - 1].revents == 0)
                                continue;
                        if (transfer->n_up > 0)
                                push(client, transfer);
                        else if (pull(client, transfer))
                                drop(client, &n, i - 1);
                }
        }
}

static void round_transfer(void *data, uint64_t count) {
        struct client *client = data;

        if (!client->connection)
                client->connection = connect_new(client);
        for (size_t i = 0; i < client->n_streams; ++i)
                begin_transfer(client, &client->transfers[i], count / client->n_streams);
        transfer_all(client, client->n_streams);
}

/* ---- the other rounds ---- */

static void round_streams(void *data, uint64_t count) {
        struct client *client = data;

        if (!client->connection)
                client->connection = connect_new(client);
        while (count-- > 0) {
                int fd = create_stream(client->connection);

                bench_block(fd);
                bench_ping(fd, 1, 1);
                (void)close(fd);
        }
}

static void round_ping(void *data, uint64_t count) {
        struct client *client = data;

        if (client->stream_fd < 0) {
                client->connection = connect_new(client);
                client->stream_fd = create_stream(client->connection);
                bench_block(client->stream_fd);
        }
        bench_ping(client->stream_fd, count, client->size);
}

static void round_touch(void *data, uint64_t count) {
        const struct client *client = data;

        while (count-- > 0)
                nb_connection_free(connect_new(client));
}

static void round_hold(void *data, uint64_t count) {
        const struct client *client = data;

        while (count-- > 0)
                (void)connect_new(client);
}

/* ---- */

/* The last argument counts streams, or bytes of a ping. */
static void parse_number(struct client *client, const char *mode, const char *text) {
        if (strcmp(mode, "ping") == 0)
                client->size = (size_t)bench_number(text, BENCH_PING_MAX);
        else
                client->n_streams = (size_t)bench_number(text, STREAMS_MAX);
}

static bench_round_function round_of(const char *mode) {
        if (strcmp(mode, "up") == 0 || strcmp(mode, "down") == 0)
                return round_transfer;
        if (strcmp(mode, "streams") == 0)
                return round_streams;
        if (strcmp(mode, "ping") == 0)
                return round_ping;
        if (strcmp(mode, "touch") == 0)
                return round_touch;
        if (strcmp(mode, "hold") == 0)
                return round_hold;
        bench_die(mode, EINVAL);
}

_Noreturn static void serve(struct client *client, const char *mode) {
        check("nb_listen", nb_listen(client->control, SOMAXCONN));
        bench_ready(nb_control_address(client->control));
        quic_server_run(client->control, strcmp(mode, "echo") == 0 ? QUIC_ECHO : QUIC_SUPPLY);
}

int main(int argc, char **argv) {
        struct client client = { .n_streams = 1, .size = 1, .stream_fd = -1 };
        bench_round_function round;

        bench_init();
        if (argc < 3 || argc > 5)
                bench_die("usage: quic echo|supply SOCKET | up|down SOCKET ADDRESS STREAMS | "
                          "ping SOCKET ADDRESS SIZE | streams|touch|hold SOCKET ADDRESS",
                          0);
        open_all(&client, argv[2], argc == 3 ? SERVER_ADDRESS : CLIENT_ADDRESS);
        if (argc == 3)
                serve(&client, argv[1]);
        client.address = argv[3];
        client.up = strcmp(argv[1], "up") == 0;
        round = round_of(argv[1]);
        if (argc == 5)
                parse_number(&client, argv[1], argv[4]);
        bench_ready(NULL);
        bench_rounds(round, &client);
        return 0;
}
