/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE ((size_t)256 * 1024)

_Noreturn void bench_die(const char *what, int error) {
        fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, what, error ? ": " : "",
                error ? strerror(error) : "");
        exit(EXIT_FAILURE);
}

void bench_init(void) {
        struct rlimit limit;

        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
                bench_die("prctl", errno);
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                bench_die("getrlimit", errno);
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                bench_die("setrlimit", errno);
}

uint64_t bench_now(void) {
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                bench_die("clock_gettime", errno);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_number(const char *text, uint64_t max) {
        unsigned long long value;
        char *end;

        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max)
                bench_die(text, EINVAL);
        return value;
}

void bench_address(const char *text, struct sockaddr_in *ret) {
        const char *colon = strrchr(text, ':');
        char host[INET_ADDRSTRLEN];
        struct sockaddr_in address = { .sin_family = AF_INET };

        if (!colon || (size_t)(colon - text) >= sizeof(host))
                bench_die(text, EINVAL);
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = '\0';
        if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
                bench_die(text, EINVAL);
        address.sin_port = htons((uint16_t)bench_number(colon + 1, UINT16_MAX));
        *ret = address;
}

void bench_address_format(const struct sockaddr_in *address, char *buffer, size_t size) {
        char host[INET_ADDRSTRLEN];

        if (!inet_ntop(AF_INET, &address->sin_addr, host, sizeof(host)))
                bench_die("inet_ntop", errno);
        snprintf(buffer, size, "%s:%" PRIu16, host, ntohs(address->sin_port));
}

void bench_ready(const char *address) {
        printf("ready %s\n", address ? address : "");
        fflush(stdout);
}

/* "WARM COUNT" */
static void parse_round(char *line, uint64_t *ret_warm, uint64_t *ret_count) {
        char *space = strchr(line, ' ');

        line[strcspn(line, "\n")] = '\0';
        if (!space)
                bench_die(line, EINVAL);
        *space = '\0';
        *ret_warm = bench_number(line, UINT32_MAX);
        *ret_count = bench_number(space + 1, UINT64_MAX / 2);
}

void bench_rounds(bench_round_function round, void *data) {
        char line[64];

        while (fgets(line, sizeof(line), stdin)) {
                uint64_t warm, count, start;

                parse_round(line, &warm, &count);
                round(data, warm);
                start = bench_now();
                round(data, count);
                printf("%" PRIu64 "\n", bench_now() - start);
                fflush(stdout);
        }
}

int bench_connect(const struct sockaddr_in *address) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                bench_die("socket", errno);
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
                bench_die("connect", errno);
        return fd;
}

int bench_listen(struct sockaddr_in *ret) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                bench_die("socket", errno);
        if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                bench_die("bind", errno);
        if (listen(fd, SOMAXCONN) < 0)
                bench_die("listen", errno);
        if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
                bench_die("getsockname", errno);
        *ret = address;
        return fd;
}

void bench_reset(int fd) {
        struct linger linger = { .l_onoff = 1, .l_linger = 0 };

        if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
                bench_die("setsockopt(SO_LINGER)", errno);
        if (close(fd) < 0)
                bench_die("close", errno);
}

static void wait_for(int fd, short events) {
        struct pollfd poll_fd = { .fd = fd, .events = events };

        if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
                bench_die("poll", errno);
}

/* The sink answers with one byte when it has read everything. */
static void wait_for_receipt(int fd) {
        for (;;) {
                uint8_t byte;
                ssize_t n = read(fd, &byte, 1);

                if (n == 1)
                        return;
                if (n == 0)
                        bench_die("the sink closed early", 0);
                if (errno == EAGAIN)
                        wait_for(fd, POLLIN);
                else if (errno != EINTR)
                        bench_die("read", errno);
        }
}

/* Writes all of it, in writes of `chunk` out of the same buffer. */
static void write_all(int fd, const void *buffer, uint64_t total, size_t chunk) {
        while (total > 0) {
                ssize_t n = write(fd, buffer, total < chunk ? (size_t)total : chunk);

                if (n >= 0)
                        total -= (uint64_t)n;
                else if (errno == EAGAIN)
                        wait_for(fd, POLLOUT);
                else if (errno != EINTR)
                        bench_die("write", errno);
        }
}

void bench_upload(int fd, uint64_t total, size_t chunk) {
        struct bench_upload_header header = { .high = htonl((uint32_t)(total >> 32)), .low = htonl((uint32_t)total) };
        uint8_t *buffer = calloc(1, chunk);

        if (!buffer)
                bench_die("calloc", ENOMEM);
        write_all(fd, &header, sizeof(header), sizeof(header));
        write_all(fd, buffer, total, chunk);
        free(buffer);
        wait_for_receipt(fd);
}

/* Whether they came before the end of the connection. */
static bool discard_bytes(int fd, uint8_t *buffer, uint64_t count) {
        while (count > 0) {
                ssize_t n = read(fd, buffer, count < READ_SIZE ? (size_t)count : READ_SIZE);

                if (n == 0 || (n < 0 && errno != EINTR))
                        return false;
                if (n > 0)
                        count -= (uint64_t)n;
        }
        return true;
}

void bench_discard(int fd) {
        struct bench_upload_header header;
        uint8_t *buffer = malloc(READ_SIZE);

        if (!buffer)
                bench_die("malloc", ENOMEM);
        while (recv(fd, &header, sizeof(header), MSG_WAITALL) == (ssize_t)sizeof(header)) {
                if (!discard_bytes(fd, buffer, (uint64_t)ntohl(header.high) << 32 | ntohl(header.low)))
                        break;
                if (write(fd, "", 1) != 1)
                        break;
        }
        free(buffer);
        bench_reset(fd);
}

void bench_ping(int fd, uint64_t count, size_t size) {
        uint8_t bytes[BENCH_PING_MAX] = { 0 };

        while (count-- > 0) {
                size_t used = 0;

                if (send(fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size)
                        bench_die("send", errno);
                while (used < size) {
                        ssize_t n = recv(fd, bytes + used, size - used, 0);

                        if (n <= 0)
                                bench_die("the echo ended", n < 0 ? errno : 0);
                        used += (size_t)n;
                }
        }
}

void bench_block(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
                bench_die("fcntl", errno);
}

void bench_no_delay(int fd) {
        int on = 1;

        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
                bench_die("setsockopt(TCP_NODELAY)", errno);
}
