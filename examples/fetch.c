/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch PROTOCOL http://HOST[:PORT]/PATH: prints the body of a page. HOST is a name, or an address, IPv6 in brackets.
 *
 * A guest in C: it finds the protocol that the host gave it under a name, makes a control on any port, connects, and from then on
 * has a file descriptor like any other. HTTP/1.0 (RFC 1945), so that the end of the stream is the end of the body.
 *
 * Exit codes: 0; 1 when the network or the server said no; 2 for a wrong command line.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wasi/networking.h>

#define HEAD_MAX 8192
#define HOST_MAX 253
#define ADDRESS_MAX (HOST_MAX + sizeof("[]:65535"))
#define REQUEST_MAX 2048

/* Where to go, taken from a URL. */
struct target {
        char address[ADDRESS_MAX]; /* "api.example.com:80", "192.0.2.1:80" or "[2001:db8::1]:80" */
        size_t address_length;
        const char *path; /* points into the URL */
};

/* The head of an answer, and what was read of its body together with it. */
struct head {
        char text[HEAD_MAX + 1];
        size_t length; /* all that was read */
        size_t body;   /* where the body begins */
};

static int usage(void) {
        fputs("usage: fetch PROTOCOL http://HOST[:PORT]/PATH\n", stderr);
        return 2;
}

static bool parse_url(const char *url, struct target *ret) {
        static const char scheme[] = "http://";
        const char *path, *port;
        int n;

        if (strncmp(url, scheme, strlen(scheme)) != 0)
                return false;
        url += strlen(scheme);
        path = strchr(url, '/');
        if (!path || path == url || (size_t)(path - url) >= ADDRESS_MAX || strpbrk(url, " \r\n"))
                return false;

        port = memrchr(url, ':', (size_t)(path - url));
        if (port && memchr(port, ']', (size_t)(path - port))) /* a colon of the address */
                port = NULL;
        n = snprintf(ret->address, sizeof(ret->address), "%.*s%s", (int)(path - url), url, port ? "" : ":80");
        if (n < 0 || (size_t)n >= sizeof(ret->address))
                return false;
        ret->address_length = (size_t)n;
        ret->path = path;
        return true;
}

/* Says which step failed, and how WASI calls the error. */
static int fail(const char *step, const struct target *target, __wasi_errno_t error) {
        fprintf(stderr, "fetch: %s %.*s: %s (errno %u)\n", step, (int)target->address_length, target->address,
                wasi_networking_errno_name(error), (unsigned)error);
        return -1;
}

static __wasi_errno_t open_any(__wasi_fd_t protocol, const char *any, __wasi_fd_t *ret) {
        return __wasi_networking_open(protocol, any, strlen(any), __WASI_FILETYPE_SOCKET_STREAM,
                                      WASI_NETWORKING_RIGHTS_CLIENT,
                                      WASI_NETWORKING_RIGHTS_CONNECTION | WASI_NETWORKING_RIGHTS_STREAM, 0, ret);
}

/* A control on any IPv6 address connects to IPv4 as well, where the protocol has both families. */
static __wasi_errno_t open_control(__wasi_fd_t protocol, __wasi_fd_t *ret) {
        __wasi_errno_t error = open_any(protocol, "[::]:0", ret);

        return error == __WASI_ERRNO_AFNOSUPPORT ? open_any(protocol, "0.0.0.0:0", ret) : error;
}

/* @return a stream to the target, or -1 with a message. */
static int dial(__wasi_fd_t protocol, const struct target *target) {
        __wasi_fd_t control, connection, stream;
        __wasi_errno_t error = open_control(protocol, &control);

        if (error != __WASI_ERRNO_SUCCESS)
                return fail("open a socket for", target, error);

        error = __wasi_networking_connect(control, target->address, target->address_length, &connection);
        close(control);
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("connect to", target, error);

        error = __wasi_networking_stream_create(connection, WASI_NETWORKING_RIGHTS_STREAM, 0, 0, &stream);
        close(connection); /* the stream keeps the connection */
        if (error != __WASI_ERRNO_SUCCESS)
                return fail("make a stream to", target, error);
        return stream;
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

static bool send_request(int fd, const struct target *target) {
        char request[REQUEST_MAX];
        int n = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: %.*s\r\nConnection: close\r\n\r\n",
                         target->path, (int)target->address_length, target->address);

        if (n < 0 || (size_t)n >= sizeof(request)) {
                fputs("fetch: the path is too long\n", stderr);
                return false;
        }
        if (!write_all(fd, request, (size_t)n)) {
                fprintf(stderr, "fetch: sending the request: %s\n", strerror(errno));
                return false;
        }
        return true;
}

static ssize_t read_some(int fd, char *buffer, size_t size) {
        ssize_t n;

        do {
                n = read(fd, buffer, size);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                fprintf(stderr, "fetch: reading the answer: %s\n", strerror(errno));
        return n;
}

/* Reads up to the blank line behind the head, and whatever comes with it. */
static bool read_head(int fd, struct head *head) {
        static const char blank[] = "\r\n\r\n";

        *head = (struct head){ 0 };
        while (head->length < HEAD_MAX) {
                ssize_t n = read_some(fd, head->text + head->length, HEAD_MAX - head->length);
                const char *end;

                if (n < 0)
                        return false;
                if (n == 0)
                        break;
                head->length += (size_t)n;
                end = memmem(head->text, head->length, blank, strlen(blank));
                if (end) {
                        head->body = (size_t)(end - head->text) + strlen(blank);
                        return true;
                }
        }
        fputs("fetch: the answer is not HTTP\n", stderr);
        return false;
}

static bool is_success(const struct head *head) {
        size_t line = strcspn(head->text, "\r\n");

        if (strncmp(head->text, "HTTP/1.", strlen("HTTP/1.")) == 0 && line > strlen("HTTP/1.x ") &&
            head->text[strlen("HTTP/1.x ")] == '2')
                return true;
        fprintf(stderr, "fetch: the server answered \"%.*s\"\n", (int)line, head->text);
        return false;
}

static bool print_body(int fd, const struct head *head) {
        char buffer[16384];
        ssize_t n;

        if (!write_all(STDOUT_FILENO, head->text + head->body, head->length - head->body))
                return false;
        while ((n = read_some(fd, buffer, sizeof(buffer))) > 0) {
                if (!write_all(STDOUT_FILENO, buffer, (size_t)n))
                        return false;
        }
        return n == 0;
}

int main(int argc, char **argv) {
        struct target target;
        struct head head;
        __wasi_fd_t protocol;
        int stream;
        bool ok;

        if (argc != 3 || !parse_url(argv[2], &target))
                return usage();
        protocol = wasi_networking_find_protocol(argv[1]);
        if (protocol < 0) {
                fprintf(stderr, "fetch: the host gave no protocol \"%s\"\n", argv[1]);
                return 1;
        }

        stream = dial(protocol, &target);
        if (stream < 0)
                return 1;
        ok = send_request(stream, &target) && read_head(stream, &head) && is_success(&head) &&
             print_body(stream, &head);
        close(stream);
        return ok ? 0 : 1;
}
