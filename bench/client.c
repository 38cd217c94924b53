/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same work through the broker, by libnetbroker.
 *
 *   client connect SOCKET ADDRESS       a round connects on one control that stays open, takes the stream, closes it
 *   client median SOCKET ADDRESS        the same, and the answer is as many times the median as there were connects
 *   client cycle SOCKET ADDRESS         the same with a control of its own for each: open, connect, take, close all
 *   client fresh SOCKET ADDRESS         the same, so that the library cannot use a control that it kept
 *   client accept SOCKET                a round accepts, takes the stream, and closes
 *   client stream SOCKET ADDRESS CHUNK  a round sends that many bytes in writes of CHUNK
 *   client ping SOCKET ADDRESS SIZE     a round sends SIZE bytes and waits for as many, on one connection
 *   client touch SOCKET ADDRESS         a round connects, has a byte echoed, and closes
 *   client discard SOCKET               listens, and answers each upload (bench_upload()) with one byte, a connection after the other
 *   client echo SOCKET                  listens, and gives back what comes on any number of connections
 *   client datagrams SOCKET             the same for datagrams, with a connection for each peer
 *   client session SOCKET               a round opens sessions and closes them
 *   client hold SOCKET ADDRESS          opens and keeps: see hold()
 *
 * SOCKET is the path of the broker's socket. The tenant and its protocol are those of the policy that bench/run writes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/echo.h"
#include "bench/library.h"

#define CLIENT_ADDRESS_6 "[::]:0"
#define HOLD_MAX 100000

struct client {
        const char *socket_path;
        const char *address;
        size_t chunk;
        int stream_fd; /* -1 between rounds */
        struct nb_session *session;
        struct nb_protocol *protocol;
        struct nb_control *control;
};

static void round_connect(void *data, uint64_t count) {
        struct client *client = data;

        while (count-- > 0)
                bench_reset(bench_connect_stream(client->control, client->address));
}

static int compare(const void *a, const void *b) {
        uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

        return (left > right) - (left < right);
}

/* What one connect takes in the middle of all, which a few that had to wait do not change. */
static uint64_t median_connect(struct client *client, uint64_t count) {
        uint64_t *times = reallocarray(NULL, count, sizeof(*times)), median;

        if (!times)
                bench_die("reallocarray", ENOMEM);
        for (uint64_t i = 0; i < count; ++i) {
                uint64_t start = bench_now();

                bench_reset(bench_connect_stream(client->control, client->address));
                times[i] = bench_now() - start;
        }
        qsort(times, count, sizeof(*times), compare);
        median = times[count / 2];
        free(times);
        return median;
}

static void medians(struct client *client) {
        char line[64];

        bench_ready(NULL);
        while (fgets(line, sizeof(line), stdin)) {
                unsigned warm, count;

                if (sscanf(line, "%6u %6u", &warm, &count) != 2 || count == 0)
                        bench_die(line, EINVAL);
                round_connect(client, warm);
                printf("%" PRIu64 "\n", median_connect(client, count) * count);
                fflush(stdout);
        }
}

static void round_cycle(void *data, uint64_t count) {
        struct client *client = data;

        while (count-- > 0) {
                struct nb_control *control = bench_control(client->protocol, BENCH_CLIENT_ADDRESS, NB_SOCKET_STREAM);

                bench_reset(bench_connect_stream(control, client->address));
                nb_control_free(control);
        }
}

static void round_accept(void *data, uint64_t count) {
        struct client *client = data;

        while (count-- > 0) {
                struct nb_connection *connection;

                bench_check("nb_accept", nb_accept(client->control, &connection));
                bench_reset(bench_stream(connection));
        }
}

/* Of the two calls that make a round, the first connects and the second closes, so that neither is timed. */
static void round_stream(void *data, uint64_t count) {
        struct client *client = data;
        bool first = client->stream_fd < 0;

        if (first)
                client->stream_fd = bench_connect_stream(client->control, client->address);
        bench_upload(client->stream_fd, count, client->chunk);
        if (first)
                return;
        bench_reset(client->stream_fd);
        client->stream_fd = -1;
}

static void round_ping(void *data, uint64_t count) {
        struct client *client = data;

        if (client->stream_fd < 0) {
                client->stream_fd = bench_connect_stream(client->control, client->address);
                bench_block(client->stream_fd);
        }
        bench_ping(client->stream_fd, count, client->chunk);
}

static void round_touch(void *data, uint64_t count) {
        struct client *client = data;

        while (count-- > 0) {
                int fd = bench_connect_stream(client->control, client->address);

                bench_block(fd);
                bench_ping(fd, 1, 1);
                (void)close(fd);
        }
}

/* For bench_echo(). */
static int accept_next(void *data) {
        struct client *client = data;
        struct nb_connection *connection;
        int r = nb_accept(client->control, &connection);

        if (r == -EAGAIN)
                return -1;
        bench_check("nb_accept", r);
        return bench_stream(connection);
}

_Noreturn static void serve_echo(struct client *client) {
        short events;

        nb_control_set_flags(client->control, NB_NONBLOCK);
        bench_echo(nb_control_poll_fd(client->control, &events), accept_next, client);
}

_Noreturn static void serve_discard(struct client *client) {
        for (;;) {
                struct nb_connection *connection;
                int fd;

                bench_check("nb_accept", nb_accept(client->control, &connection));
                fd = bench_stream(connection);
                bench_block(fd);
                bench_discard(fd);
        }
}

static void round_session(void *data, uint64_t count) {
        struct client *client = data;

        while (count-- > 0) {
                struct nb_protocol *protocol;

                nb_session_free(bench_session(client->socket_path, &protocol));
        }
}

/* What is held, for as long as the process lives. */
struct held_session {
        struct nb_session *session;
        struct nb_protocol *protocol;
        struct nb_control **controls;
        size_t n_controls;
        size_t n_connections;
};

struct holder {
        const char *socket_path;
        const char *address;
        struct held_session *sessions;
        size_t n_sessions;
};

static void *grow(void *array, size_t n, size_t size) {
        void *grown = reallocarray(array, n, size);

        if (!grown)
                bench_die("reallocarray", ENOMEM);
        return grown;
}

static void hold_session(struct holder *holder, size_t index, size_t n_controls, size_t n_connections) {
        struct held_session *held = &holder->sessions[index];

        held->controls = grow(held->controls, n_controls + 1, sizeof(struct nb_control *));
        for (; held->n_controls < n_controls; ++held->n_controls)
                held->controls[held->n_controls] =
                        bench_control(held->protocol, BENCH_CLIENT_ADDRESS, NB_SOCKET_STREAM);
        for (; held->n_connections < n_connections; ++held->n_connections)
                (void)bench_connect_stream(held->controls[0], holder->address);
}

/*
 * Each line names how many sessions there shall be, how many controls and how many connections each of them has.
 * Nothing is ever given back; the answer is the nanoseconds that the growth took.
 */
static void hold(struct holder *holder) {
        char line[64];

        while (fgets(line, sizeof(line), stdin)) {
                unsigned n_sessions, n_controls, n_connections;
                uint64_t start;

                if (sscanf(line, "%6u %6u %6u", &n_sessions, &n_controls, &n_connections) != 3 ||
                    n_sessions > HOLD_MAX || (n_connections > 0 && n_controls == 0))
                        bench_die(line, EINVAL);
                start = bench_now();
                if (n_sessions > holder->n_sessions)
                        holder->sessions = grow(holder->sessions, n_sessions, sizeof(struct held_session));
                for (; holder->n_sessions < n_sessions; ++holder->n_sessions) {
                        struct held_session *held = &holder->sessions[holder->n_sessions];

                        *held = (struct held_session){ 0 };
                        held->session = bench_session(holder->socket_path, &held->protocol);
                }
                for (size_t i = 0; i < holder->n_sessions; ++i)
                        hold_session(holder, i, n_controls, n_connections);
                printf("%" PRIu64 "\n", bench_now() - start);
                fflush(stdout);
        }
}

static void main_hold(const char *socket_path, const char *address) {
        struct holder holder = { .socket_path = socket_path, .address = address };

        bench_ready(NULL);
        hold(&holder);
}

static void main_accept(struct client *client) {
        bench_check("nb_listen", nb_listen(client->control, SOMAXCONN));
        bench_ready(nb_control_address(client->control));
        bench_rounds(round_accept, client);
}

_Noreturn static void main_serve(struct client *client, bool echoes) {
        bench_check("nb_listen", nb_listen(client->control, SOMAXCONN));
        bench_ready(nb_control_address(client->control));
        if (echoes)
                serve_echo(client);
        serve_discard(client);
}

static void run(struct client *client, bench_round_function round) {
        bench_ready(NULL);
        bench_rounds(round, client);
}

/* The library keeps one freed control for an open that asks for the same. Here that is one that nobody asks for. */
static void run_fresh(struct client *client) {
        nb_control_free(bench_control(client->protocol, CLIENT_ADDRESS_6, NB_SOCKET_STREAM));
        run(client, round_cycle);
}

static bool is_server(const char *mode) {
        return strcmp(mode, "accept") == 0 || strcmp(mode, "discard") == 0 || strcmp(mode, "echo") == 0 ||
               strcmp(mode, "datagrams") == 0;
}

static void open_all(struct client *client, const char *socket_path, const char *mode) {
        enum nb_socket_type type = strcmp(mode, "datagrams") == 0 ? NB_SOCKET_DGRAM : NB_SOCKET_STREAM;

        client->socket_path = socket_path;
        client->session = bench_session(socket_path, &client->protocol);
        client->control =
                bench_control(client->protocol, is_server(mode) ? BENCH_SERVER_ADDRESS : BENCH_CLIENT_ADDRESS, type);
}

static void close_all(struct client *client) {
        nb_control_free(client->control);
        nb_session_free(client->session);
}

int main(int argc, char **argv) {
        struct client client = { .stream_fd = -1 };

        bench_init();
        if (argc == 4 && strcmp(argv[1], "hold") == 0) {
                main_hold(argv[2], argv[3]);
                return 0;
        }
        if (argc < 3 || argc > 5)
                bench_die("usage: client "
                          "connect|median|cycle|fresh|accept|stream|ping|touch|discard|echo|datagrams|session|hold "
                          "SOCKET [ADDRESS [CHUNK]]",
                          0);

        open_all(&client, argv[2], argv[1]);
        client.address = argc > 3 ? argv[3] : NULL;
        client.chunk = argc > 4 ? bench_number(argv[4], BENCH_CHUNK_MAX) : 0;
        if (argc == 4 && strcmp(argv[1], "connect") == 0)
                run(&client, round_connect);
        else if (argc == 4 && strcmp(argv[1], "median") == 0)
                medians(&client);
        else if (argc == 4 && strcmp(argv[1], "cycle") == 0)
                run(&client, round_cycle);
        else if (argc == 4 && strcmp(argv[1], "fresh") == 0)
                run_fresh(&client);
        else if (argc == 3 && strcmp(argv[1], "accept") == 0)
                main_accept(&client);
        else if (argc == 5 && strcmp(argv[1], "stream") == 0)
                run(&client, round_stream);
        else if (argc == 5 && strcmp(argv[1], "ping") == 0 && client.chunk <= BENCH_PING_MAX)
                run(&client, round_ping);
        else if (argc == 4 && strcmp(argv[1], "touch") == 0)
                run(&client, round_touch);
        else if (argc == 3 && is_server(argv[1]))
                main_serve(&client, strcmp(argv[1], "discard") != 0);
        else if (argc == 3 && strcmp(argv[1], "session") == 0)
                run(&client, round_session);
        else
                bench_die(argv[1], EINVAL);
        close_all(&client);
        return 0;
}
