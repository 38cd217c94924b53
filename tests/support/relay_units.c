/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/relay_units.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/harness.h"

#define CHANNEL_FD 3

static void run_instance(int fd) {
        const char *program = getenv("NETBROKER_RELAY");
        char pid[16];

        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
        if (!program || (fd != CHANNEL_FD && dup2(fd, CHANNEL_FD) < 0))
                _exit(126);
        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        if (setenv("LISTEN_FDS", "1", 1) < 0 || setenv("LISTEN_PID", pid, 1) < 0)
                _exit(126);
        (void)close_range(CHANNEL_FD + 1, ~0U, 0);
        (void)execl(program, program, (char *)NULL);
        _exit(127);
}

/* The kernel reaps the instances: nobody waits for them. */
static void serve(int listen_fd) {
        (void)signal(SIGCHLD, SIG_IGN);
        (void)prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L);
        for (;;) {
                int fd = accept4(listen_fd, NULL, NULL, 0);
                pid_t pid = fd < 0 ? -1 : fork();

                if (pid < 0)
                        _exit(1);
                if (pid == 0)
                        run_instance(fd);
                (void)close(fd);
        }
}

void relay_units_start(struct relay_units *units, const char *folder) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        ck_assert_int_lt(snprintf(units->path, sizeof(units->path), "%s/relay.sock", folder), (int)sizeof(sa.sun_path));
        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", units->path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        units->pid = fork();
        ck_assert_int_ge(units->pid, 0);
        if (units->pid == 0)
                serve(fd);
}

void relay_units_stop(struct relay_units *units) {
        ck_assert_int_eq(kill(units->pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(units->pid, NULL, 0), units->pid);
        units->pid = -1;
        (void)unlink(units->path);
}

size_t relay_units_list(const struct relay_units *units, pid_t *ret, size_t max) {
        return harness_children(units->pid, ret, max);
}

void relay_units_wait(const struct relay_units *units, size_t n) {
        uint64_t start_ms = harness_now_ms();
        pid_t pids[64];

        while (relay_units_list(units, pids, sizeof(pids) / sizeof(pids[0])) != n)
                harness_wait_a_moment(start_ms, "relays to start or to end");
}
