/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that two processes can do: one asks, the other connects and passes the descriptor.
 *
 *   bare ADDRESS   a round asks, receives the descriptor, and closes
 *
 * No policy, no encoding, no event loop, no session. What the broker takes longer than this is the price of being a
 * broker. The helper's process id is what "ready" carries instead of an address, so that bench/run can place it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"

union control_buffer {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr alignment;
};

struct bare {
        int channel;
        struct sockaddr_in address;
};

static void send_fd(int channel, int fd) {
        char byte = 0;
        struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
        union control_buffer control = { 0 };
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control.bytes),
        };
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
        if (sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
                bench_die("sendmsg", errno);
}

static int receive_fd(int channel) {
        char byte;
        struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
        union control_buffer control;
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof(control.bytes),
        };
        const struct cmsghdr *cmsg;
        int fd;

        if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) <= 0)
                bench_die("recvmsg", errno);
        cmsg = CMSG_FIRSTHDR(&message);
        if (!cmsg || cmsg->cmsg_len != CMSG_LEN(sizeof(int)))
                bench_die("no descriptor came", 0);
        memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
        return fd;
}

_Noreturn static void help(int channel) {
        struct sockaddr_in address;

        while (recv(channel, &address, sizeof(address), 0) == (ssize_t)sizeof(address)) {
                int fd = bench_connect(&address);

                send_fd(channel, fd);
                (void)close(fd);
        }
        _exit(0);
}

static void round_connect(void *data, uint64_t count) {
        const struct bare *bare = data;

        while (count-- > 0) {
                struct iovec iov = { .iov_base = (void *)&bare->address, .iov_len = sizeof(bare->address) };
                struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

                if (sendmsg(bare->channel, &message, MSG_NOSIGNAL) < 0)
                        bench_die("sendmsg", errno);
                bench_reset(receive_fd(bare->channel));
        }
}

int main(int argc, char **argv) {
        struct bare bare;
        int channels[2];
        char text[32];
        pid_t helper;

        bench_init();
        if (argc != 2)
                bench_die("usage: bare ADDRESS", 0);
        bench_address(argv[1], &bare.address);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channels) < 0)
                bench_die("socketpair", errno);
        helper = fork();
        if (helper < 0)
                bench_die("fork", errno);
        if (helper == 0) {
                (void)close(channels[0]);
                help(channels[1]);
        }
        (void)close(channels[1]);
        bare.channel = channels[0];
        snprintf(text, sizeof(text), "%" PRIdMAX, (intmax_t)helper);
        bench_ready(text);
        bench_rounds(round_connect, &bare);
        return 0;
}
