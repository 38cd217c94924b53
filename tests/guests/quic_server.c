/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_server ADDRESS CONNECTIONS [datagrams|sink]: serves until so many connections have ended, 0: for ever. Everything is waited for in one poll_oneoff(): the
 * control, the connections and all their streams.
 *
 * What comes on a bidirectional stream goes back on it, what comes on a unidirectional one goes back on one of the server's own, and a datagram is answered by
 * itself. A sink answers nothing: it says at its end how many bytes came. It says "listening ADDRESS" when it does, and for each connection "accepted ADDRESS" and then "ended", with the errno that told it.
 */
#include "tests/guests/quic.h"

struct connection {
        __wasi_fd_t fd;
        bool is_over;
        size_t n_pumps;
        size_t n_want; /* pumps that wait for a stream to be created */
};

/* Carries what is read from one stream to another, or to the same. */
struct pump {
        size_t connection;
        __wasi_fd_t from; /* -1: at its end */
        __wasi_fd_t to;   /* -1: still to be created */
        uint8_t *kept;    /* what could not be written yet; owned */
        size_t n_kept;
        size_t n_written;
        bool is_over;
};

struct server {
        __wasi_fd_t control;
        bool datagrams;
        bool is_sink;
        uint64_t n_bytes; /* that came on streams */
        struct connection *connections;
        size_t n_connections;
        struct pump *pumps;
        size_t n_pumps;
        size_t n_ended;
        uint8_t buffer[QUIC_PIECE];
};

enum { TAG_CONTROL, TAG_CONNECTION, TAG_PUMP, TAG_SHIFT = 2, TAG_MASK = 3 };

static void add_connection(struct server *server, __wasi_fd_t fd) {
        char text[WASI_NETWORKING_ADDRESS_MAX];
        __wasi_size_t length;

        CHECK_OK(__wasi_networking_remote_address(fd, text, sizeof(text), &length));
        printf("accepted %.*s\n", (int)length, text);
        fflush(stdout);
        quic_set_nonblock(fd);
        server->connections = realloc(server->connections, (server->n_connections + 1) * sizeof(struct connection));
        CHECK(server->connections);
        server->connections[server->n_connections++] = (struct connection){ .fd = fd };
}

static void accept_connections(struct server *server) {
        __wasi_errno_t error;
        __wasi_fd_t fd;

        while ((error = __wasi_networking_accept(server->control, &fd)) == 0)
                add_connection(server, fd);
        CHECK_ERRNO(error, __WASI_ERRNO_AGAIN);
}

/* @return whether there is a stream to write to */
static bool find_answer(struct server *server, struct pump *pump) {
        struct connection *connection = &server->connections[pump->connection];
        __wasi_errno_t error;

        if (pump->to >= 0)
                return true;
        error = __wasi_networking_stream_create(connection->fd, QUIC_RIGHTS_ONE_WAY, 0, __WASI_FDFLAGS_NONBLOCK,
                                                &pump->to);
        if (error == 0) {
                --connection->n_want;
                return true;
        }
        pump->to = -1;
        pump->is_over = error != __WASI_ERRNO_AGAIN;
        return false;
}

static void add_pump(struct server *server, size_t connection, __wasi_fd_t stream) {
        bool one_way = !server->is_sink && !quic_has_right(stream, __WASI_RIGHTS_FD_WRITE);
        struct pump *pump;

        quic_set_nonblock(stream);
        server->pumps = realloc(server->pumps, (server->n_pumps + 1) * sizeof(struct pump));
        CHECK(server->pumps);
        pump = &server->pumps[server->n_pumps++];
        *pump = (struct pump){ .connection = connection, .from = stream, .to = one_way ? -1 : stream };
        ++server->connections[connection].n_pumps;
        server->connections[connection].n_want += one_way;
        if (one_way)
                (void)find_answer(server, pump);
}

/* A connection of datagrams yields its channel, and then nothing. */
static void accept_streams(struct server *server, size_t index) {
        struct connection *connection = &server->connections[index];
        __wasi_errno_t error;
        __wasi_fd_t stream;

        while ((error = __wasi_networking_stream_accept(connection->fd, &stream)) == 0)
                add_pump(server, index, stream);
        if (error == __WASI_ERRNO_AGAIN || error == __WASI_ERRNO_MFILE || error == __WASI_ERRNO_NOTSUP)
                return;
        connection->is_over = true;
        quic_close(connection->fd);
        ++server->n_ended;
        quic_say("ended", error);
}

/* Writes what was read. What there is no room for is kept. */
static void pass_on(struct pump *pump, const uint8_t *bytes, size_t length) {
        __wasi_errno_t error = 0;
        size_t done = 0;

        while (done < length && error == 0) {
                size_t n;

                error = quic_write(pump->to, bytes + done, length - done, &n);
                if (error == 0)
                        done += n;
        }
        if (error && error != __WASI_ERRNO_AGAIN) {
                pump->is_over = true; /* the peer does not want it */
                return;
        }
        if (done == length)
                return;
        pump->n_kept = length - done;
        pump->kept = malloc(pump->n_kept);
        CHECK(pump->kept);
        memcpy(pump->kept, bytes + done, pump->n_kept);
        pump->n_written = 0;
}

static void pass_on_kept(struct pump *pump) {
        uint8_t *kept = pump->kept;
        size_t length = pump->n_kept;

        pump->kept = NULL;
        pump->n_kept = 0;
        pass_on(pump, kept, length);
        free(kept);
}

static void pass_on_datagram(struct server *server, struct pump *pump, size_t length) {
        __wasi_errno_t error;
        size_t n;

        error = quic_write(pump->to, server->buffer, length, &n);
        if (error != __WASI_ERRNO_AGAIN) /* a datagram may be lost */
                pump->is_over = error != 0;
}

static void read_some(struct server *server, struct pump *pump) {
        __wasi_errno_t error;
        size_t n;

        error = quic_read(pump->from, server->buffer, sizeof(server->buffer), &n);
        if (error == __WASI_ERRNO_AGAIN)
                return;
        if (error) {
                pump->is_over = true;
                return;
        }
        if (server->datagrams) {
                pass_on_datagram(server, pump, n);
                return;
        }
        server->n_bytes += n;
        if (n == 0)
                pump->is_over = true;
        else if (!server->is_sink)
                pass_on(pump, server->buffer, n);
}

static void end_pump(struct server *server, struct pump *pump) {
        struct connection *connection = &server->connections[pump->connection];

        if (pump->to >= 0 && pump->to != pump->from)
                quic_close(pump->to);
        if (pump->to < 0)
                --connection->n_want;
        quic_close(pump->from);
        free(pump->kept);
        --connection->n_pumps;
}

static void run_pump(struct server *server, struct pump *pump) {
        if (!find_answer(server, pump))
                return;
        if (pump->n_kept > 0)
                pass_on_kept(pump);
        else
                read_some(server, pump);
}

static void remove_ended_pumps(struct server *server) {
        size_t n = 0;

        for (size_t i = 0; i < server->n_pumps; ++i) {
                if (server->pumps[i].is_over)
                        end_pump(server, &server->pumps[i]);
                else
                        server->pumps[n++] = server->pumps[i];
        }
        server->n_pumps = n;
}

static void wait_for_all(struct server *server, struct waits *waits) {
        waits->n = 0;
        waits_add(waits, __WASI_EVENTTYPE_FD_READ, server->control, TAG_CONTROL);
        for (size_t i = 0; i < server->n_connections; ++i) {
                const struct connection *connection = &server->connections[i];
                uint64_t tag = i << TAG_SHIFT | TAG_CONNECTION;

                if (connection->is_over || (server->datagrams && connection->n_pumps > 0))
                        continue;
                waits_add(waits, __WASI_EVENTTYPE_FD_READ, connection->fd, tag);
                if (connection->n_want > 0)
                        waits_add(waits, __WASI_EVENTTYPE_FD_WRITE, connection->fd, tag);
        }
        for (size_t i = 0; i < server->n_pumps; ++i) {
                const struct pump *pump = &server->pumps[i];

                if (pump->to < 0)
                        continue;
                if (pump->n_kept > 0)
                        waits_add(waits, __WASI_EVENTTYPE_FD_WRITE, pump->to, i << TAG_SHIFT | TAG_PUMP);
                else
                        waits_add(waits, __WASI_EVENTTYPE_FD_READ, pump->from, i << TAG_SHIFT | TAG_PUMP);
        }
        waits_poll(waits);
}

/* The pumps of a connection that wait for a stream of their own. */
static void retry_creations(struct server *server, size_t connection) {
        for (size_t i = 0; i < server->n_pumps; ++i) {
                struct pump *pump = &server->pumps[i];

                if (pump->connection == connection && pump->to < 0 && !find_answer(server, pump))
                        return;
        }
}

static void serve_event(struct server *server, const __wasi_event_t *event) {
        size_t index = (size_t)(event->userdata >> TAG_SHIFT);

        CHECK_OK(event->error);
        switch (event->userdata & TAG_MASK) {
        case TAG_CONTROL:
                accept_connections(server);
                break;
        case TAG_CONNECTION:
                if (server->connections[index].is_over)
                        break;
                if (event->type == __WASI_EVENTTYPE_FD_WRITE)
                        retry_creations(server, index);
                else
                        accept_streams(server, index);
                break;
        case TAG_PUMP:
                if (!server->pumps[index].is_over)
                        run_pump(server, &server->pumps[index]);
                break;
        }
}

/* A connection of datagrams tells its end by its channel. */
static void end_datagram_connections(struct server *server) {
        if (!server->datagrams)
                return;
        for (size_t i = 0; i < server->n_pumps; ++i) {
                struct connection *connection = &server->connections[server->pumps[i].connection];

                if (!server->pumps[i].is_over || connection->is_over)
                        continue;
                connection->is_over = true;
                quic_close(connection->fd);
                ++server->n_ended;
                quic_say("ended", __WASI_ERRNO_CONNRESET);
        }
}

static __wasi_fd_t start(const char *address, bool datagrams) {
        char text[WASI_NETWORKING_ADDRESS_MAX];
        __wasi_size_t length;
        __wasi_fd_t control;

        CHECK_OK(quic_open(address, datagrams ? __WASI_FILETYPE_SOCKET_DGRAM : __WASI_FILETYPE_SOCKET_STREAM,
                           WASI_NETWORKING_RIGHTS_SERVER, &control));
        CHECK_OK(__wasi_networking_listen(control, 128));
        quic_set_nonblock(control);
        CHECK_OK(__wasi_networking_local_address(control, text, sizeof(text), &length));
        printf("listening %.*s\n", (int)length, text);
        fflush(stdout);
        return control;
}

/* What has come of a connection that is over is still read. */
static bool goes_on(const struct server *server, size_t n_to_end) {
        return n_to_end == 0 || server->n_ended < n_to_end || (server->is_sink && server->n_pumps > 0);
}

int main(int argc, char **argv) {
        static struct server server;
        struct waits waits = { 0 };
        size_t n_to_end;

        CHECK(argc == 3 || argc == 4);
        n_to_end = strtoul(argv[2], NULL, 10);
        server.datagrams = argc == 4 && strcmp(argv[3], "datagrams") == 0;
        server.is_sink = argc == 4 && strcmp(argv[3], "sink") == 0;
        CHECK(argc == 3 || server.datagrams || server.is_sink);
        server.control = start(argv[1], server.datagrams);
        while (goes_on(&server, n_to_end)) {
                wait_for_all(&server, &waits);
                for (size_t i = 0; i < waits.n_events; ++i)
                        serve_event(&server, &waits.events[i]);
                end_datagram_connections(&server);
                remove_ended_pumps(&server);
        }
        if (server.is_sink)
                printf("received %llu bytes\n", (unsigned long long)server.n_bytes);
        return 0;
}
