/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/privilege.h"
#include "broker/shard_exec.h"
#include "broker/shard_message.h"
#include "policy/policy.h"

/* How long one that the front has given up may take to end, by itself and when it is killed. */
#define FORMER_TURNS 10
#define FORMER_TURN_MS 50

struct spawner {
        const struct nb_log *log;
        const struct spawner_plan *plan;
        int fd;       /* owned: to the front */
        int child_fd; /* owned: a signalfd of SIGCHLD */
        int audit_fd; /* owned: for shards; -1: there is none */
        pid_t shards[POLICY_SHARDS_MAX];
        uint8_t message[NB_CHANNEL_MESSAGE_MAX];
};

/* Whoever tells the service as a whole to end tells the front, too, whose end is this one's; a shard has handlers as soon as it has a loop. */
static const int front_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };

#define N_FRONT_SIGNALS (sizeof(front_signals) / sizeof(front_signals[0]))

static void handle_signals(void (*handler)(int)) {
        for (size_t i = 0; i < N_FRONT_SIGNALS; ++i)
                (void)signal(front_signals[i], handler);
}

static int watch_children(int *ret_fd) {
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        *ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return *ret_fd < 0 ? -errno : 0;
}

/*
 * What systemd gives and expects is the front's.
 * @param n_sockets  as sd_listen_fds() has told the front: to a process that systemd has not started it says that there are none
 */
static void leave_to_front(int n_sockets) {
        for (int i = 0; i < n_sockets; ++i)
                (void)close(SD_LISTEN_FDS_START + i);
        (void)sd_listen_fds(1);
        (void)unsetenv("NOTIFY_SOCKET");
        (void)unsetenv("WATCHDOG_USEC");
        (void)unsetenv("WATCHDOG_PID");
}

/* ---- ends of shards ---- */

/* @return which one it was; 0: none of those */
static unsigned forget(struct spawner *spawner, pid_t pid) {
        for (unsigned i = 0; i < spawner->plan->n_shards; ++i) {
                if (spawner->shards[i] != pid)
                        continue;
                spawner->shards[i] = 0;
                return i + 1;
        }
        return 0;
}

static void log_end(struct spawner *spawner, pid_t pid, int status) {
        unsigned number = forget(spawner, pid);
        const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

        if (WIFSIGNALED(status))
                nb_log(spawner->log, NB_LOG_ERROR, "shard %u, process %d, was killed by SIG%s", number, (int)pid,
                       name ? name : "RTMIN+");
        else if (WEXITSTATUS(status) != 0)
                nb_log(spawner->log, NB_LOG_ERROR, "shard %u, process %d, ended with status %d", number, (int)pid,
                       WEXITSTATUS(status));
}

static void reap(struct spawner *spawner) {
        struct signalfd_siginfo info;
        int status;
        pid_t pid;

        (void)!read(spawner->child_fd, &info, sizeof(info));
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                log_end(spawner, pid, status);
}

/*
 * The front has given up whoever had the number before, who may be stopped, or wait for what never comes: its keeper, its sockets and its tenants' ports are
 * the next one's. @return whether it is gone
 */
static bool end_former(struct spawner *spawner, unsigned number) {
        struct pollfd event = { .fd = spawner->child_fd, .events = POLLIN };
        const pid_t *former = &spawner->shards[number - 1];
        int turns = 0;

        while (*former > 0 && turns < 2 * FORMER_TURNS) {
                if (turns++ == FORMER_TURNS)
                        (void)kill(*former, SIGKILL);
                (void)poll(&event, 1, FORMER_TURN_MS);
                reap(spawner);
        }
        return *former == 0;
}

/* ---- starting them ---- */

/* One that cannot be started has its channel closed, which tells the front. */
static int start(struct spawner *spawner, unsigned number, int fd) {
        const struct shard_place place = { .number = number, .fd = fd, .audit_fd = spawner->audit_fd };
        int r = -EBUSY;

        if (end_former(spawner, number))
                r = shard_exec(spawner->plan->argv, &place, &spawner->shards[number - 1]);
        if (r < 0)
                nb_log(spawner->log, NB_LOG_ERROR, "cannot start shard %u: %s", number, strerror(-r));
        return 0;
}

/*
 * In a shortage the message waits, or is lost together with the shard's end of the channel, which tells the front; who ended for that would end all shards.
 *
 * @return 0; -EPIPE when the front has gone; another -errno
 */
static int serve_one(struct spawner *spawner) {
        struct shard_message message;
        struct nb_channel_fds fds;
        int r = -EPROTO, n = nb_channel_receive(spawner->fd, spawner->message, &fds);

        if (n == -EAGAIN || nb_is_shortage(n))
                return 0;
        if (n <= 0)
                return n < 0 ? n : -EPIPE;
        memcpy(&message, spawner->message, sizeof(message));
        if ((size_t)n == sizeof(message) && message.verb == SHARD_START && fds.n == 1 && message.number > 0 &&
            message.number <= spawner->plan->n_shards)
                r = start(spawner, (unsigned)message.number, fds.fds[0]);
        nb_channel_fds_close(&fds);
        return r;
}

/* Until the front has gone. */
static void serve(struct spawner *spawner) {
        struct pollfd events[] = {
                { .fd = spawner->fd, .events = POLLIN },
                { .fd = spawner->child_fd, .events = POLLIN },
        };
        int r = 0;

        while (r == 0) {
                if (poll(events, 2, -1) < 0 && errno != EINTR)
                        return;
                if (events[1].revents)
                        reap(spawner);
                if (events[0].revents)
                        r = serve_one(spawner);
        }
}

static void cleanup_spawner(struct spawner *spawner) {
        spawner->fd = nb_fd_close(spawner->fd);
        spawner->child_fd = nb_fd_close(spawner->child_fd);
        spawner->audit_fd = nb_fd_close(spawner->audit_fd);
}

/* With a number that is no other descriptor's in a shard. */
static int take_audit(struct spawner *spawner) {
        if (spawner->plan->audit_fd < 0)
                return 0;
        spawner->audit_fd = fcntl(spawner->plan->audit_fd, F_DUPFD_CLOEXEC, SHARD_EXEC_FD_END);
        return spawner->audit_fd < 0 ? -errno : 0;
}

/* @param n_sockets  of systemd's @param fd  consumed */
static void run(const struct nb_log *log, const struct spawner_plan *plan, int n_sockets, int fd) {
        NB_CLEANUP(cleanup_spawner)
        struct spawner spawner = { .log = log, .plan = plan, .fd = fd, .child_fd = -1, .audit_fd = -1 };
        int r;

        handle_signals(SIG_IGN);
        leave_to_front(n_sockets);
        r = privilege_drop_for_programs(plan->user);
        if (r == 0)
                r = watch_children(&spawner.child_fd);
        if (r == 0)
                r = take_audit(&spawner);
        if (r == 0)
                serve(&spawner);
        else
                nb_log(log, NB_LOG_ERROR, "cannot prepare the process that starts shards: %s", strerror(-r));
}

int spawner_fork(const struct nb_log *log, const struct spawner_plan *plan, int *ret_fd) {
        NB_CLEANUP_FD int ours = -1, theirs = -1;
        int n_sockets = sd_listen_fds(0), ends[2], r = nb_channel_pair(ends);
        pid_t pid;

        if (r < 0)
                return r;
        ours = ends[0];
        theirs = ends[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                ours = nb_fd_close(ours);
                run(log, plan, n_sockets, nb_steal_fd(&theirs));
                return 1;
        }
        *ret_fd = nb_steal_fd(&ours);
        return 0;
}
