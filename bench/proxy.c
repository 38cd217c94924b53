/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same through the proxies that people confine programs with today.
 *
 *   proxy socks PROXY ADDRESS        a round connects by SOCKS5 (RFC 1928), without authentication, and closes
 *   proxy http PROXY ADDRESS         a round connects by HTTP CONNECT (RFC 9110, 9.3.6) and closes
 *   proxy socks|http PROXY ADDRESS touch
 *                                    a round has a byte echoed in between
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/common.h"

struct proxy {
        struct sockaddr_in proxy;
        struct sockaddr_in address;
        char request[128]; /* of HTTP */
        size_t length;
        bool touches; /* whether a byte is echoed */
};

static void send_all(int fd, const void *bytes, size_t length) {
        if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length)
                bench_die("send to the proxy", errno);
}

static void receive_all(int fd, uint8_t *bytes, size_t length) {
        if (recv(fd, bytes, length, MSG_WAITALL) != (ssize_t)length)
                bench_die("receive from the proxy", errno);
}

static void socks_handshake(int fd, const struct sockaddr_in *address) {
        const uint8_t greeting[] = { 5, 1, 0 };
        uint8_t request[10] = { 5, 1, 0, 1 };
        uint8_t answer[10];

        send_all(fd, greeting, sizeof(greeting));
        receive_all(fd, answer, 2);
        if (answer[0] != 5 || answer[1] != 0)
                bench_die("the proxy wants a password", 0);

        memcpy(request + 4, &address->sin_addr, 4);
        memcpy(request + 8, &address->sin_port, 2);
        send_all(fd, request, sizeof(request));
        receive_all(fd, answer, sizeof(answer));
        if (answer[1] != 0)
                bench_die("the proxy refused", 0);
}

/* The answer ends with an empty line; nothing follows, for the sink says nothing. */
static void http_handshake(int fd, const char *request, size_t request_length) {
        char answer[4096];
        size_t length = 0;

        send_all(fd, request, request_length);
        do {
                ssize_t n = recv(fd, answer + length, sizeof(answer) - 1 - length, 0);

                if (n <= 0)
                        bench_die("receive from the proxy", n < 0 ? errno : 0);
                length += (size_t)n;
                answer[length] = '\0';
        } while (!strstr(answer, "\r\n\r\n"));
        if (length < 12 || strncmp(answer + 8, " 200", 4) != 0)
                bench_die("the proxy refused", 0);
}

/* @param fd  consumed */
static void finish(const struct proxy *proxy, int fd) {
        if (proxy->touches)
                bench_ping(fd, 1, 1);
        bench_reset(fd);
}

static void round_socks(void *data, uint64_t count) {
        const struct proxy *proxy = data;

        while (count-- > 0) {
                int fd = bench_connect(&proxy->proxy);

                socks_handshake(fd, &proxy->address);
                finish(proxy, fd);
        }
}

static void round_http(void *data, uint64_t count) {
        const struct proxy *proxy = data;

        while (count-- > 0) {
                int fd = bench_connect(&proxy->proxy);

                http_handshake(fd, proxy->request, proxy->length);
                finish(proxy, fd);
        }
}

int main(int argc, char **argv) {
        struct proxy proxy;

        bench_init();
        if (argc < 4 || argc > 5 || (strcmp(argv[1], "socks") != 0 && strcmp(argv[1], "http") != 0) ||
            (argc == 5 && strcmp(argv[4], "touch") != 0))
                bench_die("usage: proxy socks|http PROXY ADDRESS [touch]", 0);
        bench_address(argv[2], &proxy.proxy);
        bench_address(argv[3], &proxy.address);
        proxy.length = (size_t)snprintf(proxy.request, sizeof(proxy.request),
                                        "CONNECT %.22s HTTP/1.1\r\nHost: %.22s\r\n\r\n", argv[3], argv[3]);
        proxy.touches = argc == 5;
        bench_ready(NULL);
        bench_rounds(strcmp(argv[1], "socks") == 0 ? round_socks : round_http, &proxy);
        return 0;
}
