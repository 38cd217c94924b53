/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/relay_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <seccomp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "broker/broker.h"
#include "broker/own.h"
#include "loop/deadline.h"
#include "broker/calls.h"

/* How long a relay may take to end when its channel is closed. */
#define END_MS 5000

/* Where a relay finds its channel, as an instance of an Accept=yes unit does (sd_listen_fds(3)). */
#define CHANNEL_FD 3

/*
 * What a relay is told of the broker's environment: that standard error is the journal, and how sanitizers are to report, where it was built
 * with them.
 */
static const char *const passed_variables[] = { "JOURNAL_STREAM", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS" };

#define N_PASSED_VARIABLES (sizeof(passed_variables) / sizeof(passed_variables[0]))

struct relay_launcher {
        struct broker *broker;
        const char *program;
        struct sockaddr_un address; /* of systemd's socket; its path is empty without one */
        struct own_socket *own;     /* no tenant reaches that */
        struct nb_list processes;
};

struct relay_process {
        uv_process_t handle;
        struct nb_list in_launcher;
        struct broker *broker;
        struct deadline *deadline;
        char *owner;   /* "tenant acme" */
        bool released; /* nobody has it any more */
        bool killed;   /* by us */
};

/* ---- its end ---- */

static void closed(uv_handle_t *handle) {
        struct relay_process *process = handle->data;

        free(process->owner);
        free(process);
}

static void close_process(struct relay_process *process) {
        process->deadline = deadline_free(process->deadline);
        nb_list_remove(&process->in_launcher);
        uv_close((uv_handle_t *)&process->handle, closed);
}

static const char *signal_meaning(int number) {
        switch (number) {
        case SIGSYS:
                return ": it made a system call that it may not";
        case SIGKILL:
                return ": by an operator, or for want of memory";
        case SIGABRT:
                return ": it found a mistake of its own";
        case SIGSEGV:
        case SIGBUS:
        case SIGILL:
        case SIGFPE:
                return ": it crashed";
        default:
                return "";
        }
}

static void log_end(const struct relay_process *process, int64_t status, int number) {
        const struct nb_log *log = &process->broker->log;
        int pid = process->handle.pid;

        if (process->killed)
                nb_log(log, NB_LOG_INFO, "%s: its relay %d is ended", process->owner, pid);
        else if (number != 0)
                nb_log(log, NB_LOG_ERROR, "%s: its relay %d was killed by SIG%s%s", process->owner, pid,
                       sigabbrev_np(number) ? sigabbrev_np(number) : "RTMIN+", signal_meaning(number));
        else if (status != 0)
                nb_log(log, NB_LOG_ERROR, "%s: its relay %d ended with status %d", process->owner, pid, (int)status);
        else
                nb_log(log, process->released ? NB_LOG_DEBUG : NB_LOG_WARNING, "%s: its relay %d ended", process->owner,
                       pid);
}

static void exited(uv_process_t *handle, int64_t status, int number) {
        struct relay_process *process = handle->data;

        log_end(process, status, number);
        if (process->released)
                close_process(process);
        /* Otherwise its channel ends too, and whoever has it releases it. */
}

static void kill_process(struct relay_process *process) {
        process->killed = true;
        (void)uv_process_kill(&process->handle, SIGKILL);
}

static void does_not_end(void *data) {
        struct relay_process *process = data;

        nb_log(&process->broker->log, NB_LOG_ERROR, "%s: its relay %d does not end: it is killed", process->owner,
               process->handle.pid);
        process->deadline = deadline_free(process->deadline);
        kill_process(process);
}

struct relay_process *relay_process_release(struct relay_process *process, bool kill_now) {
        if (!process)
                return NULL;
        process->released = true;
        if (!uv_is_active((uv_handle_t *)&process->handle)) {
                close_process(process);
                return NULL;
        }
        if (!kill_now)
                process->deadline = deadline_new(&process->broker->loop, END_MS, does_not_end, process);
        /* Without memory for a timer it does not get the time. */
        if (!process->deadline)
                kill_process(process);
        return NULL;
}

pid_t relay_process_pid(const struct relay_process *process) {
        return process ? process->handle.pid : 0;
}

/* ---- by fork and exec ---- */

static char *copy_variable(const char *name) {
        const char *value = secure_getenv(name);
        char *text = NULL;

        return value && asprintf(&text, "%s=%s", name, value) >= 0 ? text : NULL;
}

static int spawn(struct relay_process *process, const char *program, int channel_fd) {
        char *environment[N_PASSED_VARIABLES + 1] = { NULL };
        char *arguments[] = { (char *)program, NULL };
        uv_stdio_container_t stdio[CHANNEL_FD + 1] = {
                [STDIN_FILENO] = { .flags = UV_IGNORE },
                [STDOUT_FILENO] = { .flags = UV_IGNORE },
                [STDERR_FILENO] = { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
                [CHANNEL_FD] = { .flags = UV_INHERIT_FD, .data.fd = channel_fd },
        };
        const uv_process_options_t options = {
                .exit_cb = exited,
                .file = program,
                .args = arguments,
                .env = environment,
                .cwd = "/",
                .stdio_count = CHANNEL_FD + 1,
                .stdio = stdio,
        };
        size_t n = 0;
        int r;

        for (size_t i = 0; i < N_PASSED_VARIABLES; ++i) {
                environment[n] = copy_variable(passed_variables[i]);
                n += environment[n] != NULL;
        }
        r = uv_spawn(&process->broker->loop, &process->handle, &options);
        for (size_t i = 0; i < n; ++i)
                free(environment[i]);
        return r;
}

static int start_process(struct relay_launcher *launcher, const char *owner, int channel_fd,
                         struct relay_process **ret) {
        struct relay_process *process = calloc(1, sizeof(*process));
        int r;

        if (!process)
                return -ENOMEM;
        process->broker = launcher->broker;
        process->handle.data = process;
        process->owner = strdup(owner);
        if (!process->owner) {
                free(process);
                return -ENOMEM;
        }
        nb_list_init(&process->in_launcher);
        r = spawn(process, launcher->program, channel_fd);
        if (r < 0) {
                /* uv_spawn() has initialised the handle, also where it fails. */
                close_process(process);
                return r;
        }
        nb_list_append(&launcher->processes, &process->in_launcher);
        *ret = process;
        return 0;
}

static int start_program(struct relay_launcher *launcher, const char *owner, struct relay_process **ret_process,
                         int *ret_fd) {
        NB_CLEANUP_FD int ours = -1, theirs = -1;
        int ends[2], r = nb_channel_pair(ends);

        if (r < 0)
                return r;
        ours = ends[0];
        theirs = ends[1];
        r = start_process(launcher, owner, theirs, ret_process);
        if (r < 0)
                return r;
        *ret_fd = nb_steal_fd(&ours);
        return 0;
}

/* ---- by systemd ---- */

static int connect_to_socket(const struct relay_launcher *launcher, int *ret_fd) {
        NB_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *)&launcher->address, sizeof(launcher->address)) < 0)
                return -errno;
        *ret_fd = nb_steal_fd(&fd);
        return 0;
}

/* ---- the launcher ---- */

static int log_failure(const struct broker *broker, const char *owner, const char *where, int r) {
        nb_log(&broker->log, NB_LOG_ERROR, "%s: cannot start a relay by %s: %s", owner, where, strerror(-r));
        return r;
}

int relay_launcher_start(const struct broker *broker, const char *owner, struct relay_process **ret_process,
                         int *ret_fd) {
        struct relay_launcher *launcher = broker->relay_launcher;
        int r;

        if (!launcher)
                return log_failure(broker, owner, "--relay-program", -ENOENT);
        *ret_process = NULL;
        if (launcher->address.sun_path[0] != '\0')
                r = connect_to_socket(launcher, ret_fd);
        else
                r = start_program(launcher, owner, ret_process, ret_fd);
        if (r < 0)
                return log_failure(broker, owner, launcher->own ? launcher->address.sun_path : launcher->program, r);
        nb_channel_refuse_fds(*ret_fd);
        nb_channel_expect_bytes(*ret_fd);
        return 0;
}

static int set_socket(struct relay_launcher *launcher, const char *path) {
        size_t length = strlen(path);

        if (length >= sizeof(launcher->address.sun_path))
                return -ENAMETOOLONG;
        launcher->address.sun_family = AF_UNIX;
        memcpy(launcher->address.sun_path, path, length);
        launcher->own = own_add_path(&launcher->broker->own, "the socket of netbroker-relay", path);
        return launcher->own ? 0 : -ENOMEM;
}

struct relay_launcher *relay_launcher_new(struct broker *broker, const char *program, const char *socket_path) {
        struct relay_launcher *launcher = calloc(1, sizeof(*launcher));
        int r;

        if (!launcher)
                return NULL;
        launcher->broker = broker;
        launcher->program = program;
        nb_list_init(&launcher->processes);
        r = socket_path ? set_socket(launcher, socket_path) : 0;
        if (r == 0)
                return launcher;
        free(launcher);
        errno = -r;
        return NULL;
}

struct relay_launcher *relay_launcher_free(struct relay_launcher *launcher) {
        if (!launcher)
                return NULL;
        nb_list_foreach_safe(link, &launcher->processes)
                close_process(nb_container_of(link, struct relay_process, in_launcher));
        launcher->own = own_free(launcher->own);
        free(launcher);
        return NULL;
}

/*
 * Only where relays are forked. The filter is theirs too: so here is what a program and its libraries begin with, what a relay raises its own walls
 * with, and what it makes beside the broker's calls.
 */
static const struct confine_call calls[] = {
        CONFINE_CALL(clone, "a child"),
        CONFINE_CALL(clone3, "a child"),
        CONFINE_CALL(vfork, "a child"),
        CONFINE_CALL(execve, "its program; which one may be executed the rules of files say"),
        CONFINE_CALL(dup2, "its descriptors"),
        CONFINE_CALL(dup3, "its descriptors"),
        CONFINE_CALL(chdir, "its folder"),
        CONFINE_CALL(kill, "its end"),
        CONFINE_CALL(tgkill, "its own end, where an assertion fails"),
        CONFINE_CALL(wait4, "how it has ended"),
        CONFINE_CALL(waitid, "how it has ended"),
        CONFINE_CALL_WHERE(ioctl, 1, FIOCLEX, "libuv closes on exec"),
        CONFINE_CALL(arch_prctl, "a program begins"),
        CONFINE_CALL(set_tid_address, "a program begins"),
        CONFINE_CALL(set_robust_list, "a program begins"),
        CONFINE_CALL(rseq, "a program begins"),
        CONFINE_CALL(setrlimit, "the relay's limits"),
        CONFINE_CALL(prctl, "the relay's walls"),
        CONFINE_CALL(capget, "the relay's walls"),
        CONFINE_CALL(capset, "the relay's walls"),
        CONFINE_CALL(seccomp, "the relay's walls"),
        CONFINE_CALL(setitimer, "the relay's walls, which are made in a bounded time"),
        CONFINE_CALL(landlock_create_ruleset, "the relay's walls"),
        CONFINE_CALL(landlock_add_rule, "the relay's walls"),
        CONFINE_CALL(landlock_restrict_self, "the relay's walls"),
        CONFINE_CALL(mlockall, "the relay's keys"),
        CONFINE_CALL(splice, "the relay carries bytes"),
        CONFINE_CALL(tee, "the relay carries bytes"),
        CONFINE_CALL(recvmmsg, "the relay carries datagrams"),
        CONFINE_CALL(sendmmsg, "the relay carries datagrams"),
        CONFINE_CALL_WHERE(ioctl, 1, SIOCINQ, "how much there is to carry"),
        CONFINE_CALL(timer_create, "a program that waits"),
};
const struct confine_list spawn_calls = CONFINE_LIST(calls);
