/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/spawner.h"

#include <errno.h>
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
#include "broker/shard_message.h"
#include "policy/policy.h"

/* How long one that the front has given up may take to end, by itself and when it is killed. */
#define FORMER_TURNS 10
#define FORMER_TURN_MS 50

struct spawner {
        const struct nb_log *log;
        int fd;       /* owned: to the front */
        int child_fd; /* owned: a signalfd of SIGCHLD */
        unsigned n_shards;
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

static sigset_t children_signals(void) {
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        return set;
}

static int watch_children(int *ret_fd) {
        const sigset_t set = children_signals();

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
        for (unsigned i = 0; i < spawner->n_shards; ++i) {
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

/* @return 0 in the new shard; 1 in the spawner; -errno */
static int start(struct spawner *spawner, unsigned number, struct nb_channel_fds *fds, struct shard_place *ret) {
        const sigset_t blocked = children_signals();
        pid_t pid;

        errno = EBUSY;
        pid = end_former(spawner, number) ? fork() : -1;
        if (pid < 0) {
                nb_log(spawner->log, NB_LOG_ERROR, "cannot start shard %u: %s", number, strerror(errno));
                return 1; /* its channel is closed, which tells the front */
        }
        if (pid == 0) {
                (void)sigprocmask(SIG_UNBLOCK, &blocked, NULL);
                fds->n = 0;
                *ret = (struct shard_place){ .n_shards = spawner->n_shards, .number = number, .fd = fds->fds[0] };
                return 0;
        }
        spawner->shards[number - 1] = pid;
        return 1;
}

/*
 * What is wanting now, and not for ever. The message waits, or is lost together with the shard's end of the channel, which tells the front; who ended for that
 * would end all shards.
 */
static bool is_passing(int r) {
        return nb_channel_is_short(r) || r == -EMFILE || r == -ENFILE;
}

/* @return as start(); -EPIPE when the front has gone */
static int serve_one(struct spawner *spawner, struct shard_place *ret) {
        struct shard_message message;
        struct nb_channel_fds fds;
        int r = -EPROTO, n = nb_channel_receive(spawner->fd, spawner->message, &fds);

        if (n == -EAGAIN || is_passing(n))
                return 1;
        if (n <= 0)
                return n < 0 ? n : -EPIPE;
        memcpy(&message, spawner->message, sizeof(message));
        if ((size_t)n == sizeof(message) && message.verb == SHARD_START && fds.n == 1 && message.number > 0 &&
            message.number <= spawner->n_shards)
                r = start(spawner, (unsigned)message.number, &fds, ret);
        nb_channel_fds_close(&fds);
        return r;
}

/* @return 0 in a new shard; 1 when the front has gone */
static int serve(struct spawner *spawner, struct shard_place *ret) {
        struct pollfd events[] = {
                { .fd = spawner->fd, .events = POLLIN },
                { .fd = spawner->child_fd, .events = POLLIN },
        };
        int r = 1;

        while (r == 1) {
                if (poll(events, 2, -1) < 0 && errno != EINTR)
                        return -errno;
                if (events[1].revents)
                        reap(spawner);
                if (events[0].revents)
                        r = serve_one(spawner, ret);
        }
        return r < 0 ? 1 : 0;
}

static void cleanup_spawner(struct spawner *spawner) {
        spawner->fd = nb_fd_close(spawner->fd);
        spawner->child_fd = nb_fd_close(spawner->child_fd);
}

static int run(const struct nb_log *log, unsigned n_shards, const char *user, int n_sockets, int fd,
               struct shard_place *ret) {
        NB_CLEANUP(cleanup_spawner)
        struct spawner spawner = { .log = log, .fd = fd, .child_fd = -1, .n_shards = n_shards };
        int r;

        handle_signals(SIG_IGN);
        leave_to_front(n_sockets);
        r = privilege_drop(user);
        if (r == 0)
                r = watch_children(&spawner.child_fd);
        if (r == 0)
                return serve(&spawner, ret);
        nb_log(log, NB_LOG_ERROR, "cannot prepare the process that starts shards: %s", strerror(-r));
        return 1;
}

int spawner_fork(const struct nb_log *log, unsigned n_shards, const char *user, struct shard_place *ret) {
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
                return run(log, n_shards, user, n_sockets, nb_steal_fd(&theirs), ret);
        }
        *ret = (struct shard_place){ .n_shards = n_shards, .fd = nb_steal_fd(&ours) };
        return 0;
}
