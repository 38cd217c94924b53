/* SPDX-License-Identifier: Apache-2.0 */
#include "run/private_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"

/*
 * How long a broker whose session is over may take to end, which is more than it gives what the guest has left behind (netbrokerd(8)); after how much of that it is
 * said what is waited for; and how long it may take once it was told to end.
 */
#define END_TIMEOUT_MS 15000
#define QUIET_MS 2000
#define TOLD_TIMEOUT_MS 5000

/* What a child does that could not become a broker; nobody reads it, for the errno comes by the pipe. */
#define EXIT_NOT_STARTED 127

#define FD_TEXT_MAX 16

const char *private_broker_program(void) {
        const char *program = secure_getenv(PRIVATE_BROKER_VARIABLE);

        return program && *program != '\0' ? program : NETBROKERD_PATH;
}

/* What the broker's relays are started by; NULL: what the broker knows itself. */
static const char *relay_program(void) {
        const char *program = secure_getenv(PRIVATE_BROKER_RELAY_VARIABLE);

        return program && *program != '\0' ? program : NULL;
}

/* Asks the kernel for SIGTERM when the lifeline has no writer any more. It outlasts execve() with the descriptor. */
static int hold_lifeline(int fd) {
        if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETSIG, SIGTERM) < 0 || fcntl(fd, F_SETFL, O_ASYNC) < 0)
                return -errno;
        return 0;
}

static int keep_over_exec(int fd) {
        return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

/* Standard input and output are the guest's; the broker has standard error. */
static int settle_streams(void) {
        NB_CLEANUP_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
                return -errno;
        return 0;
}

/*
 * Becomes the broker. Runs in the child of a process without threads, so that it may call what it likes.
 * @return -errno when it could not
 */
static int become_broker(const char *policy, const char *log_level, int session_fd, int lifeline_fd) {
        const char *program = private_broker_program();
        const char *relay = relay_program();
        char fd_text[FD_TEXT_MAX];
        int r;

        r = hold_lifeline(lifeline_fd);
        if (r >= 0)
                r = keep_over_exec(lifeline_fd);
        if (r >= 0)
                r = keep_over_exec(session_fd);
        if (r < 0)
                return r;
        r = settle_streams();
        if (r < 0)
                return r;

        snprintf(fd_text, sizeof(fd_text), "%d", session_fd);
        /* A path, and never a name to look for: what PATH finds could be anybody's. */
        execl(program, program, "--session-fd", fd_text, "--policy", policy, "--data-path", "direct", "--log-level",
              log_level, relay ? "--relay-program" : (char *)NULL, relay, (char *)NULL);
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

/* A pipe, both ends CLOEXEC and owned by the caller. */
static int make_pipe(int *ret_read, int *ret_write) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        *ret_read = ends[0];
        *ret_write = ends[1];
        return 0;
}

int private_broker_start(const char *policy, const char *log_level, struct private_broker *ret, int *ret_session) {
        NB_CLEANUP_FD int exec_read = -1, exec_write = -1, lifeline_read = -1, lifeline_write = -1;
        NB_CLEANUP_FD int ours = -1, theirs = -1, pid_fd = -1;
        int ends[2], r;
        pid_t pid;

        r = nb_channel_pair(ends);
        if (r < 0)
                return r;
        ours = ends[0];
        theirs = ends[1];
        r = make_pipe(&exec_read, &exec_write);
        if (r >= 0)
                r = make_pipe(&lifeline_read, &lifeline_write);
        if (r < 0)
                return r;

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                lifeline_write = nb_fd_close(lifeline_write);
                r = become_broker(policy, log_level, theirs, lifeline_read);
                (void)!write(exec_write, &r, sizeof(r)); /* if that fails too, the session ends at once */
                _exit(EXIT_NOT_STARTED);
        }

        exec_write = nb_fd_close(exec_write);
        r = wait_for_exec(exec_read);
        if (r >= 0) {
                pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
                r = pid_fd < 0 ? -errno : 0;
        }
        if (r < 0) {
                (void)kill(pid, SIGKILL);
                (void)reap(pid);
                return r;
        }

        *ret = (struct private_broker){ .pid = pid,
                                        .pid_fd = nb_steal_fd(&pid_fd),
                                        .lifeline = nb_steal_fd(&lifeline_write) };
        *ret_session = nb_steal_fd(&ours);
        return 0;
}

/* @return whether the child has ended in time. */
static bool has_ended(int pid_fd, int timeout_ms) {
        struct pollfd pollfd = { .fd = pid_fd, .events = POLLIN };

        while (poll(&pollfd, 1, timeout_ms) < 0) {
                if (errno != EINTR)
                        return false;
        }
        return pollfd.revents != 0;
}

/* @param log  as private_broker_wait() @return whether it has ended by itself */
static bool wait_for_delivery(int pid_fd, const struct nb_log *log) {
        if (has_ended(pid_fd, QUIET_MS))
                return true;
        if (log)
                nb_log(log, NB_LOG_NOTICE,
                       "the guest has ended, and what it wrote is still being delivered; a signal, such as that of "
                       "Ctrl-C, ends that");
        return has_ended(pid_fd, END_TIMEOUT_MS - QUIET_MS);
}

int private_broker_wait(struct private_broker *broker, const struct nb_log *log) {
        pid_t pid = broker->pid;
        bool ended;

        if (pid < 0)
                return 0;
        ended = wait_for_delivery(broker->pid_fd, log);
        broker->lifeline = nb_fd_close(broker->lifeline);
        if (!ended)
                ended = has_ended(broker->pid_fd, TOLD_TIMEOUT_MS);

        broker->pid = -1;
        broker->pid_fd = nb_fd_close(broker->pid_fd);
        return ended ? reap(pid) : -ETIMEDOUT;
}
