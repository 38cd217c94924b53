/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd [--requests N] PROTOCOL ADDRESS:PORT...: serves one page, and /echo, which sends back what it was asked.
 *
 * A server in a guest: it may listen where the policy says so and nowhere else. It listens on several addresses at once, waits
 * for all with poll(), and serves one peer after the other, so it needs no threads. HTTP/1.0 (RFC 1945).
 *
 * Exit codes: 0 after N requests; 1 when the network said no; 2 for a wrong command line.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wasi/networking.h>

#define LISTENERS_MAX 8
#define REQUEST_MAX 8192
#define BACKLOG 16

/* How long a peer may take over a piece of its request. */
#define PATIENCE_MS 5000

static const char page[] = "<!doctype html>\n"
                           "<title>netbroker</title>\n"
                           "<p>This page comes from a WebAssembly guest that may listen here and nowhere else.\n";

struct server {
        struct pollfd listeners[LISTENERS_MAX];
        size_t n_listeners;
        unsigned long requests; /* still to be served; 0: without end */
};

static int usage(void) {
        fputs("usage: httpd [--requests N] PROTOCOL ADDRESS:PORT...\n", stderr);
        return 2;
}

static bool fail(const char *step, const char *address, __wasi_errno_t error) {
        fprintf(stderr, "httpd: %s %s: %s (errno %u)\n", step, address, wasi_networking_errno_name(error),
                (unsigned)error);
        return false;
}

static bool add_listener(struct server *server, __wasi_fd_t protocol, const char *address) {
        __wasi_fd_t control;
        __wasi_errno_t error;

        if (server->n_listeners == LISTENERS_MAX) {
                fprintf(stderr, "httpd: at most %d addresses\n", LISTENERS_MAX);
                return false;
        }

        error = __wasi_networking_open(protocol, address, strlen(address), __WASI_FILETYPE_SOCKET_STREAM,
                                       WASI_NETWORKING_RIGHTS_SERVER,
                                       WASI_NETWORKING_RIGHTS_CONNECTION | WASI_NETWORKING_RIGHTS_STREAM, 0, &control);
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("bind", address, error);
        error = __wasi_networking_listen(control, BACKLOG);
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("listen on", address, error);

        server->listeners[server->n_listeners++] = (struct pollfd){ .fd = control, .events = POLLIN };
        printf("httpd: serving on http://%s/\n", address);
        return true;
}

static bool write_all(int fd, const char *bytes, size_t length) {
        while (length > 0) {
                ssize_t n = write(fd, bytes, length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return false;
                bytes += n;
                length -= (size_t)n;
        }
        return true;
}

/* Reads up to the blank line behind the head. @return its length, or 0 if the peer sent no request in time. */
static size_t read_request(int fd, char buffer[static REQUEST_MAX + 1]) {
        size_t length = 0;

        while (length < REQUEST_MAX) {
                struct pollfd pollfd = { .fd = fd, .events = POLLIN };
                ssize_t n;

                if (poll(&pollfd, 1, PATIENCE_MS) <= 0)
                        return 0;
                n = read(fd, buffer + length, REQUEST_MAX - length);
                if (n <= 0)
                        return 0;
                length += (size_t)n;
                buffer[length] = '\0';
                if (memmem(buffer, length, "\r\n\r\n", 4))
                        return length;
        }
        return 0;
}

static bool respond(int fd, const char *status, const char *type, const char *body, size_t length) {
        char head[256];
        int n = snprintf(head, sizeof(head),
                         "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
                         type, length);

        return n > 0 && (size_t)n < sizeof(head) && write_all(fd, head, (size_t)n) && write_all(fd, body, length);
}

static bool serve(int fd) {
        char request[REQUEST_MAX + 1];
        size_t length = read_request(fd, request);

        if (length == 0)
                return false;
        if (strncmp(request, "GET / ", 6) == 0)
                return respond(fd, "200 OK", "text/html", page, strlen(page));
        if (strncmp(request, "GET /echo ", 10) == 0)
                return respond(fd, "200 OK", "text/plain", request, length);
        if (strncmp(request, "GET ", 4) == 0)
                return respond(fd, "404 Not Found", "text/plain", "Not here.\n", strlen("Not here.\n"));
        return respond(fd, "501 Not Implemented", "text/plain", "Only GET.\n", strlen("Only GET.\n"));
}

/* Serves the next peer of a listener. A peer that fails is its own problem; a listener that fails is ours. */
static bool serve_next(struct server *server, __wasi_fd_t control) {
        __wasi_fd_t connection, stream;
        __wasi_errno_t error = __wasi_networking_accept(control, &connection);

        if (error == __WASI_ERRNO_INTR)
                return true;
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("accept", "a peer", error);
        error = __wasi_networking_stream_accept(connection, &stream);
        close(connection);
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("take", "the peer's stream", error);

        if (serve(stream) && server->requests > 0 && --server->requests == 0)
                server->n_listeners = 0;
        close(stream);
        return true;
}

/* Until all requests are served. */
static bool run(struct server *server) {
        while (server->n_listeners > 0) {
                if (poll(server->listeners, server->n_listeners, -1) < 0 && errno != EINTR) {
                        fprintf(stderr, "httpd: poll: %s\n", strerror(errno));
                        return false;
                }
                for (size_t i = 0; i < server->n_listeners; ++i) {
                        if (server->listeners[i].revents != 0 && !serve_next(server, server->listeners[i].fd))
                                return false;
                }
        }
        return true;
}

int main(int argc, char **argv) {
        struct server server = { 0 };
        __wasi_fd_t protocol;
        int next = 1;

        if (argc > 2 && strcmp(argv[1], "--requests") == 0) {
                char *end;

                server.requests = strtoul(argv[2], &end, 10);
                if (*end != '\0' || server.requests == 0)
                        return usage();
                next = 3;
        }
        if (argc < next + 2)
                return usage();
        protocol = wasi_networking_find_protocol(argv[next]);
        if (protocol < 0) {
                fprintf(stderr, "httpd: the host gave no protocol \"%s\"\n", argv[next]);
                return 1;
        }

        setvbuf(stdout, NULL, _IOLBF, 0);
        while (++next < argc) {
                if (!add_listener(&server, protocol, argv[next]))
                        return 1;
        }
        return run(&server) ? 0 : 1;
}
