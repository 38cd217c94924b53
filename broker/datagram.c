/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/datagram.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Where the source stands: in the network header, which is reached by SKF_NET_OFF (RFC 791 section 3.1, RFC 8200 section 3) … */
#define SOURCE_OFFSET_IPV4 12
#define SOURCE_OFFSET_IPV6 8

/* … and in the UDP header (RFC 768), where a filter's own offsets begin. */
#define SOURCE_PORT_OFFSET 0

/* Two instructions for each of up to four words of the address, two for the port, and two to return. */
#define INSTRUCTIONS_MAX 12

/* What a filter returns is how many bytes it lets through. */
#define DROP BPF_STMT(BPF_RET | BPF_K, 0)
#define PASS BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)

/* What a server's socket holds of all its peers while others have their turn. */
#define SERVER_BUFFER (1024 * 1024)

struct program {
        struct sock_filter instructions[INSTRUCTIONS_MAX];
        unsigned short n;
};

static void append(struct program *program, struct sock_filter instruction) {
        program->instructions[program->n++] = instruction;
}

/* Goes on if the word or half-word there is `value`, or to the end of the program, which is `length` instructions long. */
static void append_test(struct program *program, uint16_t size, uint32_t offset, uint32_t value, unsigned length) {
        append(program, (struct sock_filter)BPF_STMT((uint16_t)(BPF_LD | BPF_ABS) | size, offset));
        /* Counted from the instruction behind the jump. */
        append(program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0,
                                                     (uint8_t)(length - 1 - program->n - 1)));
}

static int attach(int fd, struct program *program) {
        const struct sock_fprog fprog = { .len = program->n, .filter = program->instructions };

        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog)) < 0 ? -errno : 0;
}

int datagram_shut(int fd) {
        struct program program = { .n = 0 };

        append(&program, (struct sock_filter)DROP);
        return attach(fd, &program);
}

/* IPv6 sockets that serve IPv4 as well tell both addresses by the one option. */
static int tell_local_address(int fd, sa_family_t family) {
        const int on = 1;
        int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
        int option = family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO;

        return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* Whose a datagram is: a name is not (relay/datagram/route.h). */
static int tell_users(int fd) {
        const int on = 1;

        return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int detach(int fd) {
        const int unused = 0;

        return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) < 0 ? -errno : 0;
}

int datagram_take_from_unix(int fd) {
        const struct sockaddr any = { .sa_family = AF_UNIX };

        /* EINVAL: it has a name. */
        if (bind(fd, &any, sizeof(any.sa_family)) < 0 && errno != EINVAL)
                return -errno;
        return detach(fd);
}

int datagram_let_in(int fd, const struct nb_socket_address *bind) {
        const int size = SERVER_BUFFER;
        int r = 0;

        /* The kernel gives what it may; less is no error. */
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
        if (bind->family == AF_UNIX)
                r = tell_users(fd);
        else if (nb_ip_is_unspecified(&bind->ip.ip))
                r = tell_local_address(fd, bind->family);
        return r < 0 ? r : detach(fd);
}

static uint32_t word_of(const uint8_t *bytes) {
        return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

int datagram_take_from(int fd, const struct nb_address *peer) {
        bool is_ipv4 = peer->ip.family == AF_INET;
        unsigned n_words = is_ipv4 ? 1 : 4, length = 2 * n_words + 4;
        uint32_t source = (uint32_t)SKF_NET_OFF + (is_ipv4 ? SOURCE_OFFSET_IPV4 : SOURCE_OFFSET_IPV6);
        struct program program = { .n = 0 };
        const int lock = 1;
        int r;

        for (unsigned i = 0; i < n_words; ++i)
                append_test(&program, BPF_W, source + 4 * i, word_of(peer->ip.bytes + 4 * i), length);
        append_test(&program, BPF_H, SOURCE_PORT_OFFSET, peer->port, length);
        append(&program, (struct sock_filter)PASS);
        append(&program, (struct sock_filter)DROP);
        r = attach(fd, &program);
        if (r < 0)
                return r;
        return setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &lock, sizeof(lock)) < 0 ? -errno : 0;
}
