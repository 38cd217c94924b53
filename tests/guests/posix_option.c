/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix_option HOST PORT: options before there is a connection and after. PORT echoes.
 */
#include <netinet/tcp.h>

#include "tests/guests/posix.h"

static void get(const char *what, int fd, int level, int name) {
        socklen_t length = sizeof(int);
        int value = -1;

        if (getsockopt(fd, level, name, &value, &length) < 0)
                printf("%s: %s\n", what, error_name(errno));
        else
                printf("%s: %d, %u bytes\n", what, value, (unsigned)length);
}

static void set(const char *what, int fd, int level, int name, int value) {
        if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
                printf("%s = %d: %s\n", what, value, error_name(errno));
        else
                get(what, fd, level, name);
}

#define GET(level, name) get(#name, fd, level, name)
#define SET(level, name, value) set(#name, fd, level, name, value)

static void boolean(int fd) {
        SET(SOL_SOCKET, SO_REUSEADDR, 1);
        SET(SOL_SOCKET, SO_REUSEADDR, 0);
        SET(SOL_SOCKET, SO_KEEPALIVE, 7);
        SET(IPPROTO_TCP, TCP_NODELAY, 1);
}

static void numbers(int fd) {
        SET(IPPROTO_TCP, TCP_KEEPIDLE, 11);
        SET(IPPROTO_TCP, TCP_KEEPINTVL, 12);
        SET(IPPROTO_TCP, TCP_KEEPCNT, 3);
        SET(IPPROTO_TCP, TCP_USER_TIMEOUT, 4000);
        SET(IPPROTO_TCP, TCP_KEEPIDLE, 0);
        SET(IPPROTO_TCP, TCP_KEEPIDLE, 32768);
        SET(IPPROTO_TCP, TCP_KEEPINTVL, 0);
        SET(IPPROTO_TCP, TCP_KEEPINTVL, 32768);
        SET(IPPROTO_TCP, TCP_KEEPCNT, 0);
        SET(IPPROTO_TCP, TCP_KEEPCNT, 128);
        SET(IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
}

static void facts(int fd) {
        GET(SOL_SOCKET, SO_ERROR);
        GET(SOL_SOCKET, SO_ACCEPTCONN);
        GET(SOL_SOCKET, SO_PROTOCOL);
        get("no option", fd, SOL_SOCKET, 12345);
        set("no option", fd, SOL_SOCKET, 12345, 1);
}

static void lengths(int fd) {
        int value = 1;
        socklen_t length = 0;
        struct linger linger = { .l_onoff = 0 };

        SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1));
        SHOW(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &length));
        printf("%u bytes\n", (unsigned)length);
        SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
        SHOW(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 1));
        length = sizeof(linger);
        SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
        printf("%d, %u bytes\n", linger.l_onoff, (unsigned)length);
}

/* The family and the type have numbers of their own everywhere. */
static void kind(int fd, int family) {
        socklen_t length = sizeof(int);
        int value = -1;

        CHECK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) == 0);
        CHECK(value == SOCK_STREAM);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length) == 0);
        CHECK(value == family);
}

/* Linux gives twice what is asked for, so more or less is all there is to say. */
static void buffers(int fd) {
        socklen_t length = sizeof(int);
        int value = 65536;

        CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value)) == 0);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &length) == 0);
        CHECK(value >= 65536);
        value = 65536;
        CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value)) == 0);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &length) == 0);
        CHECK(value >= 65536);
}

int main(int argc, char **argv) {
        struct sockaddr_storage address;
        socklen_t length;
        int fd;

        CHECK(argc == 3);
        length = numeric_address(argv[1], argv[2], SOCK_STREAM, &address);
        fd = socket(address.ss_family, SOCK_STREAM, 0);
        CHECK(fd >= 0);
        printf("unconnected\n");
        kind(fd, address.ss_family);
        boolean(fd);
        numbers(fd);
        buffers(fd);
        facts(fd);
        lengths(fd);
        if (address.ss_family == AF_INET6)
                SET(IPPROTO_IPV6, IPV6_V6ONLY, 1);

        printf("connected\n");
        CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
        GET(SOL_SOCKET, SO_KEEPALIVE);
        GET(IPPROTO_TCP, TCP_NODELAY);
        GET(IPPROTO_TCP, TCP_KEEPIDLE);
        GET(IPPROTO_TCP, TCP_USER_TIMEOUT);
        kind(fd, address.ss_family);
        SET(IPPROTO_TCP, TCP_NODELAY, 0);
        boolean(fd);
        numbers(fd);
        buffers(fd);
        facts(fd);
        CHECK(close(fd) == 0);
        return 0;
}
