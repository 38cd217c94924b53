/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_number HOST PORT: numbers of sockets. They are the lowest free, whoever closes them; nothing is left of a hundred thousand sockets; and a
 * number that was closed behind the library's back is what it is now. PORT echoes.
 */
#include <netinet/tcp.h>
#include <wasi/api.h>
#include <wasi/libc.h>

#include "tests/guests/posix.h"

#define SOCKETS 100000
#define CONNECTIONS 300

static void many_sockets(void) {
        int first = socket(AF_INET, SOCK_STREAM, 0);
        size_t pages;

        CHECK(first >= 0);
        CHECK(close(first) == 0);
        pages = __builtin_wasm_memory_size(0);
        for (int i = 0; i < SOCKETS; ++i) {
                int fd = socket(AF_INET, SOCK_STREAM, 0);

                CHECK(fd == first);
                CHECK(i % 2 ? close(fd) == 0 : __wasi_fd_close(fd) == 0);
        }
        CHECK(__builtin_wasm_memory_size(0) == pages);
}

/* Connections that come to be, and connections that the policy refuses. */
static void many_connections(const char *host, const char *port) {
        struct sockaddr_storage elsewhere;
        socklen_t length = numeric_address("192.0.2.2", "80", SOCK_STREAM, &elsewhere);
        int first = dial(host, port, SOCK_STREAM);
        size_t pages = __builtin_wasm_memory_size(0);

        CHECK(close(first) == 0);
        for (int i = 0; i < CONNECTIONS; ++i) {
                int fd = dial(host, port, SOCK_STREAM);

                CHECK(fd == first);
                CHECK(close(fd) == 0);
                fd = socket(AF_INET, SOCK_STREAM, 0);
                CHECK(fd == first);
                CHECK(connect(fd, (struct sockaddr *)&elsewhere, length) < 0 && errno == EACCES);
                CHECK(close(fd) == 0);
        }
        CHECK(__builtin_wasm_memory_size(0) == pages);
}

/* A socket, closed by the host's own function; its number becomes a file's. */
static void stale_number(void) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct pollfd entry = { .fd = fd, .events = POLLIN };
        int on = 1;
        char byte = 'x';

        CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
        CHECK(__wasi_fd_close(fd) == 0);
        CHECK(open("/dir/file", O_RDWR | O_CREAT | O_TRUNC, 0600) == fd);
        CHECK(write(fd, &byte, 1) == 1);
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        CHECK(poll(&entry, 1, 0) == 1 && entry.revents == POLLIN);
        CHECK(read(fd, &byte, 1) == 1);
        printf("not a socket: %s\n", recv(fd, &byte, 1, 0) < 0 ? error_name(errno) : "ok");
        printf("not a socket: %s\n",
               setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ? error_name(errno) : "ok");
        printf("not a socket: %s\n", shutdown(fd, SHUT_RD) < 0 ? error_name(errno) : "ok");
        CHECK(close(fd) == 0);
}

/* The same with a connection, of which the library knows the state without asking. */
static void stale_connection(const char *host, const char *port) {
        int fd = dial(host, port, SOCK_STREAM);
        char byte = 'x';

        CHECK(__wasi_fd_close(fd) == 0);
        CHECK(open("/dir/file", O_RDWR | O_CREAT | O_TRUNC, 0600) == fd);
        CHECK(write(fd, &byte, 1) == 1);
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        CHECK(read(fd, &byte, 1) == 1);
        CHECK(close(fd) == 0);
}

/* What dup2() would be, had WASI it: what is known of a socket goes with it. */
static void renumbered(const char *host, const char *port) {
        struct sockaddr_storage address;
        socklen_t length = numeric_address(host, port, SOCK_STREAM, &address);
        int target = socket(address.ss_family, SOCK_STREAM, 0);
        int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        socklen_t size = sizeof(int);
        int on = 1;

        CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
        CHECK(connect(fd, (struct sockaddr *)&address, length) == 0 || errno == EINPROGRESS);
        CHECK(__wasilibc_fd_renumber(fd, target) == 0);
        SHOW(close(fd));
        show_poll("renumbered", target, POLLOUT, WAIT_MS);
        on = 0;
        CHECK(getsockopt(target, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0);
        CHECK(on == 1);
        CHECK(write(target, "x", 1) == 1);
        CHECK(close(target) == 0);
}

int main(int argc, char **argv) {
        CHECK(argc == 3);
        many_sockets();
        many_connections(argv[1], argv[2]);
        stale_number();
        stale_connection(argv[1], argv[2]);
        renumbered(argv[1], argv[2]);
        return 0;
}
