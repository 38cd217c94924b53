/* SPDX-License-Identifier: Apache-2.0 */
#include "run/private_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"

/* How long a broker whose session is over may take to end. */
#define END_TIMEOUT_MS 5000

/* What a child does that could not become a broker; nobody reads it, for the errno comes by the pipe. */
#define EXIT_NOT_STARTED 127

#define FD_TEXT_MAX 16

const char *private_broker_program(void) {
        const char *program = getenv(PRIVATE_BROKER_VARIABLE);

        return program && *program != '\0' ? program : NETBROKERD_PATH;
}

/*
 * Becomes the broker. Runs in the child of a process without threads, so that it may call what it likes.
 * @return -errno when it could not
 */
static int become_broker(const char *policy, const char *log_level, int session_fd, pid_t parent) {
        const char *program = private_broker_program();
        char fd_text[FD_TEXT_MAX];

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;
        /* The parent may have died before the kernel was told. */
        if (getppid() != parent)
                return -ESRCH;
        if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || fcntl(session_fd, F_SETFD, 0) < 0)
                return -errno;

        snprintf(fd_text, sizeof(fd_text), "%d", session_fd);
        execlp(program, program, "--session-fd", fd_text, "--policy", policy, "--data-path", "direct", "--log-level",
               log_level, (char *)NULL);
        return -errno;
}

/* Waits until the child is a broker, which closes its end of the pipe, or has written why it is none. */
static int wait_for_exec(int fd) {
        int error;
        ssize_t n;

        do {
                n = read(fd, &error, sizeof(error));
        } while (n < 0 && errno == EINTR);
        return n == (ssize_t)sizeof(error) ? error : 0;
}

static int reap(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0) {
                if (errno != EINTR)
                        return -errno;
        }
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int private_broker_start(const char *policy, const char *log_level, struct private_broker *ret, int *ret_session) {
        NB_CLEANUP_FD int ours = -1, theirs = -1, exec_read = -1, exec_write = -1, pid_fd = -1;
        pid_t parent = getpid(), pid;
        int ends[2], r;

        r = nb_channel_pair(ends);
        if (r < 0)
                return r;
        ours = ends[0];
        theirs = ends[1];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        exec_read = ends[0];
        exec_write = ends[1];

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                r = become_broker(policy, log_level, theirs, parent);
                if (write(exec_write, &r, sizeof(r)) < 0)
                        _exit(EXIT_NOT_STARTED);
                _exit(EXIT_NOT_STARTED);
        }

        exec_write = nb_fd_close(exec_write);
        r = wait_for_exec(exec_read);
        if (r < 0) {
                (void)reap(pid);
                return r;
        }
        pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);

        ret->pid = pid;
        ret->pid_fd = nb_steal_fd(&pid_fd);
        *ret_session = nb_steal_fd(&ours);
        return 0;
}

/* @return whether the child has ended in time. Without a pidfd (a kernel before 5.3) there is nothing to wait on but the child. */
static bool has_ended(int pid_fd) {
        struct pollfd pollfd = { .fd = pid_fd, .events = POLLIN };

        if (pid_fd < 0)
                return true;
        while (poll(&pollfd, 1, END_TIMEOUT_MS) < 0) {
                if (errno != EINTR)
                        return true;
        }
        return pollfd.revents != 0;
}

int private_broker_wait(struct private_broker *broker) {
        pid_t pid = broker->pid;
        bool ended;

        if (pid < 0)
                return 0;
        broker->pid = -1;
        ended = has_ended(broker->pid_fd);
        broker->pid_fd = nb_fd_close(broker->pid_fd);
        if (!ended && kill(pid, SIGKILL) < 0)
                return -ETIMEDOUT;
        return reap(pid);
}
