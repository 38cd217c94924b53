/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server (RFC 9112) that is compiled for the system and for Wasm: one file, so that what differs is what it runs in.
 *
 *   http FD   serves on a listener that it was started with
 *   http      the same, on the listener that NETWORKING_PREOPENS calls "http": a [Preopen] of netbroker's
 *
 * It waits for all its connections with poll(), and gives every request the same page. A connection stays open until the client asks
 * for its end. It knows WASI and no function of module networking.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef __wasi__
#include <signal.h>
#endif

#define CONNECTIONS_MAX 256
#define REQUEST_MAX 2048

#define PAGE "<!doctype html>\n<title>netbroker</title>\n<p>What is measured is everything but this page.\n"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 90\r\n"

static const char answer[] = HEAD "\r\n" PAGE;
static const char last_answer[] = HEAD "Connection: close\r\n\r\n" PAGE;

_Static_assert(sizeof(PAGE) - 1 == 90, "Content-Length is the page's");

struct server {
        /* The listener is the first; the others are connections, each with what it has sent of its next request. */
        struct pollfd fds[1 + CONNECTIONS_MAX];
        struct request {
                size_t length;
                char text[REQUEST_MAX + 1];
        } requests[1 + CONNECTIONS_MAX];
        nfds_t n;
};

_Noreturn static void die(const char *what) {
        fprintf(stderr, "http: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

static int number(const char *text) {
        char *end;
        long value = strtol(text, &end, 10);

        if (end == text || value < 0 || value > 65535) {
                errno = EINVAL;
                die(text);
        }
        return (int)value;
}

/* "http=4" or "http=4:..." */
static int preopened(void) {
        const char *preopens = getenv("NETWORKING_PREOPENS");

        if (!preopens || strncmp(preopens, "http=", 5) != 0) {
                errno = EBADF;
                die("no preopened listener \"http\"");
        }
        return number(preopens + 5);
}

/* All that are waiting are taken in one turn, so that the last accept must not wait for more. */
static int open_listener(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                die("fcntl");
        return fd;
}

static void take_connections(struct server *server) {
        while (server->n <= CONNECTIONS_MAX) {
                int fd = accept(server->fds[0].fd, NULL, NULL);

                if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
                        return;
                if (fd < 0)
                        die("accept");
                server->requests[server->n].length = 0;
                server->fds[server->n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
        }
}

/* The last one takes the place that becomes free. */
static void drop(struct server *server, nfds_t index) {
        (void)close(server->fds[index].fd);
        --server->n;
        if (index == server->n)
                return;
        server->fds[index] = server->fds[server->n];
        server->requests[index].length = server->requests[server->n].length;
        memcpy(server->requests[index].text, server->requests[server->n].text, server->requests[server->n].length);
}

/* An answer is short, and the peer waits for it: it is written at once or not at all. */
static bool write_whole(int fd, const char *text, size_t length) {
        return write(fd, text, length) == (ssize_t)length;
}

/* @return whether the connection goes on */
static bool serve(int fd, struct request *request) {
        ssize_t n = read(fd, request->text + request->length, REQUEST_MAX - request->length);

        if (n <= 0)
                return n < 0 && (errno == EAGAIN || errno == EINTR);
        request->length += (size_t)n;
        request->text[request->length] = '\0';
        if (!strstr(request->text, "\r\n\r\n"))
                return request->length < REQUEST_MAX;
        request->length = 0;
        if (!strstr(request->text, "Connection: close"))
                return write_whole(fd, answer, sizeof(answer) - 1);
        (void)write_whole(fd, last_answer, sizeof(last_answer) - 1);
        return false;
}

/* From the last to the first, for who is dropped is replaced by the last. */
static void serve_all(struct server *server) {
        for (nfds_t i = server->n - 1; i > 0; --i) {
                if (server->fds[i].revents != 0 && !serve(server->fds[i].fd, &server->requests[i]))
                        drop(server, i);
        }
}

int main(int argc, char **argv) {
        struct server *server = calloc(1, sizeof(*server));

        if (!server)
                die("calloc");
#ifndef __wasi__
        (void)signal(SIGPIPE, SIG_IGN); /* WASI has no signals */
#endif
        server->fds[0] =
                (struct pollfd){ .fd = open_listener(argc > 1 ? number(argv[1]) : preopened()), .events = POLLIN };
        server->n = 1;
        for (;;) {
                if (poll(server->fds, server->n, -1) < 0 && errno != EINTR)
                        die("poll");
                serve_all(server);
                if (server->fds[0].revents != 0)
                        take_connections(server);
        }
}
