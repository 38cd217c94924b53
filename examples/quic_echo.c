/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quic_echo [--connections N] PROTOCOL ADDRESS:PORT: sends back what comes, on every stream of every connection.
 *
 * A QUIC server in a guest. The host has the UDP socket, the certificate and its key; the guest has a control, which yields connections, and each connection yields
 * any number of streams, which are read and written as any other. One poll() waits for all of them.
 *
 * Exit codes: 0 after N connections have ended; 1 when the network said no; 2 for a wrong command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wasi/networking.h>

#define BACKLOG 16
#define DESCRIPTORS_MAX 4096
#define PIECE 16384

enum kind { CONTROL, CONNECTION, STREAM };

/* What has been read from a stream and not been written yet. */
struct rest {
        size_t length;
        char bytes[PIECE];
};

/* All descriptors, as poll() wants them, and beside each what it is. */
struct server {
        struct pollfd fds[DESCRIPTORS_MAX];
        enum kind kinds[DESCRIPTORS_MAX];
        struct rest *rests[DESCRIPTORS_MAX]; /* of streams; NULL: nothing is left */
        size_t n;
        unsigned long connections; /* that still have to end; 0: without end */
        bool is_over;
        char piece[PIECE];
};

static int usage(void) {
        fputs("usage: quic_echo [--connections N] PROTOCOL ADDRESS:PORT\n", stderr);
        return 2;
}

static bool fail(const char *step, __wasi_errno_t error) {
        fprintf(stderr, "quic_echo: %s: %s (errno %u)\n", step, wasi_networking_errno_name(error), (unsigned)error);
        return false;
}

static void add(struct server *server, int fd, enum kind kind) {
        if (server->n == DESCRIPTORS_MAX) {
                close(fd);
                return;
        }
        fcntl(fd, F_SETFL, O_NONBLOCK);
        server->fds[server->n] = (struct pollfd){ .fd = fd, .events = POLLIN };
        server->kinds[server->n] = kind;
        server->rests[server->n] = NULL;
        server->n++;
}

/* Its place stays until the turn is over, so that the others keep theirs. */
static void end(struct server *server, size_t index) {
        close(server->fds[index].fd);
        server->fds[index].fd = -1;
        free(server->rests[index]);
        server->rests[index] = NULL;
}

static void forget_ended(struct server *server) {
        size_t n = 0;

        for (size_t i = 0; i < server->n; ++i) {
                if (server->fds[i].fd < 0)
                        continue;
                server->fds[n] = server->fds[i];
                server->kinds[n] = server->kinds[i];
                server->rests[n++] = server->rests[i];
        }
        server->n = n;
}

static void accept_connections(struct server *server, size_t index) {
        __wasi_fd_t connection;

        while (__wasi_networking_accept(server->fds[index].fd, &connection) == __WASI_ERRNO_SUCCESS)
                add(server, connection, CONNECTION);
}

/* Streams go on when their connection's descriptor is closed; there will be no others. */
static void accept_streams(struct server *server, size_t index) {
        __wasi_errno_t error;
        __wasi_fd_t stream;

        while ((error = __wasi_networking_stream_accept(server->fds[index].fd, &stream)) == __WASI_ERRNO_SUCCESS)
                add(server, stream, STREAM);
        if (error == __WASI_ERRNO_AGAIN)
                return;
        end(server, index);
        if (server->connections > 0 && --server->connections == 0)
                server->is_over = true;
}

/* Writes what there is room for. @return whether the stream can go on */
static bool write_back(struct server *server, size_t index, const char *bytes, size_t length) {
        ssize_t n = write(server->fds[index].fd, bytes, length);
        struct rest *rest = server->rests[index];

        if (n < 0 && errno != EAGAIN)
                return false;
        if (n < 0)
                n = 0;
        if ((size_t)n < length && !rest)
                rest = malloc(sizeof(*rest));
        if ((size_t)n < length && !rest)
                return false;
        server->rests[index] = rest;
        if ((size_t)n == length) {
                free(rest);
                server->rests[index] = NULL;
        } else {
                rest->length = length - (size_t)n;
                memmove(rest->bytes, bytes + n, rest->length);
        }
        server->fds[index].events = server->rests[index] ? POLLOUT : POLLIN;
        return true;
}

/* At the end of what the peer sends, our end follows: closing a stream says so. One that the peer only writes to cannot be answered. */
static void serve_stream(struct server *server, size_t index) {
        struct rest *rest = server->rests[index];
        ssize_t n;

        if (rest) {
                if (!write_back(server, index, rest->bytes, rest->length))
                        end(server, index);
                return;
        }
        n = read(server->fds[index].fd, server->piece, sizeof(server->piece));
        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0 || !write_back(server, index, server->piece, (size_t)n))
                end(server, index);
}

static void serve(struct server *server, size_t index) {
        switch (server->kinds[index]) {
        case CONTROL:
                accept_connections(server, index);
                break;
        case CONNECTION:
                accept_streams(server, index);
                break;
        case STREAM:
                serve_stream(server, index);
                break;
        }
}

static bool run(struct server *server) {
        while (!server->is_over) {
                size_t n = server->n;

                if (poll(server->fds, n, -1) < 0 && errno != EINTR) {
                        fprintf(stderr, "quic_echo: poll: %s\n", strerror(errno));
                        return false;
                }
                for (size_t i = 0; i < n; ++i) {
                        if (server->fds[i].revents != 0)
                                serve(server, i);
                }
                forget_ended(server);
        }
        return true;
}

static bool start(struct server *server, __wasi_fd_t protocol, const char *address) {
        __wasi_fd_t control;
        __wasi_errno_t error;

        error = __wasi_networking_open(protocol, address, strlen(address), __WASI_FILETYPE_SOCKET_STREAM,
                                       WASI_NETWORKING_RIGHTS_SERVER,
                                       WASI_NETWORKING_RIGHTS_CONNECTION | WASI_NETWORKING_RIGHTS_STREAM, 0, &control);
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("bind", error);
        error = __wasi_networking_listen(control, BACKLOG);
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("listen", error);
        add(server, control, CONTROL);
        printf("quic_echo: serving on %s\n", address);
        return true;
}

int main(int argc, char **argv) {
        static struct server server;
        __wasi_fd_t protocol;
        int next = 1;

        if (argc > 2 && strcmp(argv[1], "--connections") == 0) {
                char *rest;

                server.connections = strtoul(argv[2], &rest, 10);
                if (*rest != '\0' || server.connections == 0)
                        return usage();
                next = 3;
        }
        if (argc != next + 2)
                return usage();
        protocol = wasi_networking_find_protocol(argv[next]);
        if (protocol < 0) {
                fprintf(stderr, "quic_echo: the host gave no protocol \"%s\"\n", argv[next]);
                return 1;
        }

        setvbuf(stdout, NULL, _IOLBF, 0);
        return start(&server, protocol, argv[next + 1]) && run(&server) ? 0 : 1;
}
