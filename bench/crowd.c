/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests' hosts, each in a process of its own, that do nothing once they are there.
 *
 *   crowd SOCKET ADDRESS
 *
 * A round starts that many more, all at once: each opens a session, a control, and a stream to ADDRESS, and keeps them. They end when standard
 * input does, and this program ends after the last of them, so that none is left to disturb what is measured next.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/library.h"

struct crowd {
        const char *socket_path;
        const char *address;
        int leash[2]; /* nothing is ever written; who reads is told when the other end is gone */
};

/* The library's objects are left to the end of the process. @param ready_fd  gets a byte when all is there */
_Noreturn static void be_guest(const struct crowd *crowd, int ready_fd) {
        struct nb_protocol *protocol;
        struct nb_control *control;
        char byte = 0;

        (void)close(crowd->leash[1]);
        (void)bench_session(crowd->socket_path, &protocol);
        control = bench_control(protocol, BENCH_CLIENT_ADDRESS, NB_SOCKET_STREAM);
        (void)bench_connect_stream(control, crowd->address);
        if (write(ready_fd, &byte, 1) != 1)
                _exit(EXIT_FAILURE);
        (void)close(ready_fd);
        while (read(crowd->leash[0], &byte, 1) < 0 && errno == EINTR)
                continue;
        _exit(EXIT_SUCCESS);
}

/* A guest that fails has said why, and its end of the pipe is gone without a byte. @param fd  consumed */
static void wait_for_all(int fd, uint64_t count) {
        char bytes[64];

        while (count > 0) {
                ssize_t n = read(fd, bytes, sizeof(bytes));

                if (n < 0 && errno != EINTR)
                        bench_die("read", errno);
                if (n == 0)
                        bench_die("a guest could not start", 0);
                if (n > 0)
                        count -= (uint64_t)n;
        }
        (void)close(fd);
}

static void round_start(void *data, uint64_t count) {
        const struct crowd *crowd = data;
        int ready[2];

        if (pipe2(ready, O_CLOEXEC) < 0)
                bench_die("pipe2", errno);
        for (uint64_t i = 0; i < count; ++i) {
                pid_t pid = fork();

                if (pid < 0)
                        bench_die("fork", errno);
                if (pid == 0)
                        be_guest(crowd, ready[1]);
        }
        (void)close(ready[1]);
        wait_for_all(ready[0], count);
}

/* bench/run closes standard input and sends SIGTERM at once; we end when all guests have. */
static void ignore_sigterm(void) {
        sigset_t terminate;

        sigemptyset(&terminate);
        sigaddset(&terminate, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &terminate, NULL) < 0)
                bench_die("sigprocmask", errno);
}

int main(int argc, char **argv) {
        struct crowd crowd;

        bench_init();
        if (argc != 3)
                bench_die("usage: crowd SOCKET ADDRESS", 0);
        crowd.socket_path = argv[1];
        crowd.address = argv[2];
        if (pipe2(crowd.leash, O_CLOEXEC) < 0)
                bench_die("pipe2", errno);
        ignore_sigterm();
        bench_ready(NULL);
        bench_rounds(round_start, &crowd);

        (void)close(crowd.leash[1]);
        while (wait(NULL) >= 0 || errno == EINTR)
                continue;
        return 0;
}
