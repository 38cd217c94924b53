/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams to a server that echoes them, from many peers.
 *
 *   udp echo              the base line: a server by plain socket calls
 *   udp peers ADDRESS N   a round sends a datagram and waits for its answer, a peer after the other
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "bench/common.h"

#define SIZE 64
#define PEERS_MAX 19000
#define PATIENCE 5 /* seconds for an answer */

struct peers {
        int *fds;
        size_t n;
        size_t next;
};

static int open_socket(void) {
        struct timeval patience = { .tv_sec = PATIENCE };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                bench_die("socket", errno);
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
                bench_die("setsockopt(SO_RCVTIMEO)", errno);
        return fd;
}

static void exchange(int fd) {
        uint8_t bytes[SIZE] = { 0 };

        if (send(fd, bytes, sizeof(bytes), 0) != SIZE)
                bench_die("send", errno);
        if (recv(fd, bytes, sizeof(bytes), 0) != SIZE)
                bench_die("no answer", errno);
}

static void round_peers(void *data, uint64_t count) {
        struct peers *peers = data;

        while (count-- > 0) {
                exchange(peers->fds[peers->next]);
                peers->next = (peers->next + 1) % peers->n;
        }
}

/* Each is known to the server before the first round. */
static void main_peers(const char *text, size_t n) {
        struct peers peers = { .fds = calloc(n, sizeof(int)), .n = n };
        struct sockaddr_in address;

        if (!peers.fds)
                bench_die("calloc", ENOMEM);
        bench_address(text, &address);
        for (size_t i = 0; i < n; ++i) {
                peers.fds[i] = open_socket();
                if (connect(peers.fds[i], (struct sockaddr *)&address, sizeof(address)) < 0)
                        bench_die("connect", errno);
                exchange(peers.fds[i]);
        }
        bench_ready(NULL);
        bench_rounds(round_peers, &peers);
}

_Noreturn static void echo(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char text[32];

        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                bench_die("bind", errno);
        if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
                bench_die("getsockname", errno);
        bench_address_format(&address, text, sizeof(text));
        bench_ready(text);
        for (;;) {
                uint8_t bytes[SIZE];
                ssize_t n;

                length = sizeof(address);
                n = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&address, &length);
                if (n >= 0)
                        (void)sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&address, length);
        }
}

int main(int argc, char **argv) {
        bench_init();
        if (argc == 2 && strcmp(argv[1], "echo") == 0)
                echo();
        if (argc != 4 || strcmp(argv[1], "peers") != 0)
                bench_die("usage: udp echo | udp peers ADDRESS N", 0);
        main_peers(argv[2], bench_number(argv[3], PEERS_MAX));
        return 0;
}
